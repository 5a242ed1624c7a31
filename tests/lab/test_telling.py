"""What the report says of a run."""

import numpy as np
import pytest

from ris.indexes.projection import Projection
from ris.lab.config import Space
from ris.lab.telling import described


@pytest.mark.parametrize(
    ("settings", "classes", "told"),
    [
        ({}, 0, "2 dimensions after PCA"),
        ({"shrinkage": 0.03}, 0, "2 dimensions after whitening within classes (shrinkage 0.03) and PCA"),
        (
            {"whiten": 0.5, "shrinkage": 0.3, "sharpness": 12},
            1000,
            "2 dimensions after putting its classifier's probabilities of 1,000 classes beside the vectors "
            "(sharpness 8), whitening within classes (shrinkage 0.3) and PCA; each divided by its standard "
            "deviation to the power 0.5",
        ),
        ({"sharpness": 12}, 0, "2 dimensions after PCA"),
    ],
)
def test_a_projection_in_words(settings: dict[str, float], classes: int, told: str) -> None:
    space = Space.model_validate(
        {"n_components": 0.9, "whiten": 0, "shrinkage": 1, "sharpness": 0, **settings}
    )
    projection = Projection(
        mean=np.zeros(3, np.float32),
        components=np.eye(2, 3, dtype=np.float32),
        scale=np.ones(2, np.float32),
        spectrum=np.ones(3, np.float32),
        normalise=True,
        classifier=np.zeros((classes, 3), np.float32),
        sharpness=8.0,
    )
    assert described(space, projection) == told
