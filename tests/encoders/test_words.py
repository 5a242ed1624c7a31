"""Words are taken for the classes of ImageNet that a reader of its list would take them for."""

import pytest
from timm.data.imagenet_info import ImageNetInfo

from ris.encoders.words import meaning
from ris.types import BadQueryError


def described(number: int) -> str:
    return str(ImageNetInfo().index_to_description(number, detailed=True))


@pytest.mark.parametrize(
    ("text", "names", "ignored"),
    [
        ("umbrella", {"umbrella"}, ()),
        ("A red umbrella", {"umbrella"}, ("red",)),
        ("Umbrellas!", {"umbrella"}, ()),
        ("grand pianos", {"grand piano"}, ()),
        ("a laptop beside a cup", {"laptop", "cup"}, ("beside",)),
        ("tandem bicycle", {"bicycle-built-for-two"}, ()),
        ("elephant", {"Indian elephant", "African elephant"}, ()),
        ("African elephant", {"African elephant"}, ()),
        ("elephant of India", {"Indian elephant", "African elephant"}, ("india",)),
        ("emu", {"ostrich"}, ()),
    ],
)
def test_words_are_taken_for_classes(text: str, names: set[str], ignored: tuple[str, ...]) -> None:
    meant = meaning(text)
    assert (set(meant.names), meant.ignored) == (names, ignored)
    assert len(meant.classes) == len(meant.names)
    for number, name in zip(meant.classes, meant.names, strict=True):
        assert described(number).startswith(name)


def test_every_first_name_of_a_class_means_it() -> None:
    wrong = []
    for number in range(1000):
        name = described(number).partition(": ")[0].split(", ")[0]
        if number not in meaning(name).classes:
            wrong.append(name)
    assert wrong == []


def test_a_word_of_the_definitions_means_all_that_it_defines() -> None:
    meant = meaning("musical instrument")
    assert len(meant.classes) > 3
    for number in meant.classes:
        text = described(number).lower()
        assert "instrument" in text
        assert "musical" in text


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("umbrela", "nothing by the name of 'umbrela'; the nearest words that it knows are umbrella"),
        ("qqqqqq", "nothing by the name of 'qqqqqq'; say it in other words, or search by a picture."),
        ("  of the ", "There are no words to search with"),
        ("\x1b[2J", "nothing by the name of"),
    ],
)
def test_what_is_not_known_is_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(BadQueryError) as told:
        meaning(text)
    assert sentence in str(told.value)
    assert "\x1b" not in str(told.value)
