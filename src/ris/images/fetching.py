"""A picture from the web: its address in, bytes out, and no way into the network behind this machine."""

import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from http import HTTPStatus
from http.client import HTTPException
from typing import Any, TypeAlias
from urllib.parse import urljoin

from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, LocationParseError
from urllib3.response import HTTPResponse
from urllib3.util import Url, parse_url

from ris.errors import BadQueryError

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

REDIRECTS = 5
"""That are followed, at most."""

_CHUNK = 1 << 16
_HEADERS = {"Accept": "image/*, */*;q=0.1", "Accept-Encoding": "identity", "User-Agent": "ris"}
_UNICAST = ipaddress.IPv6Network("2000::/3")
_TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96")
"""IPv4 as networks of IPv6 alone speak it (RFC 6052)."""


class _Failed(Exception):  # noqa: N818
    """Why an address cannot be fetched, as the end of a sentence."""


def fetch(
    url: str, max_bytes: int, seconds: float, is_allowed: Callable[[Address], bool] | None = None
) -> bytes:
    """Fetch what stands at an http or https address.

    A host's name is resolved once for each request, every address that it stands for is checked, and the
    connection is made to one of those, whatever the name stands for meanwhile. A redirect is checked like
    the first address. Proxies are not used, for they resolve names by themselves.

    Args:
        url: http or https; a name and a password in it are not sent.
        max_bytes: refuse what is longer.
        seconds: for all of it, redirects included; resolving a name takes as long as the system lets it.
        is_allowed: whether an address may be connected to, `is_public` where not given.

    Returns:
        The bytes, whatever the server says that they are.

    Raises:
        BadQueryError: it cannot be fetched, or may not be. Whether a host is unknown, does not answer or is
            not public is not told apart, for who asks a server learns from it what names its network has.
    """
    deadline = time.monotonic() + seconds
    try:
        return _followed(url, max_bytes, deadline, is_allowed or is_public)
    except (_Failed, OSError, HTTPException, HTTPError, ValueError) as error:
        if isinstance(error, _Failed):
            reason = str(error)
        elif time.monotonic() >= deadline:
            reason = f"it took more than {seconds:g} seconds"
        elif isinstance(error, ssl.SSLCertVerificationError):
            reason = "the server's certificate is not accepted"
        else:
            reason = "the server broke off, or does not speak http as it should"
        raise BadQueryError(f"{url} cannot be fetched: {reason}.") from error


def is_public(address: Address) -> bool:
    """Whether an address is anyone's on the Internet: no private, local, multicast or reserved one.

    An IPv6 address that carries one of IPv4 is judged by that.
    """
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_global and not address.is_multicast
    carried = address.ipv4_mapped or address.sixtofour
    if address in _TRANSLATED:
        carried = ipaddress.IPv4Address(address.packed[-4:])
    return is_public(carried) if carried else address.is_global and address in _UNICAST


def _followed(url: str, max_bytes: int, deadline: float, is_allowed: Callable[[Address], bool]) -> bytes:
    for _ in range(REDIRECTS + 1):
        with _answer(url, deadline, is_allowed) as response:
            target = response.get_redirect_location()
            if not target:
                return _content(response, max_bytes, deadline)
            url = urljoin(url, target)
    raise _Failed(f"it redirects more than {REDIRECTS} times")


@contextmanager
def _answer(url: str, deadline: float, is_allowed: Callable[[Address], bool]) -> Iterator[HTTPResponse]:
    try:
        place = parse_url(url)
    except LocationParseError:
        place = Url()
    if place.scheme not in ("http", "https") or not place.host:
        raise _Failed("only http and https addresses are")
    kind = _Encrypted if place.scheme == "https" else _Plain
    connection = kind(place.host, place.port, timeout=_left(deadline))
    with (
        _connected(place.host.strip("[]"), connection.port, deadline, is_allowed) as line,
        _cut_at(deadline, line),
        closing(connection),
    ):
        connection.line = line
        connection.request("GET", place.request_uri, headers=_HEADERS, preload_content=False)
        with connection.getresponse() as response:
            yield response


def _connected(host: str, port: int, deadline: float, is_allowed: Callable[[Address], bool]) -> socket.socket:
    """Connect to the first of a host's addresses that answers, once all of them are found to be allowed."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise _not_public(host) from error
    for *_, place in found:
        if not is_allowed(ipaddress.ip_address(place[0])):
            raise _not_public(host)
    for family, kind, protocol, _, place in found:
        line = socket.socket(family, kind, protocol)
        try:
            line.settimeout(_left(deadline))
            line.connect(place)
        except OSError:
            line.close()
        else:
            return line
    raise _not_public(host)


def _not_public(host: str) -> _Failed:
    return _Failed(f"{host} is no public host that answers")


@contextmanager
def _cut_at(deadline: float, line: socket.socket) -> Iterator[None]:
    """Cut a connection when its time is up, for one byte every now and then holds off every other limit."""

    def cut() -> None:
        with suppress(OSError):
            own.shutdown(socket.SHUT_RDWR)

    with line.dup() as own:
        timer = threading.Timer(_left(deadline), cut)
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()


def _content(response: HTTPResponse, max_bytes: int, deadline: float) -> bytes:
    if response.status != HTTPStatus.OK:
        raise _Failed(f"the server answered {response.status} {response.reason}".rstrip())
    too_long = _Failed(f"it has more than {max_bytes} bytes")
    if (response.length_remaining or 0) > max_bytes:
        raise too_long
    content = bytearray()
    for chunk in response.stream(_CHUNK, decode_content=False):
        content += chunk
        if len(content) > max_bytes:
            raise too_long
    _left(deadline)
    return bytes(content)


def _left(deadline: float) -> float:
    """Return the seconds until a deadline, which has not come.

    Raises:
        TimeoutError: it has.
    """
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise TimeoutError
    return seconds


class _Plain(HTTPConnection):
    """Http over a line that stands already."""

    line: socket.socket

    def _new_conn(self) -> socket.socket:
        return self.line


class _Encrypted(_Plain, HTTPSConnection):
    """Https over a line that stands already, to a server that proves to be the host by its certificate."""

    def __init__(self, host: str, port: int | None, **options: Any) -> None:
        super().__init__(host, port, ca_certs=DEFAULT_CA_BUNDLE_PATH, cert_reqs="CERT_REQUIRED", **options)
