"""fetch: bring the pictures and the backbone's pre-trained weights; the only stage on the network."""

from pathlib import Path

import numpy as np
import torch

from ris.artifacts import write_json, writing
from ris.config import Network
from ris.encoders.backbone import check_sees, create, last_layer, pretrained_state
from ris.encoders.encoder import Encoder
from ris.encoders.weights import fetch_weights
from ris.lab import layout
from ris.lab.config import Params, localised
from ris.lab.data.sources import fetch_images
from ris.lab.inputs import check_classifier
from ris.lab.layout import Tree
from ris.lab.runner import run

CACHE = Path(".ris/downloads")


def fetch(params: Params, tree: Tree) -> None:
    """Unpack the verified source, and write the pre-trained encoder and the last layer that it lacks."""
    here = localised(params)
    network = Network(**params.backbone.model_dump(exclude={"weights"}))
    _check(params, network)
    source = fetch_images(here.data, params.seed, tree.write(layout.IMAGES), CACHE)
    write_json(tree.write(layout.SOURCE), source)

    torch.manual_seed(params.seed)
    module = create(network)
    weights = fetch_weights(here.backbone, CACHE)
    if weights is not None:
        module.load_state_dict(pretrained_state(network, weights))
    Encoder(network, module).save(tree.write(layout.PRETRAINED))
    with writing(tree.write(layout.CLASSIFIER)) as fresh, fresh.open("wb") as stream:
        np.save(stream, last_layer(network, weights).numpy())


def _check(params: Params, network: Network) -> None:
    """Check, before anything is downloaded, that the backbone can do what is asked of it later."""
    check_sees(network, network.crop, "backbone.crop")
    if params.finetune.epochs > 0:
        check_sees(network, params.finetune.train_size, "finetune.train_size")
    with torch.device("meta"):
        classes = len(last_layer(network, None))
    for encoder in layout.ENCODERS:
        check_classifier(params.pca.of(encoder), classes)


if __name__ == "__main__":
    run(fetch)
