"""What words say to a network that was trained on ImageNet: which of its thousand classes they mean.

The row of a class in the network's last layer is a direction in the space of its vectors: pictures of that
class lie there. timm carries the classes' names and definitions, and those of 21,844 sets of synonyms, all of
WordNet.
"""

import difflib
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from ris.types import BadQueryError

_WORD = re.compile(r"[a-z0-9]+")
_EMPTY = {
    *("a", "an", "the", "this", "that", "these", "its", "their", "any", "some", "one", "other", "which"),
    *("at", "by", "for", "from", "in", "of", "on", "to", "with", "as", "and", "or", "not"),
    *("are", "be", "is", "having", "used", "usually", "very", "small", "large"),
    *("image", "photo", "photograph", "picture"),
}
"""Words that mean nothing by themselves."""
_LIKE = 0.25
"""Share of a definition's words, rare ones counting more, from which another counts as like it."""


@dataclass(frozen=True)
class Meaning:
    """What was understood of some words."""

    classes: tuple[int, ...]
    """Of ImageNet's thousand, those that are meant."""
    names: tuple[str, ...]
    """Theirs."""
    ignored: tuple[str, ...]
    """Words that nothing is known of, and that changed nothing."""


@dataclass(frozen=True)
class _Vocabulary:
    first_names: Sequence[str]
    by_name: Mapping[tuple[str, ...], set[int]]
    by_last_word: Mapping[str, set[int]]
    name_words: Sequence[frozenset[str]]
    definition_words: Sequence[frozenset[str]]


def meaning(text: str) -> Meaning:
    """Return which classes of ImageNet some words mean.

    Those whose names are among the words, the longest names first, or end in one of them: "umbrella", "dog",
    "a laptop beside a cup". Without such, those whose definitions hold the last word: "musical instrument".
    In both, the other words narrow the choice where they can. Without such, those whose descriptions are
    most like what WordNet says of the words: "emu".

    Raises:
        BadQueryError: nothing is known by that name; the nearest known ones are named.
    """
    words = _words(text)
    if not words:
        raise BadQueryError("There are no words to search with; name what the pictures show.")
    known = _vocabulary()
    found, left = _by_names(words)
    if not found:
        found, left = {i for i, has in enumerate(known.definition_words) if words[-1] in has}, words[:-1]
    if not found:
        found, left = _by_wordnet(words)
    if not found:
        raise BadQueryError(_unknown(words[-1]))
    ignored = []
    for word in left:
        some = {i for i in found if word in known.name_words[i] | known.definition_words[i]}
        if some:
            found = some
        else:
            ignored.append(word)
    classes = tuple(sorted(found))
    return Meaning(classes, tuple(known.first_names[i] for i in classes), tuple(ignored))


def _by_names(words: list[str]) -> tuple[set[int], list[str]]:
    """Return the classes whose names are among the words, and the words that are in none."""
    known, found, left, start = _vocabulary(), set[int](), [], 0
    while start < len(words):
        for end in range(len(words), start, -1):
            some = known.by_name.get(tuple(words[start:end]))
            if some:
                found.update(some)
                start = end
                break
        else:
            some = known.by_last_word.get(words[start])
            if some:
                found.update(some)
            else:
                left.append(words[start])
            start += 1
    return found, left


def _by_wordnet(words: list[str]) -> tuple[set[int], list[str]]:
    """Return the classes whose descriptions share most with the definition of the last words."""
    known = _vocabulary()
    described = [
        names | definition for names, definition in zip(known.name_words, known.definition_words, strict=True)
    ]
    occurs = Counter(word for one in described for word in one)
    weight = {word: math.log(len(described) / count) for word, count in occurs.items()}
    for start in range(len(words)):
        definition = _definitions().get(tuple(words[start:]), frozenset())
        if not definition:
            continue
        whole = sum(weight.get(word, math.log(len(described))) for word in definition)
        shares = [sum(weight[word] for word in definition & one) / whole for one in described]
        most = max(shares)
        if most >= _LIKE:
            return {i for i, share in enumerate(shares) if share >= 0.9 * most}, words[:start]
    return set(), words


def _unknown(word: str) -> str:
    known = _vocabulary()
    near = difflib.get_close_matches(word, sorted(known.by_last_word), 3, cutoff=0.5)
    nearest = f"; the nearest words that it knows are {', '.join(near)}" if near else ""
    return (
        f"The network knows nothing by the name of {word!r}{nearest}; say it in other words, or search by a "
        "picture."
    )


def _words(text: str) -> list[str]:
    return [_singular(word) for word in _WORD.findall(text.lower()) if word not in _EMPTY]


def _singular(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "sses", "xes")):
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


@cache
def _vocabulary() -> _Vocabulary:
    by_name, by_last_word = defaultdict[tuple[str, ...], set[int]](set), defaultdict[str, set[int]](set)
    first_names, name_words, definition_words = [], [], []
    for i, (names, definition) in enumerate(_described("imagenet-1k")):
        first_names.append(names[0])
        parted = [tuple(_words(name)) for name in names]
        for name in parted:
            by_name[name].add(i)
            by_last_word[name[-1]].add(i)
        name_words.append(frozenset(word for name in parted for word in name))
        definition_words.append(frozenset(_words(definition)))
    return _Vocabulary(first_names, by_name, by_last_word, name_words, definition_words)


@cache
def _definitions() -> dict[tuple[str, ...], frozenset[str]]:
    """Return the words of WordNet's first definition of every name."""
    found: dict[tuple[str, ...], frozenset[str]] = {}
    for names, definition in _described("imagenet-22k"):
        for name in names:
            found.setdefault(tuple(_words(name)), frozenset(_words(definition)))
    return found


def _described(subset: str) -> Iterator[tuple[list[str], str]]:
    """Give the names and the definition of every class that timm lists."""
    from timm.data.imagenet_info import ImageNetInfo

    info = ImageNetInfo(subset)
    for i in range(info.num_classes()):  # type: ignore[no-untyped-call]
        names, _, definition = info.index_to_description(i, detailed=True).partition(": ")
        yield names.split(", "), definition
