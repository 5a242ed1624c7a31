"""The table of Caltech 101's classes against timm's list of ImageNet's."""

from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd
from timm.data.imagenet_info import ImageNetInfo

from ris.lab.data.known_to_imagenet import COLUMNS, known_classes

PROJECT = Path(__file__).parents[3]
TABLE = pd.read_csv(str(files("ris.lab.data.known_to_imagenet") / "caltech101.csv"), keep_default_na=False)


def test_every_class_has_a_line() -> None:
    classes = pd.read_csv(PROJECT / "reports/per_class.csv")["label"]
    assert list(TABLE.columns) == COLUMNS
    assert set(TABLE["class"]) == set(classes)
    assert len(classes) == 101
    assert TABLE["class"].is_monotonic_increasing


def test_every_synset_is_imagenet_s_under_timm_s_name() -> None:
    imagenet: Any = ImageNetInfo("imagenet-1k")
    for _, line in TABLE.iterrows():
        if line["relation"] == "none":
            assert (line["synset"], line["name"]) == ("", "")
        else:
            assert line["relation"] in {"same", "kind", "wider"}
            assert line["synset"] in imagenet.label_names()
            assert line["name"] == imagenet.label_name_to_description(line["synset"], detailed=False)
    assert not TABLE.loc[TABLE["synset"] != "", ["class", "synset"]].duplicated().any()
    assert TABLE.groupby("class")["relation"].nunique().max() == 1


def test_about_half_of_the_classes_are_known() -> None:
    known = known_classes("caltech101")
    assert known is not None
    assert len(known) == 53
    assert {"dalmatian", "accordion", "Motorbikes", "crocodile_head"} <= known
    assert not {"Faces", "Faces_easy", "garfield", "yin_yang", "euphonium", "wild_cat"} & known


def test_another_data_set_has_no_table() -> None:
    assert known_classes("demo") is None
