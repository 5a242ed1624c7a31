"""What nobody would send: requests drawn from the API's own description, and pictures with broken bytes."""

import gc
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import schemathesis
from hypothesis import HealthCheck, assume, given, settings
from PIL import Image
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from ris.engine import SearchEngine
from ris.serve import Settings
from serve.conftest import TOKEN, Live, encoded, running

PICTURES = 160
"""Of mutated uploads."""
GROWTH = 150e6
"""Bytes that the process may gain by them; a picture that leaked each time would be twice as much."""
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "AVIF", "HEIF", "JPEG2000")

OPERATIONS = 28
LONG = 5_000
"""Letters of a query; written into an address, more of them are a longer head than the server reads."""


@pytest.fixture(scope="module")
def fuzzed(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A copy of the store that may be changed, as it is served."""
    root = tmp_path_factory.mktemp("fuzzed") / "own"
    shutil.copytree(made, root)
    settings = Settings(port=0, token=TOKEN, requests_per_second=10_000, burst=10_000)
    with SearchEngine.open(root / "store", threads=2) as engine, running(engine, settings) as live:
        yield live


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_the_api_keeps_to_its_description(fuzzed: Live, mode: GenerationMode) -> None:
    """All of schemathesis' checks but one: that a box has a left side left of its right one, that a row is
    there, that a file is a picture, no description can say."""
    schema = schemathesis.openapi.from_url(f"{fuzzed.url}/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]
    assert len(operations) == OPERATIONS
    for operation in operations:
        takes_something = any(operation.iter_parameters()) or operation.body
        if mode is GenerationMode.NEGATIVE and not takes_something:
            continue
        cases = operation.as_strategy(generation_mode=mode)

        @settings(max_examples=8, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(case=cases)
        def keeps_to_it(case: Any) -> None:
            assume(len(str(case.query)) < LONG)
            case.call_and_validate(
                headers={"Authorization": f"Bearer {TOKEN}"}, excluded_checks=[positive_data_acceptance]
            )

        keeps_to_it()


def mutated(content: bytes, chance: random.Random) -> bytes:
    """Change some bytes, cut a piece out, double one, or end too early."""
    changed = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 5, 20, 100))):
        at = chance.randrange(len(changed))
        match chance.randrange(6):
            case 0 | 1:
                changed[at] = chance.randrange(256)
            case 2:
                changed[at] ^= 1 << chance.randrange(8)
            case 3:
                changed[at : at + 4] = chance.choice(
                    (b"\xff\xff\xff\xff", b"\x00\x00\x00\x00", b"\x7f\xff\xff\xff")
                )
            case 4:
                del changed[at : at + chance.randrange(1, 64)]
            case 5:
                changed[at:at] = changed[at : at + chance.randrange(1, 64)]
        if not changed:
            return b""
    return bytes(changed[: chance.randrange(len(changed))] if chance.random() < 0.1 else changed)


def test_broken_pictures_of_every_format_are_answered_and_cost_no_memory(
    live: Live, texture: Callable[..., Image.Image]
) -> None:
    originals = [encoded(texture(77, 96, 64), form) for form in FORMATS]
    chance = random.Random(0)
    memory = psutil.Process().memory_info
    before = 0
    statuses: dict[int, int] = {}
    for sent in range(PICTURES):
        content = mutated(originals[sent % len(originals)], chance)
        path = "/api/find" if sent % 20 == 0 else "/api/search?k=3"
        response = live.client.post(path, files={"picture": content})
        assert response.status_code in (200, 413, 422), response.text
        statuses[response.status_code] = statuses.get(response.status_code, 0) + 1
        if sent == PICTURES // 2:
            gc.collect()
            before = memory().rss
    gc.collect()
    assert {200, 422} <= statuses.keys()
    assert memory().rss - before < GROWTH
    assert live.client.get("/health").status_code == 200
