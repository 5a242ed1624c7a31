"""Weights of the Hugging Face Hub, or of a mirror: what was taken once is what is taken ever after.

Its own library loads them: it goes on where it was broken off, shows progress, and heeds `HF_ENDPOINT`,
`HF_HUB_OFFLINE`, `HF_TOKEN` and the proxies of the environment.
"""

import os
from pathlib import Path

from filelock import FileLock
from pydantic import TypeAdapter, ValidationError

from ris.artifacts import checksum, write_json
from ris.encoders import cache
from ris.errors import RisError

HUB = "hub:"
"""Before a repository of the Hub, and after an `@` its revision, in a weights' source."""
FILE = "model.safetensors"

_NOTES = TypeAdapter(dict[str, dict[str, str]])


def notes() -> Path:
    """Return the file that notes, by repository, what was taken at first use."""
    return cache.folder() / "weights.lock.json"


def fetch(source: str, expected: str | None) -> Path:
    """Bring the weights of a repository, checked against what is known of them.

    Args:
        source: `hub:OWNER/NAME`, and maybe `@REVISION`.
        expected: their checksum; None for the one that was noted at first use, or any if this is the first.

    Raises:
        RisError: they cannot be had, or are others than expected.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError

    repository, _, revision = source.removeprefix(HUB).partition("@")
    by_hand = f"get {FILE} of {repository} elsewhere and name it with --weights"
    place = notes()
    place.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(place.with_suffix(".lock")):
        noted = _read(place)
        known = noted.get(source, {})
        try:
            file = Path(
                hf_hub_download(
                    repository,
                    FILE,
                    revision=revision or known.get("revision"),
                    library_name="ris",
                    endpoint=os.environ.get("HF_ENDPOINT"),
                )
            )
        except (HfHubHTTPError, OSError, ValueError) as error:
            reason = " ".join(str(error).split()).rstrip(".")
            raise RisError(f"The weights {source} cannot be had: {reason}; {by_hand}.") from error
        found = checksum(file, "sha256")
        expected = expected or known.get("sha256")
        if expected is not None and not found.startswith(expected):
            raise RisError(
                f"{file} has the checksum {found} where {expected} is expected; delete it and run again, or "
                f"{by_hand}."
            )
        if source not in noted:
            # The library keeps what it loads in a folder of the commit's name.
            write_json(place, {**noted, source: {"revision": file.parent.name, "sha256": found}})
    return file


def _read(place: Path) -> dict[str, dict[str, str]]:
    if not place.is_file():
        return {}
    try:
        return _NOTES.validate_json(place.read_bytes())
    except ValidationError as error:
        raise RisError(
            f"{place}, which notes the weights that were taken, is damaged; delete it to trust the next ones."
        ) from error
