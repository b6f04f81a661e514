"""The real page in a real browser."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from ctypes.util import find_library
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import msgspec
import pytest

from reports.html import write_page, write_report
from reports.layers.diff import diff
from reports.layers.profile import Profile
from reports.layers.view.page import diff_page, profile_page
from reports.record import Failed, Record, Rejected
from tests.reports.builders import accuracy, case, journal, layers, one_of_every_outcome, record, timed

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
CHROMIUM = shutil.which("chromium")
MISSING = [package for package, there in (("chromium", CHROMIUM), ("libatomic1", find_library("atomic"))) if not there]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"{' '.join(MISSING)} not installed: apt-get install {' '.join(MISSING)}")
ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
IMAGE = "<img src=x onerror=document.title='owned'>"
HOSTILE = f"{IMAGE}<b>bold</b>&amp;%{{x}}$x$"


@dataclass(slots=True)
class Opened:
    """A page that was opened, and everything that it said or asked for."""

    page: Page
    address: str
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def load(self) -> None:
        """Open the page and wait until all is drawn."""
        self.page.on("console", lambda said: self.complaints.append(f"{said.type}: {said.text}"))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(self.address)
        self.page.wait_for_selector("html[data-ready]")

    def column(self, section: str, title: str) -> list[str]:
        """The texts of one column of a section's last table, top to bottom."""
        table = self.page.locator(f"#{section} table").last
        heads = table.locator("th button").evaluate_all("all => all.map(b => b.firstChild.textContent)")
        cells = f"td:nth-child({heads.index(title) + 1})"
        return list(table.locator(cells).all_text_contents())

    def sort(self, section: str, title: str) -> None:
        table = self.page.locator(f"#{section} table").last
        table.locator("th button").filter(has_text=title).first.click()


class Show(Protocol):
    """See the fixture `show`."""

    def __call__(self, *records: Record, at: Path | None = None, scheme: Literal["light", "dark"] = "light") -> Opened: ...


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture
def show(browser: Browser, tmp_path: Path) -> Iterator[Show]:
    """Writes the report of some records, or takes the one at a path, and opens it."""
    opened = []

    def of(*records: Record, at: Path | None = None, scheme: Literal["light", "dark"] = "light") -> Opened:
        path = at or tmp_path / "report.html"
        if at is None:
            write_report(journal(*records, warnings=(HOSTILE,)), path)
        opened.append(Opened(browser.new_page(viewport={"width": 1300, "height": 900}, color_scheme=scheme), path.as_uri()))
        opened[-1].load()
        return opened[-1]

    yield of
    for one in opened:
        one.page.close()


def hostile() -> tuple[Record, ...]:
    """HTML in every text that a record carries."""
    profile = tuple(msgspec.structs.replace(one, name=HOSTILE, type=HOSTILE) for one in layers())
    metric = msgspec.structs.replace(accuracy(), metric=HOSTILE)
    plain = msgspec.structs.replace(timed(case(variant=HOSTILE), 1000.0), layers=profile, accuracy=metric)
    other = case(HOSTILE, HOSTILE, variant=HOSTILE)
    return (
        plain,
        msgspec.structs.replace(timed(other, 800.0), layers=profile, accuracy=metric),
        record(case(HOSTILE, variant=HOSTILE), Failed(HOSTILE, HOSTILE * 20)),
        record(case(variant=HOSTILE, backend="tensorrt_rtx"), Rejected(HOSTILE, HOSTILE)),
    )


RUNS: dict[str, tuple[Record, ...]] = {
    "nothing": (),
    "one case": (timed(case(), 1000.0),),
    "every outcome": one_of_every_outcome(),
    "hostile": hostile(),
}


@pytest.mark.parametrize("records", RUNS.values(), ids=RUNS)
def test_the_page_complains_of_nothing_and_asks_for_nothing_but_itself(show: Show, records: tuple[Record, ...]) -> None:
    opened = show(*records)
    opened.page.wait_for_timeout(300)
    assert opened.complaints == []
    assert opened.requests == [opened.address]


def test_a_large_page_in_dark_complains_of_nothing_either(show: Show, thousand: Path) -> None:
    opened = show(at=thousand, scheme="dark")
    opened.page.wait_for_timeout(300)
    assert opened.complaints == []
    assert opened.requests == [opened.address]


def test_every_section_shows_a_sentence_a_table_or_a_picture(show: Show) -> None:
    for records in ((), one_of_every_outcome()):
        opened = show(*records)
        for section in opened.page.locator("section").all():
            content = section.locator(".prose, td, .plot svg, dd")
            assert content.count() > 0, section.get_attribute("id")
            assert content.first.is_visible(), section.get_attribute("id")


def test_a_click_on_a_header_sorts_by_number_not_by_text_and_a_second_turns_it(show: Show) -> None:
    opened = show(*(timed(case(batch=batch), 1000.0) for batch in (8, 32, 1, 128)))
    opened.sort("matrix", "batch")
    assert opened.column("matrix", "batch") == ["1", "8", "32", "128"]
    opened.sort("matrix", "batch")
    assert opened.column("matrix", "batch") == ["128", "32", "8", "1"]
    opened.sort("matrix", "batch")
    assert opened.column("matrix", "batch") == ["8", "32", "1", "128"]


def test_what_is_missing_stays_last_in_either_direction(show: Show) -> None:
    failed = record(case("onnxsim"), Failed("onnxsim", "no"))
    opened = show(failed, timed(case("fold"), 900.0), timed(case(), 1000.0))
    for _ in range(2):
        opened.sort("matrix", "median")
        assert opened.column("matrix", "median")[-1] == "–"


def test_a_select_and_the_search_narrow_the_rows_and_the_count_says_so(show: Show) -> None:
    opened = show(*one_of_every_outcome())
    matrix = opened.page.locator("#matrix")
    assert matrix.locator("output").inner_text() == "9 of 9 rows"
    matrix.get_by_label("backend").select_option(label="tensorrt_rtx")
    assert opened.column("matrix", "backend") == ["tensorrt_rtx"] * 3
    matrix.get_by_label("search").fill("fold rejected")
    assert opened.column("matrix", "outcome") == ["rejected"]
    assert matrix.locator("output").inner_text() == "1 of 9 rows"


def test_the_id_typed_after_k_is_found_by_the_search(show: Show) -> None:
    opened = show(*one_of_every_outcome())
    opened.page.locator("#matrix").get_by_label("search").fill(case("fold+fuse_layernorm").id)
    assert opened.column("matrix", "passes") == ["fold+fuse_layernorm"]


def test_rows_beyond_the_first_come_when_scrolled_to(show: Show, thousand: Path) -> None:
    opened = show(at=thousand)
    made = len(opened.column("matrix", "batch"))
    assert made < 1000
    frame = opened.page.locator("#matrix .frame")
    for _ in range(10):
        frame.evaluate("frame => frame.scrollTo(0, frame.scrollHeight)")
        opened.page.wait_for_timeout(60)
    assert len(opened.column("matrix", "batch")) == 1000


def test_html_in_names_stays_text_everywhere(show: Show) -> None:
    opened = show(*hostile())
    page = opened.page
    assert page.locator("img").count() == 0
    assert page.locator("main b, main svg a").count() == 0
    assert HOSTILE in opened.column("matrix", "variant")
    assert HOSTILE in opened.column("layers", "layer")
    assert page.title() == "trtbench report"


def test_html_in_names_stays_text_in_the_labels_and_hovers_of_pictures(show: Show) -> None:
    opened = show(*hostile())
    page = opened.page
    labels = page.locator("#layers .plot").last.locator(".ytick text").all_text_contents()
    assert {label.strip()[-24:] for label in labels} == {HOSTILE[-24:]}
    assert page.locator("#pareto .legendtext").all_text_contents()[-1] == HOSTILE
    page.locator("#layers .plot").last.locator(".point path").first.hover(force=True)
    assert HOSTILE in (page.locator("#layers .hoverlayer").last.text_content() or "")
    page.locator("#pareto .plot .point").last.hover(force=True)
    assert IMAGE in (page.locator("#pareto .hoverlayer").text_content() or "")
    assert page.locator("img").count() == 0


def test_no_button_of_a_picture_sends_its_data_away(show: Show) -> None:
    opened = show(*one_of_every_outcome())
    buttons = opened.page.locator(".modebar-btn").evaluate_all("all => all.map(b => b.dataset.title ?? b.dataset.attr)")
    assert set(buttons) == {"Download plot as a PNG", "Zoom", "Pan", "Autoscale"}


def test_choosing_a_case_shows_its_layers(show: Show) -> None:
    fold = msgspec.structs.replace(timed(case("fold"), 900.0), layers=layers(3))
    opened = show(timed(case(), 1000.0), fold)
    assert len(opened.column("layers", "layer")) == len(layers())
    opened.page.locator("#layers").get_by_label("passes").select_option("fold")
    assert len(opened.column("layers", "layer")) == 3


def test_choosing_a_combination_that_was_not_run_shows_the_nearest(show: Show) -> None:
    others = [case("onnxsim", "fp16", batch=8), case("onnxsim", batch=32)]
    opened = show(timed(case("fold", "fp16", batch=32), 1000.0), *(timed(other, 1000.0) for other in others))
    chooser = opened.page.locator("#layers")
    chooser.get_by_label("batch").select_option("8")
    assert chooser.get_by_label("passes").input_value() == "onnxsim"
    chooser.get_by_label("precision").select_option("fp32")
    assert chooser.get_by_label("batch").input_value() == "32"
    chooser.get_by_label("passes").select_option("fold")
    assert chooser.get_by_label("precision").input_value() == "fp16"


def test_of_several_near_combinations_the_nearest_is_shown(show: Show) -> None:
    far, near, also_far = case("onnxsim", "fp16", batch=1), case("onnxsim", batch=8), case("onnxsim", "fp16", batch=32)
    opened = show(timed(case("fold", batch=8), 1000.0), *(timed(other, 1000.0) for other in (far, near, also_far)))
    chooser = opened.page.locator("#layers")
    chooser.get_by_label("passes").select_option("onnxsim")
    assert chooser.get_by_label("precision").input_value() == "fp32"
    assert chooser.get_by_label("batch").input_value() == "8"


def test_all_rows_are_there_when_printed(show: Show, thousand: Path) -> None:
    opened = show(at=thousand)
    opened.page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert len(opened.column("matrix", "batch")) == 1000


def test_a_narrow_window_is_not_scrolled_sideways(show: Show) -> None:
    opened = show(*one_of_every_outcome())
    opened.page.set_viewport_size({"width": 420, "height": 800})
    opened.page.wait_for_timeout(200)
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= 420


@pytest.fixture(scope="module")
def own_pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The page of one profile and of a diff, hostile text in every name, 90 layers."""
    named = [
        msgspec.structs.replace(one, name=f"{HOSTILE}/{one.name}", type=HOSTILE, module=f"<b>m</b> {n % 3}")
        for n, one in enumerate(layers(90))
    ]
    shorter = [msgspec.structs.replace(one, mean_us=(one.mean_us or 0) / 2) for one in named[:-20]]
    before, after = (Profile(HOSTILE, tuple(side), ((HOSTILE, HOSTILE),), 10, 1.0, notes=(HOSTILE,)) for side in (named, shorter))
    folder = tmp_path_factory.mktemp("own")
    pages = {"layers": profile_page(before), "diff": diff_page(diff(before, after))}
    for name, text in pages.items():
        write_page(text, folder / f"{name}.html")
    return {name: folder / f"{name}.html" for name in pages}


@pytest.mark.parametrize(("name", "scheme"), [("layers", "dark"), ("diff", "light")])
def test_a_page_of_layers_is_quiet_shows_names_as_text_and_fits_a_phone(
    show: Show, own_pages: dict[str, Path], name: str, scheme: Literal["light", "dark"]
) -> None:
    opened = show(at=own_pages[name], scheme=scheme)
    page = opened.page
    assert (opened.complaints, opened.requests) == ([], [opened.address])
    assert page.locator("img, main b, main svg a").count() == 0
    assert any(HOSTILE in text for text in opened.column("layers", "layer"))
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 800})
        page.wait_for_timeout(150)
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_pointing_shows_all_fields_and_search_and_sort_need_no_mouse(show: Show, own_pages: dict[str, Path]) -> None:
    opened = show(at=own_pages["layers"])
    page = opened.page
    page.locator("#where .scatterlayer .point").first.hover(force=True)
    assert "rank 1 of 90" in (page.locator("#where .hoverlayer").nth(1).text_content() or "")
    assert "<b>bold</b>" in (page.locator("#where .hoverlayer").nth(1).text_content() or "")
    page.locator("#layers .bars .point").first.hover(force=True)
    assert "rank 1 of 90" in (page.locator("#layers .hoverlayer").first.text_content() or "")
    page.locator("#where .treemaplayer .slice").last.hover(force=True)
    assert any(text.startswith("<b>m</b>") for text in page.locator("#where .treemaplayer text").all_text_contents())
    assert "with all that take longer" in (page.locator("#where .hoverlayer").last.text_content() or "")
    assert "rank 1 of 90" in (page.locator("#layers tbody td").nth(1).get_attribute("title") or "")
    search = opened.page.locator("#layers").get_by_label("search")
    search.focus()
    opened.page.keyboard.type("node_17 ")
    assert [name.rsplit("/", 1)[-1] for name in opened.column("layers", "layer")][:1] == ["node_17"]
    search.fill("")
    opened.page.locator("#layers th button").filter(has_text="rank").focus()
    opened.page.keyboard.press("Enter")
    opened.page.keyboard.press("Enter")
    assert opened.column("layers", "rank")[0] == "90"
