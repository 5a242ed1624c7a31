"""JPEG files without an end: read where every pixel is there, refused with what is missing where not."""

import re
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ris.images.decoding import UnreadableImage, read_image, read_sized

LIMIT = 1_000_000
OPTIONS: dict[str, dict[str, Any]] = {
    "baseline": {},
    "optimised": {"optimize": True},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_blocks": 4},
    "full_colours": {"subsampling": 0, "quality": 95},
}


def jpeg(mode: str, options: dict[str, Any], seed: int = 0) -> bytes:
    coarse = np.random.default_rng(seed).integers(0, 256, (20, 24, 3), dtype=np.uint8)
    picture = Image.fromarray(coarse).resize((240, 200), Image.Resampling.BICUBIC)
    stream = BytesIO()
    picture.convert(mode).save(stream, "JPEG", **options)
    return stream.getvalue()


def refused(data: bytes) -> str:
    with pytest.raises(UnreadableImage) as caught:
        read_image(data, LIMIT)
    assert caught.value.kind == "truncated"
    return caught.value.reason


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("options", OPTIONS)
def test_a_jpeg_without_its_end_marker_has_every_pixel(options: str, mode: str) -> None:
    whole = jpeg(mode, OPTIONS[options])
    assert whole.endswith(b"\xff\xd9")
    for draft in (None, 50):
        expected = np.asarray(read_image(whole, LIMIT, draft))
        for cut in (whole[:-2], whole[:-1], whole[:-2] + bytes(1000)):
            image, size = read_sized(cut, LIMIT, draft)
            np.testing.assert_array_equal(np.asarray(image), expected)
            assert size == (240, 200)


def test_the_last_byte_of_the_scan_may_look_like_a_marker() -> None:
    ends = {}
    for seed in range(3000):
        tile = np.random.default_rng(seed).integers(0, 256, (8, 8), dtype=np.uint8)
        stream = BytesIO()
        Image.fromarray(tile).save(stream, "JPEG", quality=50)
        if stream.getvalue().endswith(b"\xff\x00\xff\xd9"):
            ends[seed] = stream.getvalue()
    assert ends
    for whole in ends.values():
        for cut in (1, 2, 3):
            np.testing.assert_array_equal(
                np.asarray(read_image(whole[:-cut], LIMIT)), np.asarray(read_image(whole, LIMIT))
            )


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("options", ["baseline", "optimised", "restarts", "full_colours"])
def test_a_jpeg_that_lacks_pixels_is_refused_with_their_share(options: str, mode: str) -> None:
    whole = jpeg(mode, OPTIONS[options])
    expected = np.asarray(read_image(whole, LIMIT))
    scan = whole.index(b"\xff\xda") + (12 if mode == "RGB" else 16)
    for share in (0.2, 0.5, 0.8):
        cut = whole[: scan + round((len(whole) - scan) * (1 - share))]
        told = re.fullmatch(r"the lower (\d+) % of the picture is missing", refused(cut))
        assert told
        # What is said to be there is there: libjpeg, told that the file ends here, brings these lines.
        there = 200 - round(200 * int(told[1]) / 100) - 1
        filled = np.asarray(Image.open(BytesIO(cut + b"\xff\xd9")).convert("RGB"))
        np.testing.assert_array_equal(filled[:there], expected[:there])
        assert (filled[there + 16 :] != expected[there + 16 :]).any()
        assert abs(int(told[1]) - 100 * share) < 15
    assert refused(whole[: scan + 4]) == "all of the picture is missing"


def test_a_few_missing_bytes_are_pixels() -> None:
    for mode in ("RGB", "L"):
        for options in ("baseline", "optimised", "full_colours"):
            whole = jpeg(mode, OPTIONS[options])
            for lost in (4, 5, 8, 40):
                assert re.fullmatch(r"the lower \d % of the picture is missing", refused(whole[:-lost]))


@pytest.mark.parametrize("options", [{"quality": 95}, {"quality": 95, "optimize": True}])
def test_a_jpeg_is_refused_if_and_only_if_a_pixel_is_missing(options: dict[str, Any]) -> None:
    outcomes = []
    for seed in range(200):
        tile = np.random.default_rng(seed).integers(0, 256, (8, 8), dtype=np.uint8)
        stream = BytesIO()
        Image.fromarray(tile).save(stream, "JPEG", **options)
        whole = stream.getvalue()
        cut = whole[:-3]
        expected = np.asarray(Image.open(BytesIO(whole)))
        try:
            np.testing.assert_array_equal(np.asarray(read_image(cut, LIMIT))[..., 0], expected)
            outcomes.append("read")
        except UnreadableImage as error:
            outcomes.append(error.kind)
            # Some other last byte makes another picture.
            others = [cut + bytes((last, 0xFF, 0xD9)) for last in range(0, 255, 3)]
            assert any((np.asarray(Image.open(BytesIO(other))) != expected).any() for other in others)
    assert {"read", "truncated"} == set(outcomes)
    assert outcomes.count("truncated") > 100


def test_of_a_progressive_jpeg_the_detail_is_missing() -> None:
    whole = jpeg("RGB", {"progressive": True})
    scans = [found.start() for found in re.finditer(rb"\xff\xda", whole)]
    assert len(scans) > 5
    told = refused(whole[: (scans[-1] + len(whole)) // 2])
    assert re.fullmatch(r"detail of the lower \d+ % of the picture is missing", told)
    # Cut between two scans, within a header, within a scan that others follow.
    for end in (scans[-1], scans[-1] + 5, scans[3] + 40, scans[1]):
        assert refused(whole[:end]) == "detail of all of the picture is missing"
    told = refused(whole[: (scans[0] + scans[1]) // 2])
    assert re.fullmatch(r"the lower \d+ % of the picture is missing", told)


def test_zeros_in_place_of_the_rest_are_no_pixels() -> None:
    whole = jpeg("RGB", {})
    half = len(whole) // 2
    for zeros in (len(whole) - half, 1000):
        assert refused(whole[:half] + bytes(zeros)) == refused(whole[:half])


def test_a_jpeg_that_ends_in_its_headers_is_refused() -> None:
    whole = jpeg("RGB", {})
    scan = whole.index(b"\xff\xda")
    for end in range(20, scan + 8, 7):
        with pytest.raises(UnreadableImage):
            read_image(whole[:end], LIMIT)
