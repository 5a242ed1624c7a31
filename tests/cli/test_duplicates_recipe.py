"""The recipe of docs/how-to/duplicates.md, with names that a careless one breaks at."""

import re
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs/how-to/duplicates.md"


def test_spare_files_of_any_name_are_put_away(ris: Callable[..., Any], own: Path) -> None:
    odd = ["fish/two\nlines.jpg", "-T", "a b/--x.jpg", "balloon/'\"$(x).jpg"]
    originals = [
        "fish/image_0002.jpg",
        "fish/image_0003.jpg",
        "cactus/image_0001.jpg",
        "balloon/image_0001.jpg",
    ]
    for name, original in zip(odd, originals, strict=True):
        copy = own / "photos" / name
        copy.parent.mkdir(exist_ok=True)
        shutil.copy(own / "photos" / original, copy)
    assert ris("sync", "photos.ris").code == 0
    groups = ris("duplicates", "photos.ris", "--json")
    (own / "groups.json").write_text(groups.out)
    spare = {
        one["path"]
        for group in groups.json
        for one in group["pictures"]
        if one["path"] != group["keep"]["path"]
    }
    assert {"fish/two\nlines.jpg", "-T"} & spare
    recipe = re.findall(r"^(?:jq -j|tar ).*$", PAGE.read_text(), re.MULTILINE)
    assert len(recipe) == 2
    before = {str(one.relative_to(own / "photos")) for one in (own / "photos").rglob("*") if one.is_file()}
    subprocess.run(["sh", "-ec", "\n".join(recipe)], cwd=own, check=True)
    after = {str(one.relative_to(own / "photos")) for one in (own / "photos").rglob("*") if one.is_file()}
    assert before - after == spare
    with tarfile.open(own / "spare.tar") as archive:
        assert set(archive.getnames()) == spare
