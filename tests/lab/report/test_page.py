import dataclasses
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from ris.errors import RisError
from ris.lab.report.page import Context, DataSummary, Picture, RunSummary, render

HOSTILE = "<script>alert('x')</script>"
NAMES = ("metrics", "recall_latency", "explained_variance", "learning_curves", "tsne", "tsne_thumbnails")


def score(base: float) -> dict[str, Any]:
    return {
        "micro": base,
        "micro_ci95": [base - 0.011, base + 0.012],
        "macro": base - 0.1,
        "macro_ci95": [base - 0.113, base - 0.084],
        "n": 1735,
    }


def metrics(shift: float) -> dict[str, Any]:
    exact = {
        "precision@1": score(0.951 + shift),
        "precision@10": score(0.942 + shift),
        "mAP@R": score(0.863 + shift),
    }
    return {
        "knn_pca": exact | {"recall@10": score(0.77 + shift)},
        "annoy": exact | {"ann_recall@10": score(0.66)},
    }


EDITS = {"jpeg10": 0.951, "crop12": 0.312, "frame": 0.213}


def found(mean: float, **more: Any) -> dict[str, Any]:
    per_edit = {edit: recall + mean - 0.8 for edit, recall in EDITS.items()}
    interval = [mean - 0.014, mean + 0.013]
    return {"mean": mean, "mean_ci95": interval, "per_edit": per_edit, "n": 1200} | more


def calibrated(mean: float, threshold: float, false_positive_rate: float) -> dict[str, Any]:
    return found(
        mean,
        n=600,
        precision=0.987,
        precision_ci95=[0.981, 0.993],
        false_positive_rate=false_positive_rate,
        false_positive_rate_ci95=[false_positive_rate - 0.003, false_positive_rate + 0.004],
        threshold=threshold,
        stated_false_positive_rate=0.01,
        n_absent=75,
    )


def same_picture() -> dict[str, Any]:
    def ways(shift: float) -> dict[str, Any]:
        return {
            name: {f"recall@{k}": found(mean + shift + k / 1000) for k in (1, 30, 100)}
            for name, mean in (("knn", 0.501), ("annoy_pca", 0.481))
        }

    more = {
        name: {"recall@1": found(0.702), "recall@30": found(0.853)}
        for name in ("whitened", "regions", "views")
    }
    more["whitened"]["recall_at_fpr01"] = calibrated(0.523, -0.4321, 0.013)
    return {
        "finetuned": ways(0),
        "pretrained": ways(0.1)
        | more
        | {
            "candidates": {"recall@1": found(0.774)},
            "verified": {"recall@1": found(0.874), "recall_at_fpr01": calibrated(0.856, 14.0, 0.008)},
        },
    }


@pytest.fixture
def context(tmp_path: Path) -> Context:
    def picture(name: str) -> Picture:
        Image.new("RGB", (30, 20), "teal").save(tmp_path / name)
        return Picture(tmp_path / name, f"Caption of {name}")

    return Context(
        data=DataSummary(
            name="caltech101",
            attribution="Li et al., CC BY 4.0",
            classes=101,
            split={"query": 1735, "train": 6248, "validation": 694},
            near_duplicate_groups=447,
            near_duplicate_images=913,
            rejected=pd.DataFrame(
                [(f"noise/{number}.jpg", "background", "a background picture") for number in range(40)]
                + [("cut.jpg", "truncated", f"ends early {HOSTILE}")],
                columns=["path", "kind", "reason"],
            ),
        ),
        run=RunSummary(
            command="dvc repro",
            backbone="efficientnet_lite0",
            dimension=1280,
            projections={"finetuned": "128 dimensions after PCA", "pretrained": f"{HOSTILE} and PCA"},
            epochs=6,
            training="6 epochs at 176 px.",
            seed=0,
            processor="Some Processor",
            cores=2,
            versions={"torch": "2.14.1"},
            not_measured=["ResNet-50 on real weights."],
        ),
        headline=("finetuned", "knn_pca"),
        same_class={"finetuned": metrics(0.0), "pretrained": metrics(-0.2)},
        unseen_class={},
        same_picture={},
        same_picture_store={},
        same_picture_cost={},
        proofs=[],
        capped={"precision@10": 37},
        latency={
            "search": {
                "knn_pca": {
                    "p50_ms": 0.1184,
                    "p95_ms": 0.153,
                    "p99_ms": 0.212,
                    "queries_per_s": 25424.0,
                    "build_s": 0.0041,
                    "size_bytes": 3_554_000,
                    "resident_bytes": 3_910_000,
                },
                "annoy": {"p50_ms": 0.41},
            },
            "embed": {"p50_ms": 21.3, "p95_ms": 24.9, "p99_ms": 31.04},
            "extract": {"images_per_second": 121.3},
        },
        per_class=pd.DataFrame(
            {"label": ["ant", HOSTILE], "finetuned": [0.512, float("nan")], "queries": [17, 1200]}
        ),
        worst_queries=pd.DataFrame({"path": ["ant/1.jpg"], "average_precision": [0.017]}),
        confusions=pd.DataFrame({"label": ["ant"], "wrong_label": ["tick"], "share": [0.231]}),
        stages=pd.DataFrame({"stage": ["fetch", "clean"], "minutes": [0.25, 1.5]}),
        tsne={
            "kl_divergence": 1.058,
            "trustworthiness": 0.9912,
            "trustworthiness_points": 2000,
            "perplexity": 30.0,
        },
        neighbours=[picture(f"neighbours_{number}.jpg") for number in range(6)],
        pictures={name: picture(f"{name}.png") for name in (*NAMES, "per_class", "confusions")},
    )


@pytest.fixture
def asked(context: Context, tmp_path: Path) -> Context:
    """The page of a run that also asked where a very picture is."""

    def picture(name: str) -> Picture:
        Image.new("RGB", (30, 20), "olive").save(tmp_path / name)
        return Picture(tmp_path / name, f"Caption of {name}")

    names = ("same_picture_recall", "same_picture_scores")
    return dataclasses.replace(
        context,
        same_picture=same_picture(),
        same_picture_cost={
            "p50_ms": 153.2,
            "p95_ms": 318.4,
            "queries": 100,
            "threads": 2,
            "local_features_bytes_per_picture": 34_012,
            "region_rows": 34_710,
        },
        proofs=[picture(f"{edit}.jpg") for edit in EDITS],
        pictures={**context.pictures, **{name: picture(f"{name}.png") for name in names}},
    )


def section(page: str, name: str) -> str:
    """The text of one section of the page, cells apart, with every dash a hyphen."""
    html = page.partition(f'<h2 id="{name}">')[2].partition("</section>")[0]
    return " ".join(re.sub(r"<[^>]*>", " ", html).replace("\u2013", "-").split())


class Page(HTMLParser):
    """Collects what a browser would load, show and run."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in ("meta", "img", "link", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data


def values(page: Page, tag: str, name: str) -> list[str]:
    return [value for one, attribute, value in page.attributes if (one, attribute) == (tag, name)]


def test_a_store_is_told_by_group_of_edits_and_by_family(context: Context) -> None:
    shares = {"per_edit": {"crop50": 0.917, "print": 0.25}, "strangers": {"bar_charts": 0.042, "plain": 0.0}}
    store = {
        **shares,
        **{f"{name}_n": dict.fromkeys(values, 24) for name, values in shares.items()},
        **{f"{name}_ci95": dict.fromkeys(values, (0.1, 0.9)) for name, values in shares.items()},
        **{"mean": 0.583, "mean_ci95": [0.5, 0.7], "n": 48, "pictures": 1500, "chosen_on": ["crop50"]},
        **{"mean_of_others": 0.25, "strangers_mean": 0.021, "strangers_mean_of_others": 0.0},
    }
    asked = dataclasses.replace(
        context,
        same_picture={"pretrained": {"verified": {"recall@1": found(0.9)}}},
        same_picture_store=store,
    )
    text = " ".join(re.sub(r"<[^>]+>", " ", render(asked)).split())
    assert "a store of 1,500 pictures" in text
    assert "Cut cropped to 50% 0.917 0.100 to 0.900 24 chose" in text
    assert "Bent photograph of a print 0.250 0.100 to 0.900 24 reports" in text
    assert "bar charts 0.042 0.100 to 0.900 24 reports" in text
    assert "Redrawn" not in text
    assert "In a store" not in render(context)


def test_the_page_loads_nothing_and_runs_nothing(context: Context) -> None:
    html = render(context)
    page = Page(html)
    assert not page.open
    assert not {"script", "link", "iframe", "object"} & set(page.tags)
    sources = [
        value for _, name, value in page.attributes if name in ("src", "srcset", "href", "data", "poster")
    ]
    assert all(value.startswith(("data:image/webp;base64,", "#")) for value in sources)
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert "@import" not in html
    assert "url(" not in html


def test_every_picture_is_embedded_with_its_size_and_words(context: Context) -> None:
    page = Page(render(context))
    assert page.tags.count("img") == len(context.neighbours) + len(context.pictures)
    captions = [picture.caption for picture in (*context.neighbours, *context.pictures.values())]
    assert sorted(values(page, "img", "alt")) == sorted(captions)
    assert set(values(page, "img", "width")) == {"30"}
    assert set(values(page, "img", "height")) == {"20"}


def test_links_lead_to_sections_and_headings_are_in_order(context: Context) -> None:
    page = Page(render(context))
    targets = [value for _, name, value in page.attributes if name == "id"]
    assert {link.removeprefix("#") for link in values(page, "a", "href")} <= set(targets)
    assert len(set(targets)) == len(targets)
    assert page.tags.count("h1") == 1
    assert values(page, "meta", "name").count("viewport") == 1


def test_a_hostile_name_is_text(context: Context) -> None:
    hostile = dataclasses.replace(
        context,
        data=dataclasses.replace(context.data, name=HOSTILE, attribution=HOSTILE),
        neighbours=[dataclasses.replace(context.neighbours[0], caption=f'"{HOSTILE}" onload="x"')],
    )
    page = Page(render(hostile))
    assert "script" not in page.tags
    assert page.text.count(HOSTILE) >= 5
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]


def test_every_figure_is_on_the_page(context: Context) -> None:
    text = " ".join(Page(render(context)).text.split())
    for encoder in context.same_class.values():
        for index in encoder.values():
            for value in index.values():
                for number in (value["micro"], value["macro"], *value["micro_ci95"], *value["macro_ci95"]):
                    assert f"{number:.3f}" in text
    for figure in (
        "0.118",
        "0.153",
        "0.212",
        "25,400",
        "0.00410",
        "3.55 MB",
        "3.91 MB",
        "0.410",
        "21.3",
        "31.0",
        "121",
    ):
        assert figure in text
    for words in (
        "8,677 images",
        "1,735 queries",
        "6,248",
        "694",
        "913 images",
        "447 groups",
        "41",
        "Some Processor, 2 cores",
    ):
        assert words in text
    for words in (
        "1.058",
        "0.991",
        "2,000 points",
        "1,200",
        "0.017",
        "0.231",
        "torch 2.14.1",
        "37 of 1,735 queries",
    ):
        assert words in text


def test_unseen_classes_have_a_section_of_their_own(context: Context) -> None:
    assert 'id="unseen"' not in render(context)
    one = {**score(0.611), "macro_by_draw": [0.501, 0.502, 0.533], "n_classes": 63}
    metrics = dict.fromkeys(("precision@1", "precision@10", "mAP@R"), one)
    asked = dataclasses.replace(
        context,
        unseen_class={name: {"knn_pca": metrics} for name in ("finetuned", "pretrained")},
    )
    page = render(asked)
    section = page.partition('<h2 id="unseen">')[2].partition("</section>")[0]
    assert "63 classes were held out in 3 draws" in section
    assert "fine-tuned 0.501, 0.502, 0.533" in section
    assert section.count("0.611<small>0.600") == 6
    assert 'href="#unseen"' in page
    assert "ImageNet" not in section
    for end, value in (("new", 0.377), ("known", 0.733)):
        one |= {f"macro_{end}_to_imagenet{key}": found for key, found in (("", value), ("_ci95", [0.3, 0.8]))}
        one |= {f"n_classes_{end}_to_imagenet": 30, f"macro_{end}_to_imagenet_by_draw": [0.311, 0.322]}
    section = render(asked).partition('<h2 id="unseen">')[2].partition("</section>")[0]
    assert "0.377 (0.300 to 0.800)" in section
    assert "0.311, 0.322" in section
    assert "0.733 (0.300 to 0.800)" in section


def test_without_the_question_nothing_is_said_of_it(context: Context) -> None:
    page = render(context)
    assert "same_picture" not in page
    assert "Where is this very picture?" not in page
    assert "false-positive" not in page


def test_a_page_with_all_sections_is_whole(asked: Context) -> None:
    page = Page(render(asked))
    assert not page.open
    captions = [one.caption for one in (*asked.neighbours, *asked.pictures.values(), *asked.proofs)]
    assert sorted(values(page, "img", "alt")) == sorted(captions)
    targets = [value for _, name, value in page.attributes if name == "id"]
    assert "#same_picture" in values(page, "a", "href")
    assert targets.count("same_picture") == 1


def test_every_recall_of_the_very_picture_is_shown_with_its_interval(asked: Context) -> None:
    text = section(render(asked), "same_picture")
    assert "1,200 queries were asked: 400 pictures of the gallery, each after 3 edits" in text
    assert "JPEG at quality 10, cropped to 12%, in a screenshot." in text
    assert "KNN fine-tuned 0.502 0.488-0.515 0.531 0.517-0.544 0.601 0.587-0.614" in text
    assert "KNN pre-trained 0.602 0.588-0.615 0.631 0.617-0.644 0.701 0.687-0.714" in text
    assert "ANNOY with PCA fine-tuned 0.482" in text
    assert "gallery regions pre-trained 0.702 0.688-0.715 0.853 0.839-0.866 -" in text
    assert "verified pre-trained 0.874 0.860-0.887 - -" in text
    assert "verified fine-tuned" not in text


def test_a_calibrated_answer_is_a_sentence_a_score(asked: Context) -> None:
    text = section(render(asked), "same_picture")
    assert (
        "By proof, a picture is here where the evidence is above 14.0: "
        '98.7% (95% interval 98.1% to 99.3%) of the answers "here" name the original '
        "(in this mix of queries), "
        "85.6% (95% interval 84.2% to 86.9%) of the 600 queries whose original is in the gallery "
        "are answered with it, "
        'and 0.8% (95% interval 0.5% to 1.2%) of the 75 others are answered "here" '
        "though it is not; 1.0% was allowed."
    ) in text
    assert (
        "By distance alone (KNN, whitened, pre-trained), "
        "a picture is here where one is nearer than 0.432:" in text
    )
    assert text.count("name the original") == 2


def test_recall_edit_by_edit_is_of_the_encoder_that_gives_the_candidates(asked: Context) -> None:
    text = section(render(asked), "same_picture")
    assert "Query one vector all rankings, in turn verified" in text
    assert "JPEG at quality 10 0.853 0.925 1.025" in text
    assert "in a screenshot 0.115 0.187 0.287" in text


def test_what_the_proof_costs(asked: Context) -> None:
    text = section(render(asked), "same_picture")
    assert "takes 153 ms at the median and 318 ms at the 95th percentile, over 100 queries" in text
    assert "one at a time on 2 threads" in text
    assert "take 34.0 kB on disk, and the regions add 34,710 vectors" in text
    free = dataclasses.replace(asked, same_picture_cost={})
    assert "What the proof costs" not in render(free)


def test_a_collection_too_small_to_calibrate_has_no_such_answer(asked: Context) -> None:
    small = same_picture()
    for way in ("whitened", "verified"):
        del small["pretrained"][way]["recall_at_fpr01"]
    page = render(dataclasses.replace(asked, same_picture=small, proofs=[]))
    assert "Here, or not here" not in page
    assert "No answers are shown in this run." in page


def test_a_share_of_nothing_is_a_dash(asked: Context) -> None:
    never = same_picture()
    never["pretrained"]["verified"]["recall_at_fpr01"] |= {"precision": None, "precision_ci95": None}
    never["pretrained"]["verified"]["recall@1"]["per_edit"]["crop12"] = None
    text = section(render(dataclasses.replace(asked, same_picture=never)), "same_picture")
    assert 'above 14.0: — of the answers "here" name the original' in text
    assert "cropped to 12% 0.214 0.286 —" in text


def test_retrieval_recall_is_not_taken_for_ann_recall(asked: Context) -> None:
    text = section(render(asked), "definitions")
    for word in ("candidates", "verified", "recall at a false-positive rate", "recall@k of the very picture"):
        assert word in text
    assert "has nothing to do with ANN recall" in text
    assert "ANN" not in section(render(asked), "same_picture").replace("ANNOY", "")


def test_the_first_sentence_is_the_answer(context: Context) -> None:
    text = " ".join(Page(render(context)).text.split())
    assert (
        "Of the 10 pictures nearest to a query, 94.2% show the same class (95% interval 93.1% to 95.4%)"
        in text
    )
    assert (
        "84.2% when every class counts alike (82.9% to 85.8%), and the median search takes 0.118 ms." in text
    )


def test_what_fine_tuning_bought_is_the_difference(context: Context) -> None:
    text = re.sub(r"\s+", " ", Page(render(context)).text)
    assert "precision@10, micro0.7420.942+0.200" in text


def test_every_projection_is_told(context: Context) -> None:
    told = re.sub(r"\s+", " ", Page(section(render(context), "run")).text)
    assert "Projection, fine-tuned 128 dimensions after PCA" in told
    assert f"Projection, pre-trained {HOSTILE} and PCA" in told


def test_dropped_files_are_counted_in_full_and_listed_in_part(context: Context) -> None:
    text = " ".join(Page(render(context)).text.split())
    assert "41 files are not in the catalog: 40 background, 1 truncated." in text
    assert text.count("noise/") == 15
    assert "cut.jpg" in text


def test_what_is_missing_is_said(context: Context) -> None:
    bare = dataclasses.replace(
        context,
        data=dataclasses.replace(context.data, rejected=context.data.rejected[:0]),
        run=dataclasses.replace(context.run, epochs=0, not_measured=[]),
        headline=("pretrained", "annoy"),
        same_class={"pretrained": {"annoy": {"precision@1": score(0.5), "mAP@R": score(0.4)}}},
        capped={},
        latency={"search": {}},
        tsne={},
        neighbours=[],
        pictures={"tsne": Picture(Path("nowhere/tsne.png"), "The map")},
    )
    text = " ".join(Page(render(bare)).text.split())
    assert "the network was not trained (finetune.epochs is 0)" in text
    assert "No learning curves picture." in text
    assert "this run has no tsne.png" in text
    assert "No sample queries" in text
    assert "Nothing: every file of the source is in the catalog." in text
    assert "The picture nearest to a query shows the same class for 50.0% of queries" in text


def test_the_same_run_is_the_same_page(context: Context) -> None:
    assert render(context) == render(context)


def test_a_broken_picture_is_one_sentence(context: Context) -> None:
    context.neighbours[0].path.write_text("no picture")
    with pytest.raises(RisError, match=r"neighbours_0\.jpg is not a readable picture"):
        render(context)
