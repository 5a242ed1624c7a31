"""Pictures of a store as contact sheets show them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

    from ris.engine import Picture, SearchEngine
    from ris.types import Corners


def small(
    picture: "Picture",
    engine: "SearchEngine",
    outline: "list[tuple[float, float]] | None" = None,
    boxes: "Sequence[Corners]" = (),
) -> "Image.Image":
    """Read a picture of the store as it is shown; an empty one where its file is gone."""
    from ris.cli.contact_sheet import CELL, empty, shrunk
    from ris.engine import NoSuchPictureError
    from ris.images.decoding import UnreadableImage

    try:
        image = engine.image(picture.row, CELL)
    except (NoSuchPictureError, UnreadableImage):
        return empty()
    return shrunk(image, outline, (picture.width, picture.height), boxes)
