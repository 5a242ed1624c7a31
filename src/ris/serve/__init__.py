"""The page and its HTTP API: one process over one engine."""

from ris.serve.app import create_app
from ris.serve.server import serve
from ris.serve.settings import Settings

__all__ = ["Settings", "create_app", "serve"]
