"""fetch: bring the pictures and the backbone's pre-trained weights; the only stage on the network."""

from pathlib import Path

import numpy as np
import torch

from ris.artifacts import write_json, writing
from ris.config import Network
from ris.encoders.backbone import create, last_layer, pretrained_state
from ris.encoders.encoder import Encoder
from ris.encoders.weights import fetch_weights
from ris.lab import layout
from ris.lab.config import Params, localised
from ris.lab.data.sources import fetch_images
from ris.lab.layout import Tree
from ris.lab.runner import run

CACHE = Path(".ris/downloads")


def fetch(params: Params, tree: Tree) -> None:
    """Unpack the verified source, and write the pre-trained encoder and the last layer that it lacks."""
    here = localised(params)
    source = fetch_images(here.data, params.seed, tree.write(layout.IMAGES), CACHE)
    write_json(tree.write(layout.SOURCE), source)

    torch.manual_seed(params.seed)
    network = Network(**params.backbone.model_dump(exclude={"weights"}))
    module = create(network)
    weights = fetch_weights(here.backbone, CACHE)
    if weights is not None:
        module.load_state_dict(pretrained_state(network, weights))
    Encoder(network, module).save(tree.write(layout.PRETRAINED))
    with writing(tree.write(layout.CLASSIFIER)) as fresh, fresh.open("wb") as stream:
        np.save(stream, last_layer(network, weights).numpy())


if __name__ == "__main__":
    run(fetch)
