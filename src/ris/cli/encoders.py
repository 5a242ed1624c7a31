"""The command that lists the encoders."""

from typing import Any

from ris.cli.output import say, write_json, write_table
from ris.cli.parameters import Json


def encoders(json: Json = False) -> None:
    """List the networks that --encoder takes by name.

    The cost is the multiplications for a picture, those of efficientnet_lite0 being 1. Any other image model
    of timm goes by timm: and its name.

    [bold]Examples[/bold]

      ris encoders
      ris build photos photos.ris --encoder dinov2_small
      ris build photos photos.ris --encoder timm:convnext_atto.d2_in1k
    """
    from ris.encoders.registry import ENTRIES, REFUSED, Entry

    def entry(one: Entry) -> dict[str, Any]:
        return {
            "name": one.name,
            "model": f"{one.library}:{one.model}",
            "dimension": one.dimension,
            "pixels": one.crop,
            "cost": one.cost,
            "words": one.words,
            "licence": one.licence,
            "terms": one.terms,
            "weights": one.weights.source,
            "quality": "in the report" if one.measured else "not measured here",
        }

    if json:
        write_json({"encoders": [entry(one) for one in ENTRIES.values()], "refused": REFUSED})
        return
    heads = ["name", "dimensions", "pixels", "cost", "licence", "words", "quality"]
    rows = []
    for one in ENTRIES.values():
        told = entry(one)
        licence = one.licence + (", to be accepted" if one.terms else "")
        words = "of ImageNet" if one.words else ""
        rows.append(
            [one.name, f"{one.dimension}", f"{one.crop}", f"{one.cost}", licence, words, told["quality"]]
        )
    write_table(heads, rows, numeric=(1, 2, 3))
    for word, reason in REFUSED.items():
        say(f"Refused: {word}, as {reason}.")
