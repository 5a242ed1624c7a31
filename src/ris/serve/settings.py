"""How a store is served: where it listens, who may write, and what is too much."""

import secrets
from dataclasses import dataclass, field

LOCAL_HOSTS = ("localhost", "127.0.0.1", "[::1]")
"""Names by which this machine calls itself."""


def new_token() -> str:
    """Draw a token, 256 bits."""
    return secrets.token_urlsafe(32)


@dataclass(frozen=True)
class Settings:
    """What `serve` and `create_app` go by; the defaults are safe, and suit one machine."""

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = 8000
    """0 for any that is free."""
    hosts: tuple[str, ...] = ()
    """Names, without a port, under which the page may be asked for, beside this machine's own and `host`."""
    token: str = field(default_factory=new_token, repr=False)
    """What a request that writes must bear."""
    read_only: bool = False
    """Whether writing is refused; the engine must have been opened so, too."""
    version: int | None = None
    """Of the store, on which a server that only reads stays until it is told another; None for the newest."""
    urls: bool = False
    """Whether a query may be an address on the web; the engine must have been opened so, too."""

    max_bytes: int = 20_000_000
    """Of a request's body."""
    max_pixels: int = 50_000_000
    """Of an uploaded picture."""
    max_k: int = 500
    """Hits of one answer."""
    upload_seconds: float = 30.0
    """Within which a request's body must have come."""
    header_seconds: float = 10.0
    """Within which a request's head must have come."""
    idle_seconds: float = 30.0
    """Within which a client must take what waits to be sent."""
    requests_per_second: float = 100.0
    """Of one client, in the long run."""
    burst: int = 500
    """Requests of one client at once."""
    connections: int = 500
    """Open at one time, of one client half as many; others take the place of what waits longest."""
    threads: int = 16
    """Searches at one time; their pictures pass through the network one a processor."""
    waiting: int = 64
    """Searches that wait for a thread, and as many pictures that wait to be decoded, or fetched; further ones
    are sent away, as are those of one client that are more than half of what may wait and run."""
