"""One file from the network: resumed where it stopped, tried again, verified before it counts."""

import dataclasses
import logging
from pathlib import Path
from typing import Any

import requests
import tenacity
import urllib3
from tqdm import tqdm

from ris import artifacts
from ris.errors import RisError

ATTEMPTS = 5
BACKOFF = 1.0
"""Seconds before the second attempt; each later wait is twice as long."""
LONGEST_WAIT = 60.0
"""Seconds."""

_TIMEOUTS = (10.0, 60.0)
"""Seconds to connect, and between two pieces of the answer."""
_CHUNK = 1 << 18
_NETWORK_ERRORS = (requests.RequestException, urllib3.exceptions.HTTPError)
_LOGGER = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class _Resource:
    """What a partial file is a part of, so that it is never continued with bytes of another."""

    url: str
    validator: str | None
    """Strong ETag, or else Last-Modified."""
    size: int | None
    """Bytes."""


def download(
    url: str,
    target: Path,
    checksum: str | None,
    *,
    by_hand: str = "set data.source=/path/to/file or the environment variable RIS_DATA_SOURCE",
    backoff: float = BACKOFF,
) -> None:
    """Download `url` to `target`, which appears only when it is complete and has the right checksum.

    What has arrived stays in `<target>.part` and is resumed by a later call. Proxies are taken from the
    environment. A progress bar in bytes stands on stderr where that is a terminal.

    Args:
        url: http or https address.
        target: the file to make; one that has the right checksum stays, any other is replaced.
        checksum: `md5:` or `sha256:` and hex digits, see `ris.config.Checksum`; None accepts any content.
        by_hand: what a user sets to name a file that was downloaded elsewhere, for the error's sentence.
        backoff: seconds before the second of `ATTEMPTS` attempts, doubled for each later one.

    Raises:
        RisError: the server cannot be reached, refuses, or sends other content than `checksum` says.
    """
    if checksum is not None and target.is_file() and not _mismatch(target, checksum):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    patiently = tenacity.Retrying(
        retry=tenacity.retry_if_exception(_is_transient),
        stop=tenacity.stop_after_attempt(ATTEMPTS),
        wait=tenacity.wait_exponential(multiplier=backoff, max=LONGEST_WAIT),
        before_sleep=_log_wait,
        reraise=True,
    )
    try:
        patiently(_transfer, url, part)
    except _NETWORK_ERRORS as error:
        raise RisError(
            f"Cannot download {url}: {_reason(error)}; run again to go on from where it stopped, "
            f"or download it elsewhere and {by_hand}."
        ) from error
    found = _mismatch(part, checksum)
    if found:
        _forget(part)
        raise RisError(
            f"{url} has the checksum {found} where {checksum} is expected, so it was thrown away; run again, "
            f"or download the right file elsewhere and {by_hand}."
        )
    part.replace(target)
    _forget(part)


def verify(path: Path, checksum: str | None) -> None:
    """Check a local file against `md5:` or `sha256:` and hex digits; None accepts any content.

    Raises:
        RisError: the file is missing or has another checksum.
    """
    if not path.is_file():
        raise RisError(f"{path} is missing or no file; put it there or correct the path.")
    found = _mismatch(path, checksum)
    if found:
        raise RisError(
            f"{path} has the checksum {found} where {checksum} is expected; "
            "get the right file, or set the checksum that belongs to this one."
        )


def _mismatch(path: Path, checksum: str | None) -> str | None:
    """Return the file's own checksum if it is not the expected one."""
    if checksum is None:
        return None
    found = artifacts.checksum(path, checksum.partition(":")[0])
    return None if found.startswith(checksum) else found


def _transfer(url: str, part: Path) -> None:
    known = _known(part, url)
    if known and _resume(known, part):
        return
    with _get(url) as response:
        response.raise_for_status()
        length = response.headers.get("Content-Length", "")
        size = int(length) if length.isdigit() else None
        part.write_bytes(b"")
        artifacts.write_json(_memory(part), dataclasses.asdict(_Resource(url, _validator(response), size)))
        _receive(response, part, size)


def _resume(known: _Resource, part: Path) -> bool:
    """Return whether the rest came; False where the server cannot go on with this very resource."""
    start = part.stat().st_size
    if start == known.size:
        return True
    conditions = {"Range": f"bytes={start}-"} | ({"If-Range": known.validator} if known.validator else {})
    with _get(known.url, conditions) as response:
        if response.status_code != requests.codes.requested_range_not_satisfiable:
            response.raise_for_status()
        if not _continues(response, known, start):
            return False
        _receive(response, part, known.size)
    return True


def _get(url: str, conditions: dict[str, str] | None = None) -> requests.Response:
    headers = {"Accept-Encoding": "identity"} | (conditions or {})
    return requests.get(url, headers=headers, stream=True, timeout=_TIMEOUTS)


def _receive(response: requests.Response, part: Path, size: int | None) -> None:
    name = part.name.removesuffix(".part")
    with (
        part.open("ab") as stream,
        tqdm(total=size, initial=stream.tell(), desc=name, unit="B", unit_scale=True, disable=None) as bar,
    ):
        for chunk in response.raw.stream(_CHUNK, decode_content=False):
            stream.write(chunk)
            bar.update(len(chunk))


def _continues(response: requests.Response, known: _Resource, start: int) -> bool:
    content_range = response.headers.get("Content-Range", "")
    return (
        content_range.startswith(f"bytes {start}-")
        and content_range.endswith(f"/{known.size}")
        and _validator(response) in (None, known.validator)
    )


def _validator(response: requests.Response) -> str | None:
    etag = response.headers.get("ETag")
    return etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified")


def _memory(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _known(part: Path, url: str) -> _Resource | None:
    if not (part.is_file() and _memory(part).is_file()):
        return None
    try:
        known = _Resource(**artifacts.read_json(_memory(part)))
    except (RisError, TypeError):
        return None
    return known if known.url == url else None


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _memory(part).unlink(missing_ok=True)


def _is_transient(error: BaseException) -> bool:
    if isinstance(error, requests.HTTPError):
        return error.response.status_code == 429 or error.response.status_code >= 500
    if isinstance(error, requests.exceptions.ProxyError | requests.exceptions.SSLError):
        return False
    return isinstance(error, requests.ConnectionError | requests.Timeout | urllib3.exceptions.HTTPError)


def _reason(error: Any) -> str:
    if isinstance(error, requests.HTTPError):
        return f"the server answered {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy refused or could not be reached"
    if isinstance(error, requests.exceptions.SSLError):
        return "the server's certificate was not accepted"
    if isinstance(error, requests.ConnectionError | requests.Timeout):
        return "the server could not be reached"
    if isinstance(error, urllib3.exceptions.HTTPError):
        return "the connection was cut again and again"
    return f"{error}".rstrip(".")


def _log_wait(state: tenacity.RetryCallState) -> None:
    if state.outcome and state.next_action:
        reason = _reason(state.outcome.exception())
        _LOGGER.warning("Download stopped: %s; trying again in %.0f s.", reason, state.next_action.sleep)
