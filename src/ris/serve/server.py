"""Runs the application: one process, on this machine alone unless `host` says otherwise."""

import logging
import socket

import uvicorn

from ris.engine import SearchEngine
from ris.errors import RisError
from ris.serve.app import create_app
from ris.serve.connection import protocol
from ris.serve.settings import Settings


def configured(engine: SearchEngine, settings: Settings) -> uvicorn.Server:
    """Return the server, not yet running."""
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
    config = uvicorn.Config(
        create_app(engine, settings),
        http=protocol(settings),
        ws="none",
        lifespan="on",
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=5,
    )
    return uvicorn.Server(config)


def bound(settings: Settings) -> socket.socket:
    """Return a socket bound to where `settings` says.

    Raises:
        RisError: the address or the port is not to be had.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        raise RisError(
            f"{settings.host}:{settings.port} cannot be listened on ({error.strerror})."
        ) from error
    return listener


def serve(engine: SearchEngine, settings: Settings) -> None:
    """Serve an engine until the process is interrupted; say where, and the token that writing needs.

    Raises:
        RisError: the address or the port is not to be had.
    """
    with bound(settings) as listener:
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        print(f"The page: http://{host}:{listener.getsockname()[1]}", flush=True)
        print(f"Writing needs this token: {settings.token}", flush=True)
        configured(engine, settings).run([listener])
