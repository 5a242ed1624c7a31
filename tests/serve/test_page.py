"""The page in a real browser: every action once, at two widths, in both looks, and with axe-core."""

import base64
import csv
import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from PIL import Image
from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Dialog,
    Page,
    Request,
    ViewportSize,
    expect,
    sync_playwright,
)

from ris.indexes.registry import SEARCHABLE
from serve.conftest import COPY, EACH, FOLDERS, INDEXES, NASTY, Live, encoded

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
TOTAL = EACH * len(FOLDERS) + 2
WIDE, NARROW = ViewportSize(width=1280, height=800), ViewportSize(width=390, height=800)
SERIOUS = {"serious", "critical"}

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")

Row = Callable[[str], int]
Open = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser, live: Live) -> Iterator[Open]:
    """Open an address of the server; the page may complain of nothing, and speak to nobody else."""
    complaints: list[str] = []
    contexts = []

    def hear(page: Page, *expected: str) -> None:
        def told(text: str) -> None:
            if not any(one in text for one in expected):
                complaints.append(text)

        def console(message: ConsoleMessage) -> None:
            if message.type in ("error", "warning"):
                told(message.text)

        def dialog(asked: Dialog) -> None:
            told(f"dialog: {asked.message}")
            asked.dismiss()

        def request(sent: Request) -> None:
            if not sent.url.startswith((live.url, "blob:")):
                told(f"elsewhere: {sent.url}")

        page.on("pageerror", lambda error: told(str(error)))
        page.on("console", console)
        page.on("dialog", dialog)
        page.on("request", request)

    def opened(address: str = "/", *expected: str, **options: Any) -> Page:
        defaults = {"base_url": live.url, "viewport": WIDE, "reduced_motion": "reduce"}
        context = browser.new_context(**defaults | options)
        contexts.append(context)
        page = context.new_page()
        hear(page, *expected)
        page.goto(address)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


def upload(page: Page, content: bytes, name: str = "query.jpg") -> None:
    page.locator("input[type=file]").last.set_input_files(
        {"name": name, "mimeType": "image/jpeg", "buffer": content}
    )


def names(page: Page, where: str = ".grid") -> list[str]:
    return [
        str(alt) for alt in page.locator(f"{where} .shot img").evaluate_all("all => all.map(one => one.alt)")
    ]


def settled(page: Page) -> None:
    expect(page.locator("#answers")).to_have_attribute("aria-busy", "false")


@contextmanager
def answered(page: Page, path: str) -> Iterator[None]:
    with page.expect_response(lambda response: "/api/" in response.url and path in response.url):
        yield
    settled(page)


def test_the_start_says_what_to_do_and_shows_what_there_is(open_page: Open) -> None:
    page = open_page()
    expect(page.get_by_role("heading", name="Search by picture")).to_be_visible()
    expect(page.get_by_text("Drop a picture anywhere, paste it, or")).to_be_visible()
    expect(page.locator(".grid .card")).to_have_count(TOTAL)
    expect(page.locator("#store-size")).to_have_text(f"{TOTAL} pictures")
    expect(page.locator("#panel")).to_be_hidden()


def test_a_chosen_picture_is_searched_with(open_page: Open, part: bytes) -> None:
    page = open_page()
    upload(page, part)
    expect(page.get_by_role("heading", name="Similar pictures")).to_be_visible()
    expect(page.locator(".card")).to_have_count(24)
    first = page.locator(".card").first
    expect(first.locator(".badge")).to_have_text("Same picture")
    expect(first.locator("polygon")).to_have_count(2)
    expect(first.locator(".number")).to_have_text(re.compile(r"^[01]\.\d{3}$"))
    assert names(page)[0] == "deep, 1.png"
    expect(page.get_by_alt_text("Your picture: query.jpg")).to_be_visible()
    expect(page.get_by_text("1 picture is the very same.")).to_be_visible()


@pytest.mark.parametrize("way", ["drop", "paste"])
def test_a_picture_is_dropped_or_pasted(open_page: Open, part: bytes, way: str) -> None:
    page = open_page("/", "TrustedScript")
    expect(page.locator(".card").first).to_be_visible()
    page.evaluate(
        """([way, content]) => {
            const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
            const data = new DataTransfer();
            data.items.add(new File([bytes], "given.jpg", { type: "image/jpeg" }));
            const target = document.querySelector("main");
            if (way === "paste") {
                target.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true }));
                return;
            }
            const options = { dataTransfer: data, bubbles: true, cancelable: true };
            target.dispatchEvent(new DragEvent("dragover", options));
            window.shown = !document.getElementById("curtain").hidden;
            target.dispatchEvent(new DragEvent("drop", options));
        }""",
        [way, base64.b64encode(part).decode()],
    )
    expect(page.get_by_alt_text("Your picture: given.jpg")).to_be_visible()
    expect(page.locator(".badge")).to_have_count(1)
    if way == "drop":
        assert page.evaluate("window.shown")
        expect(page.locator("#curtain")).to_be_hidden()


def test_a_result_is_searched_from_and_its_address_can_be_shared(open_page: Open, row: Row) -> None:
    page = open_page(f"/?row={row('beach/3.png')}")
    expect(page.locator(".card")).to_have_count(24)
    before = names(page)
    with answered(page, "search"):
        page.locator(".card").nth(4).locator(".shot").click()
    assert names(page) != before
    address = page.url
    assert re.search(r"[?&]row=\d+", address)
    after = names(page)

    with answered(page, "search"):
        page.go_back()
    assert names(page) == before
    with answered(page, "search"):
        page.go_forward()
    assert names(page) == after

    elsewhere = open_page(address)
    expect(elsewhere.locator(".card")).to_have_count(24)
    assert names(elsewhere) == after


def test_words_are_searched_with_and_their_address_can_be_shared(open_page: Open) -> None:
    page = open_page()
    page.get_by_label("Words to search with").fill("red umbrella")
    with answered(page, "/api/text"):
        page.get_by_role("button", name="Search by words").click()
    expect(page.get_by_text("Taken for: umbrella. Not understood: red.")).to_be_visible()
    expect(page.locator(".card")).to_have_count(24)
    expect(page.locator("#panel")).to_be_hidden()
    found = names(page)
    elsewhere = open_page(page.url)
    expect(elsewhere.locator(".card")).to_have_count(24)
    assert names(elsewhere) == found
    expect(elsewhere.get_by_label("Words to search with")).to_have_value("red umbrella")
    with answered(page, "/api/search"):
        page.locator(".card").nth(1).locator(".shot").click()
    assert "text=" not in page.url


def test_the_back_button_finds_an_upload_again(open_page: Open, part: bytes) -> None:
    page = open_page()
    upload(page, part)
    expect(page.locator(".badge")).to_be_visible()
    page.locator(".card").nth(2).locator(".shot").click()
    expect(page.locator(".badge")).to_have_count(0)
    page.go_back()
    expect(page.locator(".badge")).to_have_count(1)
    expect(page.get_by_alt_text("Your picture: query.jpg")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("heading", name="Search by picture")).to_be_visible()


def test_a_part_is_drawn_by_mouse_moved_by_keys_and_taken_away(open_page: Open, row: Row) -> None:
    page = open_page(f"/?row={row('city/1.png')}")
    expect(page.locator(".card").first).to_be_visible()
    whole = names(page)
    stage = page.locator(".stage").bounding_box()
    assert stage
    with answered(page, "search"):
        page.mouse.move(stage["x"] + 0.25 * stage["width"], stage["y"] + 0.25 * stage["height"])
        page.mouse.down()
        page.mouse.move(stage["x"] + 0.75 * stage["width"], stage["y"] + 0.5 * stage["height"], steps=4)
        page.mouse.up()
    drawn = box_of(page)
    assert np.allclose(drawn, (0.25, 0.25, 0.75, 0.5), atol=0.02)
    assert names(page) != whole

    corner = page.locator(".handle.se").bounding_box()
    assert corner
    with answered(page, "search"):
        page.mouse.move(corner["x"] + 13, corner["y"] + 13)
        page.mouse.down()
        page.mouse.move(corner["x"] + 13, corner["y"] + 13 + 0.25 * stage["height"], steps=4)
        page.mouse.up()
    assert np.allclose(box_of(page), (0.25, 0.25, 0.75, 0.75), atol=0.03)

    expect(page.locator(".crop")).to_be_focused()
    with answered(page, "search"):
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Shift+ArrowDown")
    assert np.allclose(box_of(page), (0.27, 0.25, 0.77, 0.77), atol=0.03)
    with answered(page, "search"):
        page.keyboard.press("Escape")
    assert "box" not in page.url
    assert names(page) == whole


def box_of(page: Page) -> list[float]:
    shares = re.search(r"box=([\d.%C]+)", page.url)
    assert shares, page.url
    return [float(share) for share in shares[1].split("%2C")]


def test_a_part_is_drawn_by_touch(open_page: Open, row: Row) -> None:
    page = open_page(f"/?row={row('city/1.png')}", viewport=NARROW, has_touch=True, is_mobile=True)
    expect(page.locator(".card").first).to_be_visible()
    with answered(page, "search"):
        page.get_by_role("button", name="Search by a part").tap()
    before = box_of(page)
    stage = page.locator(".stage").bounding_box()
    assert stage
    touch = page.context.new_cdp_session(page)

    def send(kind: str, *points: tuple[float, float]) -> None:
        places = [
            {"x": stage["x"] + x * stage["width"], "y": stage["y"] + y * stage["height"]} for x, y in points
        ]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": places})

    with answered(page, "search"):
        send("touchStart", (0.5, 0.5))
        send("touchMove", (0.55, 0.45))
        send("touchMove", (0.6, 0.4))
        send("touchEnd")
    assert np.allclose(box_of(page), np.add(before, (0.1, -0.1, 0.1, -0.1)), atol=0.03)


def test_where_a_picture_is_said_and_shown(open_page: Open, part: bytes) -> None:
    page = open_page()
    upload(page, part)
    with answered(page, "find"):
        page.get_by_text("Where is this picture?").click()
    expect(page.get_by_role("heading", name="Here.")).to_be_visible()
    shot = page.get_by_label("Where your picture is").locator(".shot")
    expect(shot).to_have_count(1)
    expect(shot.locator(".laid")).to_have_count(0)
    shot.hover()
    expect(shot.locator(".laid")).to_have_css("opacity", "0.93")
    outline, copy = (
        shot.locator(part).evaluate("one => one.getBoundingClientRect().toJSON()")
        for part in ("polygon >> nth=1", ".laid canvas")
    )
    for side in ("left", "top", "right", "bottom"):
        assert abs(outline[side] - copy[side]) < 4, side

    page.mouse.move(0, 0)
    expect(shot.locator(".laid")).to_have_css("opacity", "0")
    page.get_by_role("button", name="Lay your picture over it").click()
    expect(shot.locator(".laid")).to_have_css("opacity", "0.93")


def test_what_is_laid_over_looks_like_what_lies_there(open_page: Open, part: bytes) -> None:
    page = open_page()
    upload(page, part)
    page.locator(".badge").click()
    frame = page.locator(".viewer .frame")
    expect(frame.locator("img")).to_be_visible()
    page.locator(".outline").evaluate_all("all => all.forEach(one => one.remove())")
    images = []
    for strength in ("0", "100"):
        page.locator(".over input").fill(strength)
        images.append(np.asarray(Image.open(BytesIO(frame.screenshot())).convert("L"), np.float64))
    assert images[0].std() > 30
    assert np.abs(images[0] - images[1]).mean() < 15
    assert np.abs(images[0] - images[1]).mean() > 0.1


def test_not_here_is_said_plainly_with_its_rate(open_page: Open, stranger: bytes, live: Live) -> None:
    page = open_page("/?ask=where")
    upload(page, stranger)
    expect(page.get_by_role("heading", name="Not here.")).to_be_visible()
    rate = live.engine.info().false_positive_rate
    assert rate
    expect(page.locator(".heading .told")).to_contain_text(f"1 in {round(1 / rate)} would be said to be here")
    expect(page.get_by_label("What looks most like it").locator(".card")).not_to_have_count(0)


def test_one_picture_is_seen_large_and_the_next(open_page: Open, row: Row) -> None:
    page = open_page(f"/?row={row('beach/3.png')}")
    first = page.locator(".card").first
    first.hover()
    first.locator(".look").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading")).to_have_text(names(page)[0].split(", ")[1])
    expect(dialog).to_contain_text("1 of 24")
    page.keyboard.press("ArrowRight")
    expect(dialog).to_contain_text("2 of 24")
    expect(dialog.get_by_role("heading")).to_have_text(names(page)[1].split(", ")[1])
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    first.locator(".look").click()
    with answered(page, "search"):
        dialog.get_by_role("button", name="Search from this picture").click()
    expect(dialog).to_be_hidden()


def test_filters_and_switches_change_what_is_found(open_page: Open, row: Row, live: Live) -> None:
    start = row("city/1.png")
    page = open_page(f"/?row={start}")
    expect(page.locator(".card")).to_have_count(24)
    page.locator("summary", has_text="Labels").click()
    with answered(page, "search"):
        page.get_by_role("checkbox", name="deep").check()
    expect(page.locator(".card")).to_have_count(EACH)
    assert {name.split(",")[0] for name in names(page)} == {"deep"}
    with answered(page, "search"):
        page.get_by_role("checkbox", name="edge").check()
    expect(page.locator(".card")).to_have_count(2 * EACH)
    assert "label=deep&label=edge" in page.url
    with answered(page, "search"):
        page.get_by_role("checkbox", name="deep").uncheck()
        page.get_by_role("checkbox", name="edge").uncheck()
    expect(page.locator(".card")).to_have_count(24)

    page.locator("summary", has_text="Folders").click()
    with answered(page, "search"):
        page.get_by_role("checkbox", name="forest", exact=True).check()
    expect(page.locator(".card")).to_have_count(2 * EACH)
    with answered(page, "search"):
        page.get_by_role("checkbox", name="forest", exact=True).uncheck()

    with answered(page, "search"):
        page.get_by_label("Pictures at a time").select_option("12")
    assert "k=12" in page.url
    with answered(page, "index=annoy_pca"):
        page.get_by_label("Index").select_option("annoy_pca")
    expect(page.locator(".heading .told")).to_contain_text("by ANNOY with PCA")

    with answered(page, "search"):
        page.get_by_label("Not further than").fill("0.05")
    expect(page.get_by_role("heading", name="Nothing is that near")).to_be_visible()
    assert "max=0.05" in page.url
    with answered(page, "search"):
        page.get_by_label("Not further than").fill("2")
    assert "max" not in page.url
    with answered(page, "collapse=true"):
        page.get_by_label("Show near-duplicates as one").check()
    assert live.engine.search(start, 1)


def test_further_pictures_come_when_the_end_is_reached(open_page: Open, row: Row, live: Live) -> None:
    start = row("city/1.png")
    page = open_page(f"/?row={start}&k=12", viewport={"width": 1280, "height": 300})
    expect(page.locator(".card")).to_have_count(12)
    for _ in range(4):
        page.locator(".card").last.scroll_into_view_if_needed()
        page.mouse.wheel(0, 2000)
        page.wait_for_timeout(150)
    expect(page.locator(".card")).to_have_count(TOTAL - 1)
    expect(page.get_by_role("button", name="Show more")).to_be_hidden()
    expected = [hit.path.rsplit("/", 1)[-1] for hit in live.engine.search(start, TOTAL, verify=False)]
    assert [name.split(", ")[1] for name in names(page)] == expected


def test_the_keyboard_is_enough(open_page: Open) -> None:
    page = open_page()
    expect(page.locator(".card")).to_have_count(TOTAL)
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.locator(".grid .shot").first.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".shot").nth(1)).to_be_focused()
    page.keyboard.press("ArrowDown")
    below = page.evaluate("document.activeElement.getBoundingClientRect().top")
    assert below > page.locator(".shot").nth(1).evaluate("one => one.getBoundingClientRect().bottom")
    page.keyboard.press("Home")
    page.keyboard.press(" ")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.keyboard.press("End")
    with answered(page, "search"):
        page.keyboard.press("Enter")
    assert "row=" in page.url
    page.keyboard.press("Tab")
    radio = page.get_by_label("What is similar?")
    radio.focus()
    with answered(page, "find"):
        page.keyboard.press("ArrowDown")
    assert "ask=where" in page.url


def test_hits_are_marked_and_the_search_is_made_again(open_page: Open, row: Row, live: Live) -> None:
    start = row("forest/edge/2.png")
    page = open_page(f"/?row={start}&k=12")
    settled(page)
    shown = page.locator("#answers .grid").last.locator(".shot")
    first = [int(one.get_attribute("data-row") or "") for one in shown.all()]
    bar = page.get_by_role("group", name="Marked pictures")
    expect(bar).to_be_hidden()
    cards = page.locator(".card")
    for number, kind in ((1, "right"), (2, "wrong"), (4, "wrong"), (4, "right"), (5, "wrong"), (5, "wrong")):
        cards.nth(number).hover()
        cards.nth(number).get_by_role("button", name=f"is {kind}").click()
    expect(bar).to_contain_text("2 right, 1 wrong")
    like, unlike = [first[1], first[4]], [first[2]]
    with answered(page, "search"):
        bar.get_by_role("button", name="Search again").click()
    assert page.url.endswith(f"like={like[0]}&like={like[1]}&unlike={unlike[0]}")
    expected = [hit.row for hit in live.engine.search(start, 12, like=like, unlike=unlike)]
    expect(page.locator(".strip.like .card")).to_have_count(2)
    expect(page.locator(".strip.unlike .card")).to_have_count(1)
    # More follow where the end of the first is in view.
    assert [int(one.get_attribute("data-row") or "") for one in shown.all()][:12] == expected
    with answered(page, "search"):
        page.locator(".strip.unlike .card").hover()
        page.get_by_role("button", name=re.compile("Take the mark of")).last.click()
    expect(page.locator(".strip.unlike")).to_have_count(0)
    page.go_back()
    expect(page.locator(".strip.unlike .card")).to_have_count(1)


def test_indexes_are_compared_and_what_differs_is_marked(open_page: Open, row: Row, live: Live) -> None:
    start = row("forest/edge/2.png")
    page = open_page(f"/?row={start}&k=12")
    settled(page)
    with answered(page, "compare"):
        page.get_by_role("link", name="Side by side").click()
    columns = page.locator(".column")
    expect(columns.locator("h2")).to_have_text([SEARCHABLE[index].label for index in INDEXES])
    for column in columns.all():
        expect(column.locator(".latency")).to_have_text(re.compile(r"^\d+(\.\d+)? ms$"))
        expect(column.locator("li")).to_have_count(12)
    exact, other = (
        [hit.row for hit in live.engine.search(start, 12, index=i, verify=False)] for i in ("knn", "knn_pca")
    )
    differs = [i for i in range(12) if exact[i] != other[i]]
    marked = (
        columns.nth(1)
        .locator("li")
        .evaluate_all("all => all.flatMap((one, i) => one.classList.contains('differs') ? [i] : [])")
    )
    assert marked == differs
    assert differs
    expect(columns.nth(0).locator("li.differs")).to_have_count(0)
    page.locator(".column").nth(0).locator(".shot").first.hover()
    twins = page.locator("li.twin .shot").evaluate_all("all => all.map(one => one.dataset.row)")
    assert twins
    assert set(twins) == {str(exact[0])}


def drawn(page: Page) -> int:
    """How many pictures of the map lie on the screen, once it has come to rest."""
    settled(page)
    page.wait_for_timeout(100)
    return int(str(page.locator(".map canvas").get_attribute("data-drawn")))


def test_the_map_shows_all_and_is_searched_from(open_page: Open, live: Live, part: bytes) -> None:
    page = open_page()
    with page.expect_response(lambda response: "/api/sheet" in response.url):
        page.get_by_role("link", name="Map").click()
    assert drawn(page) == TOTAL
    canvas = page.locator(".map canvas")
    for _ in range(3):
        page.get_by_role("button", name="Nearer").click()
    assert drawn(page) < TOTAL
    frame = canvas.bounding_box()
    assert frame
    middle = frame["x"] + frame["width"] / 2, frame["y"] + frame["height"] / 2
    near = drawn(page)
    page.mouse.move(*middle)
    page.mouse.wheel(0, 3000)
    assert drawn(page) > near
    page.get_by_role("button", name="The whole map").click()
    assert drawn(page) == TOTAL
    before = canvas.screenshot()
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(middle[0] + 80, middle[1] + 40, steps=3)
    page.mouse.up()
    assert canvas.screenshot() != before
    assert "row=" not in page.url

    page.get_by_role("button", name="The whole map").click()
    rows, places = live.engine.map()
    low, high = places.min(axis=0), places.max(axis=0)
    side = (high - low).max()
    unit = min(frame["width"], frame["height"]) * 0.92
    chosen = int(places[:, 0].argmax())
    x, y = ((places[chosen] - (low + high) / 2) / side * unit).tolist()
    page.mouse.move(middle[0] + x, middle[1] + y)
    expect(page.locator(".tip")).to_be_visible()
    page.mouse.click(middle[0] + x, middle[1] + y)
    page.wait_for_url(re.compile(rf"row={rows[chosen]}\b"))
    expect(page.get_by_text("The ring is your picture.")).to_be_visible()

    with answered(page, "place"):
        upload(page, part)
    expect(page.get_by_text("The ring is about where your picture belongs")).to_be_visible()
    page.get_by_role("button", name="To your picture").click()
    canvas.focus()
    page.keyboard.press("+")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("0")
    assert drawn(page) == TOTAL
    for _ in range(9):
        page.keyboard.press("+")
    page.get_by_role("button", name="To your picture").click()


def test_a_map_of_a_hundred_thousand_is_drawn(open_page: Open) -> None:
    count = 100_000
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(200, 2)) * 40
    places = (centres[rng.integers(200, size=count)] + rng.normal(size=(count, 2))).astype("<f4")
    content = np.arange(count, dtype="<i4").tobytes() + bytes(4 * count) + places.tobytes()
    page = open_page("/health", "404")
    page.route(
        "**/api/map", lambda route: route.fulfill(body=content, content_type="application/octet-stream")
    )
    page.goto("/?view=map")
    assert drawn(page) > 0.95 * count
    for _ in range(3):
        page.get_by_role("button", name="Nearer").click()
    assert 0 < drawn(page) < 0.9 * count


def test_duplicates_stand_beside_each_other_and_the_list_is_taken_along(
    open_page: Open, row: Row, tmp_path: Path
) -> None:
    page = open_page("/?view=duplicates")
    group = page.locator(".group")
    expect(group).to_have_count(1)
    expect(group.locator(".path")).to_have_text(["beach/3.png", COPY])
    expect(group.locator(".card").first.locator(".badge")).to_have_text("Keep")
    expect(group.locator(".why")).to_have_count(1)
    for name, kind in (("Save as CSV", "csv"), ("Save as JSON", "json")):
        with page.expect_download() as download:
            page.get_by_role("link", name=name).click()
        download.value.save_as(tmp_path / f"list.{kind}")
    with (tmp_path / "list.csv").open(newline="") as stream:
        assert [line["path"] for line in csv.DictReader(stream)] == ["beach/3.png", COPY]
    groups = json.loads((tmp_path / "list.json").read_text())["groups"]
    assert groups[0]["keep"] == row("beach/3.png")
    group.locator(".card").nth(1).hover()
    group.locator(".card").nth(1).locator(".look").click()
    expect(page.get_by_role("dialog").get_by_role("heading")).to_have_text("copy of 3.jpg")
    page.keyboard.press("Escape")
    with answered(page, "search"):
        group.locator(".shot").first.click()
    assert f"row={row('beach/3.png')}" in page.url


def test_a_name_that_is_html_is_shown_as_its_letters(open_page: Open, row: Row) -> None:
    page = open_page(f"/?row={row(f'city/{NASTY}')}")
    expect(page.locator(".panel .name")).to_have_text(NASTY)
    expect(page.locator(".card").first).to_be_visible()
    page = open_page("/?view=search")
    card = page.locator(".card", has=page.get_by_alt_text(NASTY))
    card.hover()
    card.locator(".look").click()
    expect(page.get_by_role("dialog").get_by_role("heading")).to_have_text(NASTY)
    assert page.locator("img[src=x]").count() == 0


def test_a_format_that_the_browser_does_not_know_is_shown(
    open_page: Open, texture: Callable[..., Image.Image]
) -> None:
    page = open_page()
    upload(page, encoded(texture(101), "TIFF"), "query.tif")
    expect(page.get_by_alt_text("Your picture: query.tif")).to_be_visible()
    assert page.locator(".stage img").evaluate("one => one.naturalWidth") == 240
    expect(page.locator(".badge").first).to_be_visible()


def test_what_goes_wrong_is_said_in_a_sentence(open_page: Open, part: bytes) -> None:
    page = open_page("/", "422", "404")
    upload(page, b"this is no picture")
    expect(page.locator(".problem")).to_contain_text("cannot be used as a picture")
    page.locator("input[type=file]").last.evaluate(
        """(input) => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(21e6)], "large.jpg"));
            input.files = data.files;
            input.dispatchEvent(new Event("change"));
        }"""
    )
    expect(page.locator(".problem")).to_contain_text("too large: at most 20 MB")
    upload(page, part)
    expect(page.locator(".badge")).to_be_visible()
    page.goto("/?row=987654")
    expect(page.locator(".problem")).to_contain_text("987654")


def test_the_look_follows_the_system_and_the_switch(open_page: Open) -> None:
    page = open_page(color_scheme="dark")

    def background() -> str:
        return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))

    dark = background()
    switch = page.locator("#theme")
    expect(switch).to_have_accessible_name("Look: as the system has it")
    switch.click()
    expect(switch).to_have_accessible_name("Look: light")
    light = background()
    assert light != dark
    page.reload()
    assert background() == light
    switch.click()
    expect(switch).to_have_accessible_name("Look: dark")
    assert background() == dark
    switch.click()
    page.emulate_media(color_scheme="light")
    assert background() == light


def test_the_description_is_readable_and_works_offline(open_page: Open, live: Live) -> None:
    page = open_page("/docs")
    described = live.client.get("/openapi.json").json()
    count = sum(len(operations) for operations in described["paths"].values())
    expect(page.locator(".operation:has(.method)")).to_have_count(count)
    page.locator("summary", has_text="What is similar to this picture?").click()
    example = page.locator("details[open] pre").inner_text()
    assert example == f"curl -F picture=@query.jpg '{live.url}/api/search'"


VIEWS = {
    "start": "/",
    "similar": "/?row={row}",
    "where": "/?row={row}&ask=where",
    "marked": "/?row={row}&like=2&unlike=3",
    "part": "/?row={row}&box=0.1,0.1,0.6,0.7",
    "compare": "/?row={row}&view=compare&k=12",
    "map": "/?row={row}&view=map",
    "duplicates": "/?view=duplicates",
    "docs": "/docs",
}


@pytest.mark.parametrize(("look", "checked"), [("light", WIDE), ("dark", NARROW)])
def test_axe_finds_nothing_serious_and_nothing_is_wider_than_the_screen(
    open_page: Open, row: Row, look: str, checked: ViewportSize, tmp_path: Path
) -> None:
    """Screenshots of every view, at two widths, are left in the test's folder to be looked at."""
    page = open_page("/health", "404", color_scheme=look)
    for name, address in VIEWS.items():
        page.set_viewport_size(WIDE)
        page.goto(address.format(row=row("beach/3.png")))
        if name != "docs":
            settled(page)
        for size in (WIDE, NARROW):
            page.set_viewport_size(size)
            page.wait_for_timeout(200)
            page.screenshot(path=tmp_path / f"{name}-{look}-{size['width']}.png")
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (name, size)
            if size == checked:
                check(page, name)
        if name == "where":
            page.locator(".badge").first.click()
            page.screenshot(path=tmp_path / f"large-{look}.png")
            check(page, "large")


def check(page: Page, what: str) -> None:
    found = Axe().run(page).response["violations"]
    serious = [
        (one["id"], [node["html"] for node in one["nodes"]]) for one in found if one["impact"] in SERIOUS
    ]
    assert serious == [], what
