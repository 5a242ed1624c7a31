"""What is proven of one picture and contents of a gallery."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from itertools import combinations
from typing import TypeAlias

from ris.copies.local_features import LocalFeatures, negative
from ris.copies.looks import further_looks
from ris.copies.relations import UNRELATED, Related, relate
from ris.copies.verification import AT_ONCE, Verified, verify
from ris.gallery.gallery import Gallery
from ris.types import Relation

Proof: TypeAlias = tuple[Verified, Related]
Proofs: TypeAlias = dict[int, Proof]
"""By content, best first."""

FURTHER = 20
"""Candidates in which a query's negative and further looks at it are looked for, where it was not found."""
PROMISING = 4.0
"""Evidence of points and thumbnails from which a candidate's file is read, to compare its pixels."""
SEVERAL = 12
"""Inliers from which it is read whatever its thumbnail says, which mixes what agrees with what does not."""
RELATED = 20
"""Candidates of one query that are read and compared pixel by pixel, at most, those with most evidence."""
VERSIONS = 3
"""So many pictures that are changed versions of a query, no two of them the same, are of one template."""


class Prover:
    """Looks for a picture in contents of a gallery, and says what is proven of each in which it was found."""

    def __init__(self, gallery: Gallery, features: LocalFeatures, content: int | None = None) -> None:
        """Prepare a picture.

        Args:
            gallery: that keeps local features.
            features: of the picture.
            content: whose they are, where they are the gallery's own and know but a thumbnail.
        """
        assert gallery.features is not None
        self._gallery, self._described, self._features = gallery, gallery.features, features
        self._content = content

    def search(self, contents: Sequence[int], k: int) -> tuple[Proofs, set[int]]:
        """Look in contents, until it is found beyond doubt and k of them were looked at.

        Where it is in none of them, its negative and further looks at it are looked for in the first.

        Returns:
            What is proven, best first, and which contents were looked at.
        """
        proofs: Proofs = {}
        for start in range(0, len(contents), AT_ONCE):
            if start >= k and any(self._beyond_doubt(one) for _, one in proofs.values()):
                contents = contents[:start]
                break
            proofs |= self.proofs(contents[start : start + AT_ONCE])
        if not _any_here(proofs):
            proofs |= self._by_further_looks(contents[:FURTHER], proofs)
        return _ordered(self._without_templates(proofs)), set(contents)

    def proofs(self, contents: Sequence[int]) -> Proofs:
        """Look in all of the contents: what is proven, best first."""
        found = verify(self._features, contents, self._described)
        promising = [one for one in found if one.evidence > PROMISING or one.inliers >= SEVERAL]
        related = {proof.row: (proof, self._related(proof)) for proof in promising[:RELATED]}
        return _ordered({proof.row: (proof, UNRELATED) for proof in found} | related)

    def _by_further_looks(self, contents: Sequence[int], known: Proofs) -> Proofs:
        """Look in contents for the picture's negative, then look at it otherwise; return where it is, if so.

        Not where it was proven to share no more than a template: fewer points fit less exactly, and what is
        in doubt tells less. Without what is fine, one form or chart is like the other: a soft look finds
        photographs alone.
        """
        templates = {content for content, (_, one) in known.items() if one.relation is Relation.SAME_TEMPLATE}
        asked = [content for content in contents if content not in templates]
        inverted = Prover(self._gallery, negative(self._whole)).proofs(asked)
        found = {content: one for content, one in inverted.items() if _is_here(one[1])}
        if found:
            return found
        for look in further_looks(self._whole, self._described.side):
            for content, one in Prover(self._gallery, look.features).proofs(asked).items():
                if one[1].relation is Relation.SAME_PICTURE and (one[1].photographic or not look.soft):
                    found[content] = one
            if found:
                break
        return found

    @cached_property
    def _whole(self) -> LocalFeatures:
        """The picture's features, with its pixels in grey as large as they were described."""
        return self._features if self._content is None else _in_full(self._gallery, self._content)

    def _related(self, proof: Verified) -> Related:
        threshold = self._gallery.threshold.evidence
        return relate(self._whole, _in_full(self._gallery, proof.row), proof, threshold)

    def _beyond_doubt(self, related: Related) -> bool:
        enough = related.evidence >= self._gallery.settings.enough_evidence
        return enough and related.relation is Relation.SAME_PICTURE

    def _without_templates(self, proofs: Proofs) -> Proofs:
        """Take what agrees with several different pictures for their template, not for a version of each."""
        changed_version = Relation.CHANGED_VERSION
        versions = [content for content, (_, one) in proofs.items() if one.relation is changed_version]
        if len(versions) < VERSIONS or self._any_same(versions[:VERSIONS]):
            return proofs
        template = Relation.SAME_TEMPLATE
        changed = {one: (proofs[one][0], replace(proofs[one][1], relation=template)) for one in versions}
        return proofs | changed

    def _any_same(self, contents: Sequence[int]) -> bool:
        for one, other in combinations(contents, 2):
            found = Prover(self._gallery, self._described[one], one).proofs([other])
            if any(related.relation is Relation.SAME_PICTURE for _, related in found.values()):
                return True
        return False


def found_in(gallery: Gallery, content: int, others: Sequence[int]) -> list[Proof]:
    """Look for a content in others: each in which it was found, and what is proven of the two."""
    assert gallery.features is not None
    return list(Prover(gallery, gallery.features[content], content).proofs(others).values())


def _ordered(proofs: Proofs) -> Proofs:
    relations = list(Relation)

    def rank(entry: tuple[int, Proof]) -> tuple[int, float, float]:
        proof, related = entry[1]
        return relations.index(related.relation), -related.evidence, -proof.evidence

    return dict(sorted(proofs.items(), key=rank))


def _any_here(proofs: Proofs) -> bool:
    return any(_is_here(related) for _, related in proofs.values())


def _is_here(related: Related) -> bool:
    return related.relation in (Relation.SAME_PICTURE, Relation.CHANGED_VERSION)


def _in_full(gallery: Gallery, content: int) -> LocalFeatures:
    """Return the local features of a content, with its pixels in grey as large as they were described."""
    assert gallery.features is not None
    features, grey = gallery.features[content], gallery.grey(content)
    return features if grey is None else replace(features, grey=grey)
