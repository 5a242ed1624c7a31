"""All that can be said of a store without searching it."""

from ris.store.commits import FORMAT
from ris.store.gallery import StoreGallery
from ris.types import Info


def describe_store(gallery: StoreGallery) -> Info:
    """Describe what a store holds and how it is searched."""
    commit, note = gallery.commit, gallery.commit.space
    recall = None if note is None else note.recall
    choice = gallery.choice()
    return Info(
        store=str(gallery.store),
        folder=str(gallery.folder),
        pictures=len(gallery.catalogue),
        rejected=len(gallery.rejected),
        labels=len(gallery.catalogue.labels()),
        columns=gallery.catalogue.columns,
        encoder=gallery.network.name,
        dimension=gallery.network.dimension,
        copies_encoder=None if gallery.copies is None else gallery.copies.network.name,
        precision=gallery.precision,
        indexes=gallery.indexes,
        local_features=gallery.settings.same_picture,
        regions=gallery.regions,
        threshold=gallery.threshold.evidence,
        threshold_over=gallery.threshold.over,
        false_positive_rate=gallery.threshold.false_positive_rate,
        bytes=gallery.size_on_disk(),
        format=FORMAT,
        version=commit.number,
        generation=gallery.generation,
        auto=f"{choice.index}: {choice.why}",
        space_version=None if note is None else note.version,
        space_fitted_to=None if note is None else note.contents,
        recall=None if recall is None else {"all": recall.unfiltered, **recall.filtered},
        unread=commit.unread,
    )
