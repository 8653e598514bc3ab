"""The page of `inspect --html` in Chromium, without a network: nothing runs, nothing is asked for.

MODELPACK_SCREENSHOTS names a folder in which the pictures stay, for people to look at.
"""

import html
import os
import re
import struct
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.network_namespace import Namespace, new_namespace
from tests.unit import test_page as made

pytestmark = pytest.mark.integration
GOLDEN = Path(__file__).parents[1] / "golden" / "pages"
DESKTOP, PHONE = (1280, 2600), (390, 4200)
_OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
    "--disable-background-networking", "--disable-dev-shm-usage", "--enable-logging=stderr",
    "--virtual-time-budget=2000",
)  # fmt: skip
_OWNED = "<script>document.documentElement.dataset.owned = 1</script>"


@dataclass(frozen=True)
class Browser:
    """Chromium in a network of its own, with a profile that nobody else has."""

    program: str
    network: Namespace
    profile: Path

    def open(self, page: Path, *options: str) -> tuple[str, list[str]]:
        """Return what it prints of a page, and what the page's console has."""
        with self.network.inside():
            done = subprocess.run(
                [self.program, *_OPTIONS, f"--user-data-dir={self.profile}", *options,
                 page.as_uri()],
                capture_output=True, text=True, errors="replace", check=False, timeout=120,
            )  # fmt: skip
        assert done.returncode == 0, done.stderr
        lines = done.stderr.splitlines()
        return done.stdout, [
            line for line in lines if ":CONSOLE" in line and "source: file:" in line
        ]


@pytest.fixture(scope="module")
def browser(
    require_tool: Callable[[str], str],
    unavailable: Callable[[str], None],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Browser]:
    """Return a browser that reaches nobody."""
    program = require_tool("chromium")
    try:
        with new_namespace() as network:
            yield Browser(program, network, tmp_path_factory.mktemp("profile"))
    except OSError as error:
        unavailable(f"no network of one's own: {error.strerror}")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return a page with what was verified, one of claims alone, and one that is hostile."""
    folder = tmp_path_factory.mktemp("pages")
    hostile = " ".join((_OWNED, *made.HOSTILE))
    texts = {
        "verified": (GOLDEN / "verified" / "page.html").read_text(encoding="utf-8"),
        "claims": (GOLDEN / "claims" / "page.html").read_text(encoding="utf-8"),
        "hostile": made.rendered(made.hostile(hostile), made.verified(hostile)),
    }
    found = {}
    for name, text in texts.items():
        found[name] = folder / f"{name}.html"
        found[name].write_text(text, encoding="utf-8")
    return found


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Return the folder in which pictures stay."""
    kept = os.environ.get("MODELPACK_SCREENSHOTS")
    folder = Path(kept) if kept else tmp_path
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.mark.parametrize("name", ["verified", "claims", "hostile"])
@pytest.mark.parametrize(("width", "height"), [DESKTOP, PHONE])
def test_a_page_is_drawn_on_a_screen(
    browser: Browser, pages: dict[str, Path], pictures: Path, name: str, width: int, height: int
) -> None:
    target = pictures / f"{name}-{width}.png"
    _, console = browser.open(
        pages[name], f"--screenshot={target}", f"--window-size={width},{height}"
    )
    assert console == []
    header = target.read_bytes()[:24]
    assert header[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", header[16:]) == (width, height)


def test_a_page_can_be_printed(browser: Browser, pages: dict[str, Path], pictures: Path) -> None:
    target = pictures / "verified.pdf"
    _, console = browser.open(
        pages["verified"], f"--print-to-pdf={target}", "--no-pdf-header-footer"
    )
    assert console == []
    assert target.read_bytes().startswith(b"%PDF-")
    assert 1 <= target.read_bytes().count(b"/Type /Page\n") <= 12


def test_what_an_image_says_does_not_run(browser: Browser, pages: dict[str, Path]) -> None:
    document, console = browser.open(pages["hostile"], "--dump-dom")
    assert "What is in this image" in document
    assert "data-owned" not in document
    assert "<script" not in document
    assert "<img" not in document
    assert console == []


def test_the_policy_of_the_page_stops_what_is_not_escaped(
    browser: Browser, pages: dict[str, Path], tmp_path: Path
) -> None:
    """Were escaping to fail, nothing would run either, nor be asked for."""
    text = pages["claims"].read_text(encoding="utf-8")
    broken = tmp_path / "broken.html"
    more = '<img src="http://127.0.0.1:9/picture.png"><style>main { display: none }</style>'
    broken.write_text(text.replace("<main>", f"<main>{_OWNED}{more}"), encoding="utf-8")
    document, console = browser.open(broken, "--dump-dom")
    assert "data-owned" not in document
    assert sum("Content Security Policy" in line for line in console) == 3
    unguarded = tmp_path / "unguarded.html"
    start = text.index('<meta http-equiv="Content-Security-Policy"')
    end = text.index(">", start) + 1
    unguarded.write_text(
        (text[:start] + text[end:]).replace("<main>", f"<main>{_OWNED}"), encoding="utf-8"
    )
    assert "data-owned" in browser.open(unguarded, "--dump-dom")[0]


@pytest.fixture(scope="module")
def axe(go_tool: Callable[[str], str]) -> str:
    """Return axe-core, a program for pages."""
    return Path(go_tool("axe")).read_text(encoding="utf-8")


_JUDGE = """
for (const one of document.querySelectorAll("details")) one.open = true;
const found = document.documentElement.dataset;
found.keys = [...document.querySelectorAll("summary")].every(one => {
  one.focus({focusVisible: true});
  return document.activeElement === one && getComputedStyle(one).outlineWidth === "3px";
});
found.dark = matchMedia("(prefers-color-scheme: dark)").matches;
axe.run({runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]})
  .then(({violations, passes}) => {
    found.passes = passes.map(rule => rule.id).join(" ");
    found.violations = violations.map(rule => rule.nodes.map(node =>
      `${rule.id}: ${node.target.join(" ")}: ${node.failureSummary}`).join("; ")).join("; ");
  });
"""
_ALWAYS = {
    "color-contrast", "document-title", "heading-order", "html-has-lang", "landmark-one-main",
    "page-has-heading-one", "region", "scope-attr-valid", "svg-img-alt", "td-headers-attr",
}  # fmt: skip
"rules that every page must have been held against"


@dataclass(frozen=True)
class Access:
    """What axe-core found of a page."""

    dark: bool
    keys: bool
    "whether all that can be opened can be reached with a keyboard, and is seen to be"
    passes: frozenset[str]
    violations: str


def judged(browser: Browser, axe: str, text: str, page: Path, *options: str) -> Access:
    """Return what axe-core says of a page, with all that can be opened open."""
    start = text.index('<meta http-equiv="Content-Security-Policy"')
    end = text.index(">", start) + 1
    scripts = f"<script>{axe}</script><script>onload = () => {{ {_JUDGE} }}</script>"
    page.write_text(text[:start] + scripts + text[end:], encoding="utf-8")
    document, console = browser.open(page, "--dump-dom", *options)
    assert console == []
    said = dict(re.findall(r' data-([a-z]+)="([^"]*)"', document[: document.index("<head>")]))
    return Access(
        dark=said["dark"] == "true",
        keys=said["keys"] == "true",
        passes=frozenset(said["passes"].split()),
        violations=html.unescape(said["violations"]),
    )


@pytest.mark.parametrize(
    ("name", "scheme", "width"),
    [("refused", "light", 1280), ("refused", "dark", 500), ("claims", "light", 500),
     ("verified", "dark", 1280), ("silent", "dark", 1280)],
)  # fmt: skip
def test_everybody_can_use_a_page(
    browser: Browser, axe: str, tmp_path: Path, name: str, scheme: str, width: int
) -> None:
    """Contrast, landmarks, headings, tables, names: WCAG 2.2 A and AA, as axe-core tests them."""
    text = (GOLDEN / name / "page.html").read_text(encoding="utf-8")
    options = [f"--window-size={width},1200", *(["--force-dark-mode"] if scheme == "dark" else [])]
    found = judged(browser, axe, text, tmp_path / "page.html", *options)
    assert found.dark == (scheme == "dark")
    assert found.keys
    assert found.violations == ""
    assert found.passes >= _ALWAYS


def test_a_page_that_not_everybody_can_use_is_found(
    browser: Browser, axe: str, tmp_path: Path
) -> None:
    text = (GOLDEN / "refused" / "page.html").read_text(encoding="utf-8")
    worse = (
        text.replace("--quiet: #566070", "--quiet: #c0c4ca", 1).replace(' lang="en"', "")
        .replace("<main>", "<div>").replace("</main>", "</div>").replace("<h2", "<h5", 1)
        .replace("</h2>", "</h5>", 1)
    )  # fmt: skip
    found = judged(browser, axe, worse, tmp_path / "page.html")
    rules = {one.partition(":")[0] for one in found.violations.split("; ")}
    assert rules >= {"color-contrast", "html-has-lang", "landmark-one-main", "heading-order"}


def test_a_page_fits_its_screen(browser: Browser, tmp_path: Path) -> None:
    """Nothing has to be scrolled sideways: a script, which the page never has, measures it."""
    text = made.rendered(made.hostile("x" * 3000), made.verified("y" * 3000))
    start = text.index('<meta http-equiv="Content-Security-Policy"')
    measure = (
        "<script>onload = () => document.documentElement.dataset.over ="
        " document.documentElement.scrollWidth - innerWidth</script>"
    )
    page = tmp_path / "wide.html"
    page.write_text(text[:start] + measure + text[text.index(">", start) + 1 :], encoding="utf-8")
    for width, height in (DESKTOP, (500, 900)):
        document, _ = browser.open(page, "--dump-dom", f"--window-size={width},{height}")
        assert 'data-over="0"' in document
