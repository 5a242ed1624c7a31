"""What asks too much of a decoder is refused by its structure; ordinary pictures never are."""

import hostile
import numpy as np
import pytest
from PIL import Image

from ris.images.decoding import UnreadableImage, read_image
from ris.images.limits import BLOCKS, SCANS, SEGMENTS, excess


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (hostile.exif_segments(SEGMENTS + 1), f"it has more than the {SEGMENTS} segments allowed"),
        (hostile.hidden_segments(50_000), f"it has more than the {SEGMENTS} segments allowed"),
        (hostile.filled(b"\xff", 20_000), "its header holds bytes that are no part of it"),
        (hostile.filled(b"\xff\0", 20_000), "its header holds bytes that are no part of it"),
        (hostile.filled(b"z", 20_000), "its header holds bytes that are no part of it"),
        (hostile.jpeg()[:2] + b"z" * 20_000, "its header holds bytes that are no part of it"),
        (hostile.scans(SCANS + 1), f"it has more than the {SCANS} scans allowed"),
        (
            hostile.png(8, 8, before=hostile.chunk(b"teSt", b"") * (SEGMENTS + 1)),
            f"it has more than the {SEGMENTS} small chunks allowed",
        ),
        (hostile.png(4000, 4000, piece=1), f"it has more than the {SEGMENTS} small chunks allowed"),
        (
            hostile.gif_comment(BLOCKS + 1),
            f"it has more than the {BLOCKS} blocks allowed before its first",
        ),
    ],
)
def test_a_structure_that_costs_much_is_refused(data: bytes, reason: str) -> None:
    assert reason in str(excess(data))
    with pytest.raises(UnreadableImage, match=reason) as caught:
        read_image(data, 50_000_000)
    assert caught.value.kind == "too_large"


@pytest.mark.parametrize(
    "data",
    [
        hostile.exif_segments(100),
        hostile.scans(5),
        hostile.png(8, 8, before=hostile.chunk(b"teSt", b"") * 100),
        hostile.gif_comment(100),
        hostile.png(4000, 4000, piece=1000),
    ],
)
def test_what_is_merely_odd_is_read(data: bytes) -> None:
    assert excess(data) is None
    assert read_image(data, 50_000_000).mode == "RGB"


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP", "TIFF"])
def test_noise_of_every_form_and_any_part_of_it_is_within_the_limits(form: str) -> None:
    random = np.random.default_rng(0)
    image = Image.fromarray(random.integers(0, 256, (300, 400, 3), dtype=np.uint8))
    data = hostile.stored(image, form, **({"progressive": True} if form == "JPEG" else {}))
    for end in [*random.integers(0, len(data), 50).tolist(), len(data)]:
        assert excess(data[:end]) is None
