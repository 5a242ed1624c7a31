"""What the engine's arguments may be: right ones are taken as they are, wrong ones end in one sentence."""

import math
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from ris import arguments
from ris.errors import BadQueryError
from ris.images.queries import part, read_query
from ris.types import Filter

ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.complex_numbers()
    | st.just(math.nan)
    | st.just(10**400)
    | st.just(object())
    | st.just(Path("cats"))
    | st.just(np.zeros(3))
    | st.just(np.str_("cats"))
    | st.just(datetime(2024, 1, 1, tzinfo=UTC)),
    lambda one: st.lists(one) | st.tuples(one) | st.dictionaries(st.text(), one) | st.sets(st.text()),
    max_leaves=4,
)

PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def sentence(refused: Callable[[], object]) -> str:
    with pytest.raises(BadQueryError) as caught:
        refused()
    told = str(caught.value)
    assert told.endswith(".")
    assert "\n" not in told
    assert len(told) < 300
    return told


@PATIENT
@given(st.dictionaries(st.sampled_from(list(Filter.__dataclass_fields__)), ANYTHING))
def test_a_filter_is_right_or_refused_in_a_sentence(given: dict[str, Any]) -> None:
    try:
        made = Filter(**given)
    except BadQueryError:
        sentence(lambda: Filter(**given))
        return
    for name in ("labels", "folders"):
        assert isinstance(getattr(made, name), tuple)
        assert all(isinstance(one, str) for one in getattr(made, name))
        assert not isinstance(given.get(name), str | bytes | dict)
    for name in ("min_bytes", "max_bytes", "min_side"):
        assert getattr(made, name) is None or (type(getattr(made, name)) is int and getattr(made, name) >= 0)
        assert not isinstance(given.get(name), bool | float | str)
    for name in ("modified_after", "modified_before"):
        assert getattr(made, name) is None or math.isfinite(getattr(made, name))
    assert all(isinstance(one, str) for pair in made.columns.items() for one in pair)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"labels": "ant"}, "labels is 'ant'; give a sequence of texts, such as ('ant',)."),
        ({"folders": "ant"}, "folders is 'ant'; give a sequence of texts, such as ('ant',)."),
        ({"labels": b"ant"}, "labels is of type bytes; give a sequence of texts."),
        ({"labels": 5}, "labels is 5; give a sequence of texts."),
        ({"labels": None}, "labels is None; give a sequence of texts."),
        ({"labels": {"ant": 1}}, "labels is of type dict; give a sequence of texts."),
        ({"labels": ("ant", 3)}, "one of labels is 3; give a text."),
        ({"min_side": "3"}, "min_side is '3'; give a whole number from 0."),
        ({"min_bytes": 1.5}, "min_bytes is 1.5; give a whole number from 0."),
        ({"max_bytes": -1}, "max_bytes is -1; give a whole number from 0."),
        ({"min_side": True}, "min_side is True; give a whole number from 0."),
        ({"modified_after": math.nan}, "modified_after is nan; give a finite number."),
        ({"modified_before": math.inf}, "modified_before is inf; give a finite number."),
        (
            {"modified_before": datetime(2024, 1, 1, tzinfo=UTC)},
            "modified_before is of type datetime; give a finite number.",
        ),
        (
            {"columns": [("owner", "Ada")]},
            "columns is of type list; give a mapping of columns to their values.",
        ),
        ({"columns": {"owner": 3}}, "a value of columns is 3; give a text."),
        ({"columns": {3: "Ada"}}, "a column of columns is 3; give a text."),
    ],
)
def test_a_filter_says_what_is_wrong(given: dict[str, Any], named: str) -> None:
    assert sentence(lambda: Filter(**given)) == named


def test_a_filter_takes_what_means_the_same() -> None:
    plain = Filter(
        labels=("ant", "bee"), folders=("a/b",), min_side=3, modified_after=5.0, columns={"a": "b"}
    )
    for labels in (["ant", "bee"], iter(("ant", "bee")), np.array(["ant", "bee"])):
        made = Filter(
            labels=labels,  # type: ignore[arg-type]
            folders=[Path("a/b/")],  # type: ignore[arg-type]
            min_side=np.int64(3),  # type: ignore[arg-type]
            modified_after=5,
            columns={"a": "b"},
        )
        assert made == plain
    assert Filter.checked(None) is None
    assert Filter.checked(plain) is plain


@PATIENT
@given(ANYTHING)
def test_only_a_filter_is_a_filter(given: Any) -> None:
    if given is None:
        return
    assert "give a Filter" in sentence(lambda: Filter.checked(given))


@PATIENT
@given(ANYTHING)
def test_each_check_takes_its_type_alone(given: Any) -> None:
    with suppress(BadQueryError):
        assert arguments.whole("k", given, 1) >= 1
        assert isinstance(given, int)
        assert not isinstance(given, bool)
    with suppress(BadQueryError):
        assert math.isfinite(arguments.number("max_distance", given, 0))
        assert given >= 0
    with suppress(BadQueryError):
        assert arguments.flag("verify", given) is given
    with suppress(BadQueryError):
        assert arguments.text("index", given) == given
    with suppress(BadQueryError):
        assert isinstance(arguments.several("queries", given), list | tuple)
    with suppress(BadQueryError):
        assert arguments.function("progress", given) is None


def test_the_checks_say_what_is_wrong() -> None:
    wrong: Any = (one for one in "ab")
    assert (
        sentence(lambda: arguments.several("queries", wrong)) == "queries is of type generator; give a list."
    )
    assert sentence(lambda: arguments.several("queries", "a.jpg")) == "queries is 'a.jpg'; give a list."
    assert (
        sentence(lambda: arguments.number("max_distance", math.nan, 0))
        == "max_distance is nan; give a finite number from 0."
    )
    assert sentence(lambda: arguments.whole("k", 0, 1)) == "k is 0; give a whole number from 1."
    assert sentence(lambda: arguments.flag("verify", "no")) == "verify is 'no'; give True or False."
    assert sentence(lambda: arguments.text("index", 3)) == "index is 3; give a text."
    assert sentence(lambda: arguments.text("index", "x\x1b" * 999 and 10**30)).startswith(
        "index is of type int"
    )
    assert arguments.function("progress", print) is print


@PATIENT
@given(ANYTHING)
def test_a_box_is_right_or_refused(given: Any) -> None:
    picture = Image.new("RGB", (10, 10))
    if given is None:
        assert part(picture, given) is picture
        return
    with suppress(BadQueryError):
        cut = part(picture, given)
        assert all(0 <= share <= 1 for share in given)
        assert cut.width >= 1


@pytest.mark.parametrize(
    "box", ["0011", ["0", "0", "1", "1"], {0, 0.5, 1}, (0, 0, math.nan, 1), (0, 0, 1), 5]
)
def test_a_box_of_other_things_is_refused(box: Any) -> None:
    sentence(lambda: part(Image.new("RGB", (10, 10)), box))


def test_arrays_are_red_first() -> None:
    blue = np.zeros((2, 2, 3), np.uint8)
    blue[..., 2] = 255
    assert read_query(blue, 100, None, False).image.getpixel((0, 0)) == (0, 0, 255)
    assert "red first" in sentence(lambda: read_query(blue.astype(np.float32), 100, None, False))
