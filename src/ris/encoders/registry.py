"""What a name stands for: the networks of `registry.yaml`, and any of timm."""

import difflib
from importlib.resources import files
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError

from ris.config import Backbone, Network, Section, Weights
from ris.errors import RisError
from ris.extras import require

TIMM = "timm:"
"""Before the name of a model of timm."""
_OPEN = ("apache", "mit", "bsd", "cc-by-4", "cc0")
"""How licences begin that need not be accepted."""


class Entry(Backbone):
    """A network that can be named, and what one should know before taking it."""

    licence: str
    """Of the weights."""
    terms: str | None = None
    """Where a licence is written that has to be accepted."""
    cost: float | None = Field(default=None, gt=0.0)
    """Multiplications for a picture, those of Lite0 being 1; None where they were not counted."""
    words: Literal["imagenet"] | None = None
    """What can be said of it in words: the names of ImageNet's classes."""
    measured: bool = False
    """Whether this project's reports have figures of how good it is."""

    @property
    def network(self) -> Network:
        """The network alone."""
        return Network(**{name: getattr(self, name) for name in Network.model_fields})

    @property
    def backbone(self) -> Backbone:
        """The network with its weights, as conf/backbone describes it."""
        return Backbone(**{name: getattr(self, name) for name in Backbone.model_fields})


class _Registry(Section):
    encoders: dict[str, dict[str, Any]]
    refused: dict[str, str]


def _read() -> tuple[dict[str, Entry], dict[str, str]]:
    text = files("ris.encoders").joinpath("registry.yaml").read_text("utf-8")
    registry = _Registry.model_validate(yaml.safe_load(text))
    entries = {name: Entry(name=name, **fields) for name, fields in registry.encoders.items()}
    return entries, registry.refused


ENTRIES, REFUSED = _read()
"""By name: the networks, and why those are refused whose name holds a word."""


def named(name: str) -> Entry:
    """Return what a name stands for: of `ENTRIES`, or `timm:` and the name of a pre-trained model of timm.

    Raises:
        RisError: it is refused, and why; or nothing has that name.
    """
    for word, reason in REFUSED.items():
        if word in name.lower():
            raise RisError(f"{name} is refused: {reason}; `ris encoders` lists what can be had.")
    if name.startswith(TIMM):
        return _of_timm(name.removeprefix(TIMM))
    if name not in ENTRIES:
        near = difflib.get_close_matches(name, ENTRIES, 1)
        meant = f"; {near[0]} is" if near else ""
        raise RisError(
            f"{name} is neither an encoder's folder nor a name of `ris encoders`{meant}; give one of these, "
            "or timm: and a model's name."
        )
    return ENTRIES[name]


def check_licence(entry: Entry, accepted: bool) -> None:
    """Check that a licence is open, or was accepted.

    Raises:
        RisError: it was not; the sentence shows it.
    """
    if accepted or entry.terms is None:
        return
    raise RisError(
        f"{entry.name} comes under the {entry.licence}, {entry.terms}; read it, and say --accept-licence "
        "(in Python, accept_licence=True) if you accept it."
    )


def _of_timm(model: str) -> Entry:
    """Describe a pre-trained model of timm by timm's own data config."""
    require("torch", to="use models of timm")
    import timm
    import torch
    from timm.data.config import resolve_data_config

    name = f"{TIMM}{model}"
    if not timm.is_model(model):
        near = difflib.get_close_matches(model, timm.list_models(), 3)
        meant = f"; near it are {', '.join(near)}" if near else ""
        raise RisError(f"timm has no model {model}{meant}.")
    published = timm.models.get_pretrained_cfg(model)
    if published is None or not published.hf_hub_id:
        raise RisError(f"timm has no pre-trained weights of {model}; take another model.")
    config = resolve_data_config(pretrained_cfg=published.to_dict())  # type: ignore[no-untyped-call]
    _, height, width = config["input_size"]
    if height != width or config["crop_mode"] != "center":
        raise RisError(f"{name} does not see the central square of a picture; take another model.")
    with torch.device("meta"):
        dimension = timm.create_model(model, num_classes=0).eval()(torch.empty(1, 3, height, width)).shape[1:]
    licence = published.license or "unknown licence"
    try:
        return Entry(
            name=name,
            library="timm",
            model=f"{published.architecture}.{published.tag}" if published.tag else published.architecture,
            dimension=dimension[0],
            resize=int(height / config["crop_pct"]),
            crop=height,
            interpolation=config["interpolation"],
            mean=config["mean"],
            std=config["std"],
            licence=licence,
            terms=None if licence.startswith(_OPEN) else f"https://huggingface.co/{published.hf_hub_id}",
            weights=Weights(source=f"hub:{published.hf_hub_id}"),
        )
    except ValidationError as error:
        raise RisError(
            f"{name} wants pictures prepared in a way that is not ours; take another model."
        ) from error
