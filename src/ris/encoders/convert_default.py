"""Writes the default encoder as the package carries it: python -m ris.encoders.convert_default."""

from pathlib import Path

from ris.encoders import cache
from ris.encoders.backbone import create, pretrained_state
from ris.encoders.conversion import converted
from ris.encoders.named import BACKBONES, CONVERTED, DEFAULT
from ris.encoders.weights import fetch_weights


def main(folder: Path = CONVERTED) -> None:
    """Convert the published weights, and write them into a folder named after the encoder."""
    backbone = BACKBONES[DEFAULT]
    file = fetch_weights(backbone, Path())
    assert file is not None
    module = create(backbone)
    module.load_state_dict(pretrained_state(backbone, file))
    cache.keep(folder / DEFAULT, converted(module, backbone))


if __name__ == "__main__":
    main()
