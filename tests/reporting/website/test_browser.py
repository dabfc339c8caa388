"""The site in a real browser."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from glideflow.library import table
from glideflow.records import Library

if TYPE_CHECKING:
    from conftest import Page

OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
)
BUDGETS_S = (20, 60, 180)
"""Time that scripts are given, as the browser counts it; a busy machine gets more."""
LONG_S = 1800.0
"""After so long a wait is a hang, whatever else the machine has to do."""
CONSOLE = re.compile(r":CONSOLE[:(]\d+\)?\] (.*)")
Read = Callable[[Path], "Page"]


@pytest.fixture(scope="module")
def chromium() -> str:
    """A browser, or none: then there is nothing to test."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("needs a Chromium to open the pages in")
    return found


def opened(chromium: str, address: str, budget_s: int, height: int = 9000, *options: str) -> tuple[str, list[str]]:
    """The page after its scripts, and what was written to the console, errors and refusals among it."""
    # A profile of its own: helpers of a browser that has ended may still write into theirs.
    with tempfile.TemporaryDirectory(prefix="profile-", ignore_cleanup_errors=True) as profile:
        further = [f"--virtual-time-budget={1000 * budget_s}", f"--user-data-dir={profile}", "--dump-dom", address]
        command = [chromium, *OPTIONS, *options, f"--window-size=1400,{height}", *further]
        run = subprocess.run(command, capture_output=True, text=True, timeout=LONG_S, check=True)
    return run.stdout, CONSOLE.findall(run.stderr)


def drawn(chromium: str, read: Read, address: str, folder: Path) -> Page:
    """A page once its figures are drawn; a busy machine gets more time."""
    for budget_s in BUDGETS_S:
        text, console = opened(chromium, address, budget_s)
        assert console == []
        (folder / "page.html").write_text(text, encoding="utf-8")
        page = read(folder / "page.html")
        if all("data-drawn" in plot for plot in plots(page)):
            break
    return page


def plots(page: Page) -> list[dict[str, str]]:
    return [attributes for _, attributes in page.elements if "plot" in attributes.get("class", "").split()]


def shown(page: Page) -> list[str]:
    """Potentials whose rows the table of the first page shows, in their order."""
    rows = [(index, attributes) for index, (tag, attributes) in enumerate(page.elements) if tag == "tr"]
    body = [(index, attributes) for index, attributes in rows if page.elements[index + 1][1].get("scope") == "row"]
    return [page.elements[index + 1][1]["data-sort"] for index, attributes in body if "hidden" not in attributes]


@pytest.mark.slow
def test_the_console_is_heard(chromium: str, tmp_path: Path) -> None:
    page = tmp_path / "bad.html"
    page.write_text("<script>nothing.like_this()</script>")
    _, console = opened(chromium, page.as_uri(), 20)
    assert any("nothing is not defined" in line for line in console)


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["site", "hostile_site"])
def test_every_page_opens_without_errors(
    chromium: str, folder: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    root: Path = request.getfixturevalue(folder)
    addresses = [path.as_uri() for path in sorted(root.rglob("*.html"))]
    frames = "".join(f'<iframe src="{each}" style="width:1300px;height:1500px"></iframe>' for each in addresses)
    (tmp_path / "all.html").write_text(f"<body>{frames}", encoding="utf-8")
    _, console = opened(chromium, (tmp_path / "all.html").as_uri(), 60, 1600 * len(addresses))
    assert console == []


HAND = """
<body><iframe id="site" src="INDEX" style="width:1300px;height:900px"></iframe><pre id="seen"></pre><script>
const frame = document.getElementById("site");
frame.onload = () => {
  const page = frame.contentDocument;
  const at = () => frame.contentWindow.location.hash + " " + page.querySelector("output").textContent;
  const seen = [at()];
  const search = page.querySelector("[name=q]");
  search.value = "Fe_";
  search.dispatchEvent(new Event("input", { bubbles: true }));
  seen.push(at());
  page.querySelectorAll("thead button")[6].click();
  page.querySelectorAll("thead button")[6].click();
  seen.push(at());
  page.querySelector("button[type=reset]").click();
  setTimeout(() => {
    seen.push(at());
    document.getElementById("seen").textContent = seen.join("\\n");
  }, 100);
};
</script>
"""


@pytest.mark.slow
def test_what_a_reader_does_is_kept_in_the_address(chromium: str, read: Read, site: Path, tmp_path: Path) -> None:
    hand = tmp_path / "hand.html"
    hand.write_text(HAND.replace("INDEX", (site / "index.html").as_uri()), encoding="utf-8")
    for budget_s in BUDGETS_S:
        text, console = opened(chromium, hand.as_uri(), budget_s, 1000, "--allow-file-access-from-files")
        assert console == []
        seen = text.partition('id="seen">')[2].partition("<")[0].splitlines()
        if seen:
            break
    assert seen == [
        " 5 potentials",
        "#q=Fe_ 1 of 5 potentials",
        "#q=Fe_&amp;sort=-6 1 of 5 potentials",
        "#sort=-6 5 potentials",
    ]


@pytest.mark.slow
def test_figures_are_drawn_and_filters_come_from_the_address(
    chromium: str, read: Read, site: Path, library: Library, tmp_path: Path
) -> None:
    first = min((site / "potentials").iterdir()).relative_to(site).as_posix()
    for name in (first, "metals/Cu-fcc.html", "structures/fcc.html", "overview.html"):
        page = drawn(chromium, read, (site / name).as_uri(), tmp_path)
        assert plots(page)
        assert all(plot.get("data-drawn") == "yes" for plot in plots(page))
    index = (site / "index.html").as_uri()
    everything = drawn(chromium, read, index, tmp_path)
    assert len(shown(everything)) == 5
    softest = min((row for row in table(library) if row["element"] == "Cu"), key=lambda row: row["gamma_usf_mj_m2"])
    limit = f"metal=Cu&max.gamma_usf_mj_m2={softest['gamma_usf_mj_m2'] + 0.01}"
    assert shown(drawn(chromium, read, f"{index}#{limit}", tmp_path)) == [softest["potential_id"]]
    falling = drawn(chromium, read, f"{index}#sort=-5", tmp_path)  # by the lattice constant, the largest first
    order = sorted(table(library), key=lambda row: -row["a_angstrom"])
    assert shown(falling) == [row["potential_id"] for row in order]
    none = drawn(chromium, read, f"{index}#q=no%20such%20thing", tmp_path)
    assert shown(none) == []
    assert "0 of 5 potentials" in none.text
