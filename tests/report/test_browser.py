"""The page in a real Chromium without a window: it asks for nothing, fits, sorts, and can be read."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from harness.report import write_report
from tests.made_up_runs import (
    make_failure,
    make_record,
    write_aimed_run,
    write_mixed_run,
    write_repeated_run,
    write_run,
)

pytestmark = pytest.mark.browser
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: the extra browser has it")

Open = Callable[..., Any]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
HOSTILE = '"><script>window.harmed = 1</script><img src=x onerror="window.harmed = 1">'
LONG = "a_backend_with_a_name_that_is_much_longer_than_any_framework_has"
# At 96 pixels an inch, within the page's margins of 14 mm.
A4_WIDTH_PX = 688

# What lies beyond the right edge of the window, but for what its own box scrolls.
BEYOND = """() => [...document.querySelectorAll("body *")].filter((each) => !each.closest(".table, pre"))
  .filter((each) => each.checkVisibility() && each.getBoundingClientRect().right > innerWidth + 1)
  .map((each) => each.tagName + " " + each.className + " " + each.textContent.slice(0, 40))"""
SMALLEST_TEXT = """() => Math.min(...[...document.querySelectorAll("body *")]
  .filter((each) => each.checkVisibility())
  .filter((each) => [...each.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim()))
  .filter((each) => each.tagName !== "title")
  .map((each) => parseFloat(getComputedStyle(each).fontSize)
    * (each.ownerSVGElement ? Math.hypot(each.getScreenCTM().a, each.getScreenCTM().b) : 1)))"""
CONTRASTS = """() => {
  const channel = (c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const light = (rgb) => rgb.match(/\\d+/g).slice(0, 3).map(Number).map(channel)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const page = light(getComputedStyle(document.body).backgroundColor);
  const names = ["h1", "h2", ".headline", ".figure text", "summary", "nav a", "td", ".note"];
  return Object.fromEntries(names.map((name) => {
    const ink = light(getComputedStyle(document.querySelector(name))[name.endsWith(" text") ? "fill" : "color"]);
    return [name, (Math.max(page, ink) + 0.05) / (Math.min(page, ink) + 0.05)];
  }));
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed: Debian's package is chromium")
    with playwright.sync_playwright() as driver:
        yield driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)


@pytest.fixture
def open_page(browser: Any) -> Iterator[Open]:
    """A function that opens a run's page in a window; whatever it logs, throws or asks for is in page.heard."""
    contexts = []

    def open_page(folder: Path, width: int = 1280, **options: Any) -> Any:
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        page, address = context.new_page(), (folder / "report.html").as_uri()
        page.heard = []
        page.on("console", lambda message: page.heard.append(message.text))
        page.on("pageerror", lambda error: page.heard.append(str(error)))
        page.on("request", lambda request: page.heard.append(request.url) if not is_inside(request.url, address) else 0)
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()


def is_inside(url: str, address: str) -> bool:
    return url == address or url.startswith("data:")


def write_hostile_run(folder: Path) -> Path:
    """Hostile and long texts wherever a record may hold any."""
    records = [
        make_record("torch", device=HOSTILE),
        make_record(LONG),
        make_failure("jax", "failed", HOSTILE + "x" * 500),
    ]
    changes = {"command": f"{HOSTILE} {'y' * 500}", "preset": HOSTILE, "verification": [verification()]}
    return write_run(folder, records, **changes)


# With repeats and a ceiling, with failures, with hostile and long texts, without a cell, with a target.
RUNS: dict[str, Callable[[Path], Path]] = {
    "repeated": write_repeated_run,
    "mixed": write_mixed_run,
    "hostile": write_hostile_run,
    "empty": lambda folder: write_run(folder, []),
    "aimed": lambda folder: write_aimed_run(folder, ("torch", 0, 100), ("torch", 1, 300), ("jax", 0, None)),
}


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A function that writes one of RUNS with its report, which takes seconds, once; nobody changes it."""

    @cache
    def write(name: str) -> Path:
        folder = RUNS[name](tmp_path_factory.mktemp(name) / "run")
        write_report(folder)
        return folder

    return write


@pytest.fixture(params=RUNS)
def any_run(request: pytest.FixtureRequest, reported: Callable[[str], Path]) -> Path:
    return reported(request.param)


@pytest.fixture
def mixed_run(reported: Callable[[str], Path]) -> Path:
    return reported("mixed")


@pytest.fixture
def repeated_run(reported: Callable[[str], Path]) -> Path:
    return reported("repeated")


def verification() -> dict[str, Any]:
    worst = {"quantity": HOSTILE, "error": None, "tolerance": 1e-4, "within": False, "tensor": HOSTILE}
    named = {"backend": "torch", "implementation": "idiomatic", "precision": "float32"}
    return {**named, "verified": False, "reason": HOSTILE, "worst": [worst]}


@pytest.mark.parametrize("width", [390, 1280])
def test_it_loads_in_silence_and_fits(any_run: Path, open_page: Open, width: int) -> None:
    page = open_page(any_run, width)
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    assert page.evaluate(BEYOND) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(SMALLEST_TEXT) >= 12
    assert page.evaluate("window.harmed") is None
    assert page.heard == []


def test_what_is_smuggled_in_neither_runs_nor_calls_home(mixed_run: Path, open_page: Open) -> None:
    page = open_page(mixed_run)
    page.evaluate("""() => {
      window.refused = [];
      document.addEventListener("securitypolicyviolation", (event) => window.refused.push(event.effectiveDirective));
      const script = document.createElement("script");
      script.textContent = "window.harmed = 1";
      document.body.append(script, Object.assign(new Image(), { src: "https://localhost:9/x.png" }));
      fetch("https://localhost:9/").catch(() => {});
    }""")
    page.wait_for_function("window.refused.length === 3")
    assert set(page.evaluate("window.refused")) == {"script-src-elem", "img-src", "connect-src"}
    assert page.evaluate("window.harmed") is None


def texts(page: Any, place: int) -> list[str]:
    cells = page.locator("#results table").first.locator(f"tbody td:nth-child({place})")
    return [text.strip() for text in cells.all_inner_texts()]


def test_a_click_or_a_key_sorts_and_says_so(mixed_run: Path, open_page: Open) -> None:
    page = open_page(mixed_run)
    headers = page.locator("#results table").first.locator("th")
    name, speed = headers.nth(1), headers.nth(2)
    names = texts(page, 2)
    assert names[0] == "torch idiomatic"
    name.get_by_role("button").click()
    assert texts(page, 2) == sorted(names)
    assert name.get_attribute("aria-sort") == "ascending"
    speed.get_by_role("button").focus()
    page.keyboard.press("Enter")
    assert [name.get_attribute("aria-sort"), speed.get_attribute("aria-sort")] == ["none", "ascending"]
    numbers = [float(text.replace(",", "")) for text in texts(page, 3) if text]
    assert len(numbers) == 3
    assert numbers == sorted(numbers)
    assert texts(page, 3)[3:] == ["", ""]
    page.keyboard.press("Enter")
    assert speed.get_attribute("aria-sort") == "descending"
    assert [float(text.replace(",", "")) for text in texts(page, 3) if text] == numbers[::-1]
    assert texts(page, 3)[3:] == ["", ""]
    assert page.heard == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_stand_out_in_light_and_dark(repeated_run: Path, open_page: Open, scheme: str) -> None:
    page = open_page(repeated_run, color_scheme=scheme)
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") == (scheme == "light")
    contrasts = page.evaluate(CONTRASTS)
    assert {name: contrast for name, contrast in contrasts.items() if contrast < 4.5} == {}


def test_paper_is_white_and_wide_enough(any_run: Path, open_page: Open) -> None:
    page = open_page(any_run, A4_WIDTH_PX, color_scheme="dark")
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("document.documentElement.scrollWidth") <= A4_WIDTH_PX
    assert not page.locator("nav").is_visible()
    assert page.pdf(format="A4").startswith(b"%PDF")


def test_on_paper_the_environment_is_there_though_it_is_folded_on_the_screen(tmp_path: Path, open_page: Open) -> None:
    packages = {f"package-{n}": "1.0" for n in range(30)}
    environment = {"cpu": "Imaginary CPU", "packages": packages}
    folder = write_run(tmp_path / "run", [make_record("torch")], environment=environment)
    write_report(folder)
    page = open_page(folder, A4_WIDTH_PX)
    row = page.locator("#environment td", has_text="package-29")
    all_measures = page.locator("#results details.rows").first
    assert not row.is_visible()
    page.emulate_media(media="print")
    assert row.is_visible()
    assert row.bounding_box()["height"] > 0
    assert not all_measures.is_visible()


def test_a_table_that_goes_on_shows_a_shadow_where_it_does(repeated_run: Path, open_page: Open) -> None:
    page = open_page(repeated_run, 390)
    table = page.locator("#results .table").first
    clip = table.bounding_box()
    edge = {"x": clip["x"] + clip["width"] - 6, "y": clip["y"] + clip["height"] / 2, "width": 4, "height": 20}

    def darkest() -> int:
        return int(np.asarray(Image.open(BytesIO(page.screenshot(clip=edge, full_page=True))).convert("L")).min())

    table.evaluate(
        "(each) => { for (const cell of each.querySelectorAll('td, th')) cell.style.visibility = 'hidden'; }"
    )
    assert darkest() < 230
    table.evaluate("(each) => { each.scrollLeft = each.scrollWidth; }")
    assert darkest() > 230


def test_a_framework_has_one_colour_everywhere(repeated_run: Path, open_page: Open) -> None:
    page = open_page(repeated_run)
    swatch = page.locator("#results tr", has_text="jax idiomatic").first.locator(".swatch")
    colours = [swatch.evaluate("(each) => getComputedStyle(each).backgroundColor")]
    bars = page.locator("#ceiling .figure path[style*='#0072b2']")
    colours += [bars.nth(i).evaluate("(each) => getComputedStyle(each).fill") for i in range(bars.count())]
    lines = page.locator("#learning .figure path[style*='#0072b2']")
    colours += [lines.nth(i).evaluate("(each) => getComputedStyle(each).stroke") for i in range(lines.count())]
    colours = [colour for colour in colours if colour != "none"]
    assert bars.count()
    assert len(colours) > 4
    assert set(colours) == {"rgb(0, 114, 178)"}
