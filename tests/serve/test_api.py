"""The API answers what the engine answers, and every refusal is a problem."""

import csv
import io
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families

from ris.engine import Filter, Hit, SearchEngine
from ris.indexes.registry import SEARCHABLE
from ris.serve import Settings
from serve.conftest import COPY, EACH, FOLDERS, INDEXES, NASTY, TOKEN, Live, encoded, running

Row = Callable[[str], int]
TOTAL = EACH * len(FOLDERS) + 2


def get(live: Live, path: str, **parameters: Any) -> Any:
    response = live.client.get(path, params=parameters)
    assert response.status_code == 200, response.text
    return response.json()


def post(live: Live, path: str, picture: bytes, **parameters: Any) -> Any:
    response = live.client.post(path, params=parameters, files={"picture": picture})
    assert response.status_code == 200, response.text
    return response.json()


def refused(response: httpx.Response, status: int) -> Any:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == status
    assert problem["title"]
    assert problem["type"] == "about:blank"
    assert "Traceback" not in problem["detail"]
    return problem


def when_ready(live: Live, path: str) -> httpx.Response:
    response = live.client.get(path)
    while response.status_code == 202:
        assert response.json().keys() == {"what", "done", "total"}
        time.sleep(0.05)
        response = live.client.get(path)
    assert response.status_code == 200, response.text
    return response


def plain(hits: list[Hit]) -> list[tuple[str, float]]:
    return [(hit.path, hit.distance) for hit in hits]


def told(hits: list[Any]) -> list[tuple[str, float]]:
    return [(hit["picture"]["path"], hit["distance"]) for hit in hits]


def test_about_names_the_store_and_no_path_of_this_machine(live: Live) -> None:
    about = get(live, "/api/about")
    assert about["pictures"] == TOTAL
    assert about["rejected"] == 1
    searched = [SEARCHABLE[name] for name in live.engine.indexes]
    assert about["indexes"] == [{"name": o.name, "label": o.label, "note": o.note} for o in searched]
    assert about["name"] == "store"
    assert about["auto"] == live.engine.info().auto
    assert str(live.engine.folder) not in str(about)


def test_labels_and_folders_are_those_of_the_tree(live: Live) -> None:
    assert get(live, "/api/labels") == [
        {"name": "beach", "pictures": EACH + 1},
        {"name": "city", "pictures": EACH + 1},
        {"name": "deep", "pictures": EACH},
        {"name": "edge", "pictures": EACH},
    ]
    assert get(live, "/api/folders") == ["beach", "city", "forest", "forest/deep", "forest/edge"]


def test_pictures_come_by_path_in_parts(live: Live) -> None:
    paths: list[str] = []
    while len(paths) < TOTAL:
        found = get(live, "/api/pictures", offset=len(paths), limit=7)
        assert found["total"] == TOTAL
        paths += [one["path"] for one in found["pictures"]]
    assert paths == sorted(paths)
    assert len(set(paths)) == TOTAL
    assert {COPY, f"city/{NASTY}"} < set(paths)


def test_mixed_pictures_are_all_of_them_in_one_order(live: Live) -> None:
    parts = [get(live, "/api/pictures", mixed=True, offset=offset, limit=20) for offset in (0, 20)]
    paths = [one["path"] for part in parts for one in part["pictures"]]
    assert len(set(paths)) == TOTAL
    assert len({path.split("/")[0] for path in paths[:12]}) == 3
    again = get(live, "/api/pictures", mixed=True, limit=500)
    assert [one["path"] for one in again["pictures"]] == paths


def test_pictures_pass_a_filter(live: Live) -> None:
    found = get(live, "/api/pictures", label=["deep", "city"], folder=["forest"])
    assert found["total"] == EACH
    assert {one["label"] for one in found["pictures"]} == {"deep"}


def test_a_picture_is_described(live: Live, row: Row) -> None:
    picture = live.engine.picture(row("beach/1.png"))
    found = get(live, f"/api/pictures/{picture.row}")
    assert (found["width"], found["height"]) == (180, 240)
    assert found["sha256"] == picture.sha256
    assert found["bytes"] == live.engine.file(picture.row).stat().st_size


@pytest.mark.parametrize("kind", ["thumbnail", "view"])
def test_a_picture_is_shown(live: Live, row: Row, made: Any, kind: str) -> None:
    url = get(live, f"/api/pictures/{row('city/2.png')}")[kind]
    response = live.client.get(f"{url}&side=100")
    assert response.headers["content-type"] == "image/jpeg"
    shown = Image.open(io.BytesIO(response.content))
    assert shown.size == (100, 50)
    original = Image.open(made / "pictures/city/2.png").resize((100, 50))
    assert np.abs(np.asarray(shown, np.float64) - np.asarray(original, np.float64)).mean() < 20


def test_a_picture_of_this_version_is_kept_for_ever_and_others_are_asked_for(live: Live, row: Row) -> None:
    base = f"/api/pictures/{row('city/2.png')}/thumbnail"
    current = live.client.get(get(live, base.removesuffix("/thumbnail"))["thumbnail"])
    assert "immutable" in current.headers["cache-control"]
    for version in ("", "?v=0123456789ab", "?v="):
        response = live.client.get(base + version)
        assert "no-cache" in response.headers["cache-control"]
    again = live.client.get(base, headers={"If-None-Match": current.headers["etag"]})
    assert again.status_code == 304
    assert again.content == b""
    larger = live.client.get(base, params={"side": 99}, headers={"If-None-Match": current.headers["etag"]})
    assert larger.status_code == 200


def test_a_view_bears_none_of_the_files_metadata(live: Live, row: Row, made: Any) -> None:
    exif = Image.Exif()
    exif[0x010E] = "where I live"
    picture = made / "pictures/city/4.png"
    before = picture.read_bytes()
    try:
        Image.open(io.BytesIO(before)).save(picture, exif=exif, comment="secret")
        response = live.client.get(f"/api/pictures/{row('city/4.png')}/view")
    finally:
        picture.write_bytes(before)
    assert response.status_code == 200
    assert b"where I live" not in response.content
    assert not Image.open(io.BytesIO(response.content)).getexif()


def test_a_sheet_shows_middles_in_their_places_and_grey_where_there_is_none(
    live: Live, row: Row, made: Any
) -> None:
    rows = [row(f"beach/{place}.png") for place in range(8)] + [10**9, row("city/2.png")]
    response = live.client.get("/api/sheet", params={"rows": ",".join(map(str, rows)), "side": 40})
    sheet = np.asarray(Image.open(io.BytesIO(response.content)), np.float64)
    assert sheet.shape == (80, 320, 3)
    wide = Image.open(made / "pictures/city/2.png")
    middle = wide.crop((75, 0, 225, 150)).resize((40, 40))
    assert np.abs(sheet[40:, 40:80] - np.asarray(middle, np.float64)).mean() < 25
    assert np.abs(sheet[42:78, 2:38] - 127).mean() < 6
    assert np.abs(sheet[42:, 90:] - 127).mean() < 6


@pytest.mark.parametrize("index", ["auto", *INDEXES])
def test_a_search_from_a_row_is_the_engines(live: Live, row: Row, index: str) -> None:
    start = row("forest/edge/5.png")
    found = get(live, "/api/search", row=start, k=9, index=index)
    assert told(found["hits"]) == plain(live.engine.search(start, 9, index=index))
    assert found["more"]
    assert found["milliseconds"] > 0


def test_a_search_with_an_upload_is_the_engines(live: Live, part: bytes) -> None:
    found = post(live, "/api/search", part, k=6)
    expected = live.engine.search(part, 6)
    assert told(found["hits"]) == plain(expected)
    first = found["hits"][0]
    assert first["picture"]["path"] == "forest/deep/1.png"
    assert first["same_picture"] is True
    assert first["match_score"] > 0
    assert np.allclose(first["outline"], [(20, 30), (160, 30), (160, 200), (20, 200)], atol=3)


def test_a_search_with_words_is_the_engines(live: Live) -> None:
    answer = live.engine.search_text("red umbrella", 5)
    found = get(live, "/api/text", text="red umbrella", k=5, offset=2)
    assert told(found["hits"]) == plain(answer.hits)[2:]
    assert (found["meant"], found["ignored"], found["more"]) == (["umbrella"], ["red"], True)
    within = get(live, "/api/text", text="umbrella", label=["deep"])
    assert {hit["picture"]["label"] for hit in within["hits"]} == {"deep"}
    problem = refused(live.client.get("/api/text", params={"text": "umbrela"}), 400)
    assert "the nearest words that it knows are umbrella" in problem["detail"]
    refused(live.client.get("/api/text", params={"text": ""}), 422)


def test_marks_are_the_engines(live: Live, stranger: bytes) -> None:
    start, *others = [hit.row for hit in live.engine.search(stranger, 5)]
    like, unlike = others[:2], others[2:3]
    marks = {"like": like, "unlike": unlike, "k": 8}
    expected = plain(live.engine.search(start, 8, like=like, unlike=unlike))
    assert told(get(live, "/api/search", row=start, **marks)["hits"]) == expected
    expected = plain(live.engine.search(stranger, 8, like=like, unlike=unlike))
    assert told(post(live, "/api/search", stranger, **marks)["hits"]) == expected
    expected = plain(live.engine.search_text("umbrella", 8, like=like, unlike=unlike).hits)
    assert told(get(live, "/api/text", text="umbrella", **marks)["hits"]) == expected
    refused(live.client.get("/api/search", params={"row": start, "like": [10**9]}), 404)
    refused(live.client.get("/api/search", params={"row": start, "like": [start] * 51}), 422)


def test_pages_of_a_search_are_parts_of_one_answer(live: Live, stranger: bytes) -> None:
    whole = told(post(live, "/api/search", stranger, k=20, verify=False)["hits"])
    parts = [post(live, "/api/search", stranger, k=k, offset=k - 5, verify=False) for k in (5, 10, 15, 20)]
    assert [hit for found in parts for hit in told(found["hits"])] == whole
    assert not post(live, "/api/search", stranger, k=500, verify=False)["more"]


def test_a_search_goes_by_its_limits(live: Live, stranger: bytes) -> None:
    hits = told(post(live, "/api/search", stranger, k=34, verify=False)["hits"])
    limit = (hits[9][1] + hits[10][1]) / 2
    near = post(live, "/api/search", stranger, k=34, verify=False, max_distance=limit)
    assert told(near["hits"]) == hits[:10]
    only = post(live, "/api/search", stranger, k=34, label=["city"], folder=["city", "beach"], verify=False)
    assert [path for path, _ in told(only["hits"])] == [path for path, _ in hits if path.startswith("city/")]


def test_a_search_by_a_part_is_a_search_with_that_part(live: Live, row: Row, made: Any) -> None:
    picture = Image.open(made / "pictures/beach/0.png")
    cut = encoded(picture.crop((60, 45, 180, 135)))
    box = "0.25,0.25,0.75,0.75"
    whole = encoded(picture)
    by_box = told(post(live, "/api/search", whole, k=5, box=box)["hits"])
    assert by_box == told(post(live, "/api/search", cut, k=5)["hits"])
    others = [hit for hit in by_box if hit[0] != "beach/0.png"][:4]
    assert told(get(live, "/api/search", row=row("beach/0.png"), k=5, box=box)["hits"])[:4] == others


def test_collapsing_folds_the_copy_into_its_original(live: Live, row: Row) -> None:
    original = live.engine.file(row("beach/3.png")).read_bytes()
    hits = post(live, "/api/search", original, k=TOTAL, collapse=True)["hits"]
    assert hits[0]["picture"]["path"] == "beach/3.png"
    assert [copy["path"] for copy in hits[0]["copies"]] == [COPY]
    assert COPY not in [path for path, _ in told(hits)]


def test_a_part_is_found_and_a_stranger_is_not(live: Live, part: bytes, stranger: bytes) -> None:
    found = post(live, "/api/find", part)
    assert found["here"] is True
    assert found["hits"][0]["picture"]["path"] == "forest/deep/1.png"
    assert found["hits"][0]["same_picture"] is True
    missing = post(live, "/api/find", stranger)
    assert missing["here"] is False
    assert not any(hit["same_picture"] for hit in missing["hits"])
    assert 0 < missing["false_positive_rate"] < 0.1


def test_a_row_is_found_elsewhere(live: Live, row: Row) -> None:
    assert get(live, "/api/find", row=row("beach/3.png"))["hits"][0]["picture"]["path"] == COPY
    assert get(live, "/api/find", row=row("city/1.png"))["here"] is False


def test_every_index_is_compared(live: Live, stranger: bytes, row: Row) -> None:
    columns = post(live, "/api/compare", stranger, k=7)["columns"]
    assert [column["index"] for column in columns] == list(INDEXES)
    for column in columns:
        assert column["milliseconds"] > 0
        expected = live.engine.search(stranger, 7, index=column["index"], verify=False)
        assert told(column["hits"]) == plain(expected)
    assert (
        len(get(live, "/api/compare", row=row("city/1.png"), k=3, label=["deep"])["columns"][0]["hits"]) == 3
    )


def test_the_map_has_every_picture_and_places_others_near_their_neighbours(live: Live, part: bytes) -> None:
    content = when_ready(live, "/api/map").content
    count = len(content) // 16
    rows, labels = np.frombuffer(content, "<i4", 2 * count).reshape(2, count)
    places = np.frombuffer(content, "<f4", offset=8 * count).reshape(count, 2)
    pictures = {one.row: one for one in live.engine.pictures()}
    assert sorted(rows) == sorted(pictures)
    names = list(live.engine.labels())
    assert [names[label] for label in labels] == [pictures[row].label for row in rows.tolist()]
    expected = dict(zip(*(part.tolist() for part in live.engine.map()), strict=True))
    assert all(np.allclose(place, expected[row]) for row, place in zip(rows.tolist(), places, strict=True))

    put = post(live, "/api/place", part)
    near = [expected[hit.row] for hit in live.engine.search(part, 20, verify=False)]
    low, high = np.min(near, axis=0), np.max(near, axis=0)
    assert (low <= (put["x"], put["y"])).all()
    assert ((put["x"], put["y"]) <= high).all()


def test_duplicates_are_told_and_listed(live: Live, row: Row) -> None:
    groups = when_ready(live, "/api/duplicates").json()["groups"]
    assert [[one["path"] for one in group["pictures"]] for group in groups] == [["beach/3.png", COPY]]
    assert groups[0]["keep"] == row("beach/3.png")
    response = when_ready(live, "/api/duplicates.csv")
    lines = list(csv.DictReader(io.StringIO(response.text)))
    assert [(line["group"], line["keep"], line["path"]) for line in lines] == [
        ("1", "True", "beach/3.png"),
        ("1", "False", COPY),
    ]
    assert lines[0]["why"] == groups[0]["why"]


def test_a_preview_is_what_the_server_sees(live: Live, texture: Callable[..., Image.Image]) -> None:
    for form in ("TIFF", "HEIF", "BMP"):
        response = live.client.post("/api/preview", files={"picture": encoded(texture(5), form)})
        shown = np.asarray(Image.open(io.BytesIO(response.content)), np.float64)
        assert np.abs(shown - np.asarray(texture(5), np.float64)).mean() < 8


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/pictures/123456", 404),
        ("/api/pictures/123456/thumbnail", 404),
        ("/api/search?row=123456", 404),
        ("/api/find?row=123456", 404),
        ("/api/search", 422),
        ("/api/search?row=-1", 422),
        ("/api/search?row=1&k=0", 422),
        ("/api/search?row=1&k=501", 422),
        ("/api/search?row=1&index=hnsw", 422),
        ("/api/search?row=1&unknown=1", 422),
        ("/api/search?row=1&max_distance=nan", 422),
        ("/api/search?row=1&box=0,0,0,1", 422),
        ("/api/search?row=1&box=0,0,1", 422),
        ("/api/search?row=1&box=0,0,1,2", 422),
        ("/api/search?row=99999999999999999999", 422),
        ("/api/pictures/1/view?side=100000", 422),
        ("/api/sheet?rows=1,,2", 422),
        ("/api/sheet?rows=" + ",".join("1" * 65), 422),
        ("/nowhere", 404),
        ("/api/nowhere", 404),
    ],
)
def test_what_is_not_allowed_is_a_problem(live: Live, path: str, status: int) -> None:
    refused(live.client.get(path), status)


def test_a_mistake_is_named(live: Live) -> None:
    problem = refused(live.client.get("/api/search?row=1&k=0"), 422)
    assert problem["errors"] == [{"where": "query.k", "what": "Input should be greater than or equal to 1"}]
    assert "query.k" in problem["detail"]


@pytest.mark.parametrize("path", ["/api/search", "/api/find", "/api/compare", "/api/place", "/api/preview"])
def test_an_upload_that_is_no_picture_is_a_problem(live: Live, path: str) -> None:
    when_ready(live, "/api/map")
    for content in (b"", b"no picture", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"GIF89a"):
        problem = refused(live.client.post(path, files={"picture": content}), 422)
        assert "cannot be used as a picture" in problem["detail"]
    refused(live.client.post(path), 422)
    refused(live.client.post(path, files={"picture": b"x"}, data={"url": "http://example.org/"}), 422)
    refused(live.client.post(path, content=b"x", headers={"Content-Type": "multipart/form-data"}), 400)


@pytest.mark.parametrize("path", ["/api/search", "/api/find", "/api/preview"])
def test_addresses_are_not_fetched_unless_that_is_switched_on(live: Live, path: str) -> None:
    refused(live.client.post(path, data={"url": f"{live.url}/page/icon.svg"}), 403)


def test_a_private_address_is_not_fetched_even_then(made: Any) -> None:
    with (
        SearchEngine.open(made / "store", urls=True) as engine,
        running(engine, Settings(port=0, token=TOKEN, urls=True)) as live,
    ):
        assert get(live, "/api/about")["urls"] is True
        for url in (
            f"{live.url}/health",
            "http://169.254.169.254/latest",
            "http://localhost/",
            "http://[::1]/",
        ):
            refused(live.client.post("/api/search", data={"url": url}), 400)
        refused(live.client.post("/api/search", data={"url": "file:///etc/passwd"}), 422)


def test_nothing_outside_the_page_is_served(live: Live) -> None:
    paths = (
        "/page/../app.py",
        "/page/..%2fapp.py",
        "/page/%2e%2e/app.py",
        "/page/....//app.py",
        "/page//etc/passwd",
        "/page/..\\app.py",
        "/page/%00",
        "/api/pictures/..%2f..%2fetc%2fpasswd/view",
        "/api/pictures/1%2f..%2f2/view",
        "//etc/passwd",
    )
    for path in paths:
        raw = httpx.URL(live.url).copy_with(raw_path=path.encode())
        response = live.client.send(httpx.Request("GET", raw))
        assert response.status_code in (404, 422), path
        assert b"FastAPI" not in response.content
        assert b"root:" not in response.content


def test_a_file_that_became_a_link_out_of_the_folder_is_not_read(own: Live, tmp_path: Any) -> None:
    secret = tmp_path / "secret.png"
    Image.new("RGB", (50, 50), "red").save(secret)
    picture = own.engine.pictures()[0]
    file = own.engine.file(picture.row)
    file.unlink()
    file.symlink_to(secret)
    for kind in ("view", "thumbnail"):
        refused(own.client.get(f"/api/pictures/{picture.row}/{kind}"), 404)
    sheet = own.client.get(f"/api/sheet?rows={picture.row}&side=16")
    assert np.abs(np.asarray(Image.open(io.BytesIO(sheet.content)), np.float64) - 127).max() < 30


def test_the_description_is_complete_and_its_page_needs_nothing_else(live: Live) -> None:
    described = live.client.get("/openapi.json").json()
    assert described["openapi"].startswith("3.1")
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            assert operation["summary"], path
            assert operation["description"], path
            writes = method == "delete" or path in ("/api/sync", "/api/version")
            writes |= (path, method) == ("/api/pictures", "post")
            assert ("security" in operation) == writes, path
            for status, answer in operation["responses"].items():
                if status >= "400":
                    assert list(answer["content"]) == ["application/problem+json"], (path, status)
    assert "Problem" in described["components"]["schemas"]
    page = live.client.get("/docs").text
    assert "http://" not in page
    assert "https://" not in page


def test_it_is_alive_and_ready_and_counts_under_patterns(live: Live, part: bytes) -> None:
    assert (
        get(live, "/health")
        == get(live, "/ready")
        == {
            "status": "ok",
            "following": True,
            "version": live.engine.version,
        }
    )

    def counted() -> dict[tuple[str, ...], float]:
        text = live.client.get("/metrics").text
        return {
            (sample.name, *sorted(sample.labels.values())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    before = counted()
    live.client.get("/api/pictures/77777")
    live.client.get("/some/nonsense")
    live.client.request("BREW", "/some/nonsense")
    post(live, "/api/search", part)
    after = counted()

    def more(*key: str) -> float:
        return after[key] - before.get(key, 0)

    assert more("ris_requests_total", "/api/pictures/{row}", "404", "GET") == 1
    assert more("ris_requests_total", "404", "GET", "none") == 1
    assert more("ris_requests_total", "404", "none", "other") == 1
    assert more("ris_requests_total", "/api/search", "200", "POST") == 1
    assert after["ris_pictures",] == TOTAL
    assert not any("77777" in part for key in after for part in key)


def test_searches_at_one_time_are_answered_as_each_alone(
    live: Live, texture: Callable[..., Image.Image]
) -> None:
    pictures = [encoded(texture(seed)) for seed in range(7000, 7032)]
    alone = [plain(live.engine.search(picture, 3, verify=False)) for picture in pictures]
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda one: post(live, "/api/search", one, k=3, verify=False), pictures))
    assert [told(one["hits"]) for one in found] == alone


def test_a_filter_is_the_engines_own(live: Live) -> None:
    where = Filter(labels=("city",), folders=("city",))
    assert get(live, "/api/pictures", label="city", folder="city/")["total"] == live.engine.count(where)


@pytest.fixture(autouse=True)
def _the_server_lives_on(live: Live) -> Iterator[None]:
    yield
    assert live.client.get("/health").status_code == 200
