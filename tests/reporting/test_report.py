from __future__ import annotations

import dataclasses
import json
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest

from glideflow.errors import StorageError
from glideflow.library import table
from glideflow.properties.results import PeierlsStressResult
from glideflow.records import MissingResult
from glideflow.reporting.embedding import restored
from glideflow.reporting.labels import anchor
from glideflow.reporting.report import render_report, write_report

SECTIONS = ["limits", "summary", "dispersion", "gamma", "peierls", "elastic", "failures", "potentials", "provenance"]
VOID = {"meta", "input", "img", "br", "link", "hr"}


class Document(HTMLParser):
    """Elements in order, with the text inside each; scripts and styles are not parsed, as in a browser."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[list[str]] = []
        self._open: list[int] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        self.texts.append([])
        if tag not in VOID:
            self._open.append(len(self.elements) - 1)

    def handle_endtag(self, tag):
        if tag in VOID:
            return
        assert self.elements[self._open[-1]][0] == tag, f"</{tag}> closes <{self.elements[self._open[-1]][0]}>"
        self._open.pop()

    def handle_data(self, data):
        for index in self._open:
            self.texts[index].append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    def text(self, identifier):
        index = next(k for k, (_, attributes) in enumerate(self.elements) if attributes.get("id") == identifier)
        return "".join(self.texts[index])

    def rows(self, identifier):
        """Cells of each row of a table's body as (text, attributes)."""
        start = next(k for k, (_, attributes) in enumerate(self.elements) if attributes.get("id") == identifier)
        rows = []
        for index in range(start + 1, len(self.elements)):
            tag, attributes = self.elements[index]
            if tag == "table":
                break
            if tag == "tr":
                rows.append([])
            elif tag in ("td", "th") and rows and "data-label" in attributes:
                rows[-1].append(("".join(self.texts[index]).strip(), attributes))
        return [row for row in rows if row]


@pytest.fixture(scope="module")
def html(library):
    return render_report(library)


@pytest.fixture(scope="module")
def document(html):
    return Document(html)


def test_sections_headings_and_language(document):
    assert [section["id"] for section in document.all("section")] == SECTIONS
    assert document.all("html") == [{"lang": "en"}]
    assert len(document.all("h1")) == 1
    assert document.all("title")
    assert all(section["aria-labelledby"] == f"{section['id']}-heading" for section in document.all("section"))


def test_identifiers_are_unique_and_links_lead_somewhere(document):
    counts = Counter(attributes["id"] for _, attributes in document.elements if "id" in attributes)
    assert [name for name, count in counts.items() if count > 1] == []
    targets = [a["href"][1:] for a in document.all("a") if a.get("href", "").startswith("#")]
    assert targets
    assert set(targets) <= set(counts)


def test_nothing_is_loaded_from_anywhere(document, html):
    assert not document.all("link")
    assert not document.all("iframe")
    assert not [attributes for _, attributes in document.elements if "src" in attributes]
    outside = [a["href"] for a in document.all("a") if not a["href"].startswith("#")]
    assert outside
    assert all(href.startswith("https://doi.org/10.") for href in outside)
    style = html[html.index("<style>") : html.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    policy = next(meta["content"] for meta in document.all("meta") if "http-equiv" in meta)
    assert policy.startswith("default-src 'none'")
    assert "http" not in policy


def test_plotly_is_embedded_once_and_cannot_send_anything(html):
    assert html.count("plotly.js v") == 1
    assert "sendChartToCloud" in html[html.index("modeBarButtonsToRemove: [") :][:120]


def test_every_figure_has_its_data_and_an_alternative_text(document, html):
    plots = [attributes for _, attributes in document.elements if "plot" in attributes.get("class", "").split()]
    assert len(plots) >= 8
    for plot in plots:
        assert plot["role"] == "img"
        assert len(plot["aria-label"]) > 4
        if "data-figure" in plot:
            figure = json.loads(_script(html, plot["data-figure"]))
            assert figure["layout"]["height"]
        else:
            store = json.loads(_script(html, f"{plot['data-explorer']}-store"))
            assert len(store["figures"][plot["data-member"]]["differences"]) == len(store["items"])


def test_every_control_has_a_name(document):
    labelled = {label["for"] for label in document.all("label") if "for" in label}
    for select in document.all("select"):
        assert select.get("id") in labelled or "data-sort-select" in select  # the latter stand inside their label
    for button in document.all("button"):
        assert button["type"] == "button"


def test_the_summary_equals_the_library(document, library):
    rows = document.rows("summary-table")
    expected = table(library)
    assert [row[0][0] for row in rows] == [row["potential_id"] for row in expected]
    keys = {"a (Å)": "a_angstrom", "C11 (GPa)": "c11_gpa", "C12 (GPa)": "c12_gpa", "C44 (GPa)": "c44_gpa"} | {
        "γisf (mJ/m²)": "gamma_isf_mj_m2",
        "γusf (mJ/m²)": "gamma_usf_mj_m2",
        "τP (MPa)": "peierls_mpa",
    }
    for cells, values in zip(rows, expected, strict=True):
        by_label = {attributes["data-label"]: (text, attributes) for text, attributes in cells}
        for label, key in keys.items():
            text, attributes = by_label[label]
            if values[key] is None:
                assert text == "–"
                assert "data-sort" not in attributes
            else:
                assert float(attributes["data-sort"]) == values[key]
        assert by_label["status"][0].endswith(values["status"])


def test_what_is_shown_rounds_what_is_stored(document):
    for cells in document.rows("elastic-table"):
        for text, attributes in cells:
            if "GPa" in attributes["data-label"] and "data-sort" in attributes and "×" not in text:
                shown, full = float(text.replace("−", "-")), float(attributes["data-sort"])
                assert shown == pytest.approx(full, abs=0.05000001)


def test_failures_are_marked_and_explained(document, broken):
    row = next(cells for cells in document.rows("summary-table") if cells[0][0] == broken.potential.id)
    assert row[0][1].get("scope") == "row"
    assert any("✕ failed" in text for text, _ in row)
    text = document.text("failures")
    failure = broken.stages[0].failure
    for part in (failure.error_class, failure.reason, failure.expected, failure.next_step, "glideflow lattice"):
        assert part in text
    assert failure.evidence.split("\n")[-1] in text


def test_potentials_are_cited_with_their_digest(document, copper):
    text = document.text(anchor(copper.potential.id))
    assert copper.potential.citation in text
    assert copper.potential.sha256 in text
    assert f"https://doi.org/{copper.potential.doi}" in [a["href"] for a in document.all("a")]


def test_upper_bounds_say_so(library, copper):
    bounded = tuple(
        dataclasses.replace(stage, result=dataclasses.replace(stage.result, is_upper_bound=True, peierls_mpa=0.0283))
        if isinstance(stage.result, PeierlsStressResult)
        else stage
        for stage in copper.stages
    )
    entries = (dataclasses.replace(copper, stages=bounded),)
    document = Document(render_report(dataclasses.replace(library, entries=entries)))
    (row,) = document.rows("summary-table")
    assert "≤ 0.0283" in [text for text, _ in row]


def test_the_cell_of_the_peierls_stress_is_stated(document, copper):
    computed = next(stage.result for stage in copper.stages if isinstance(stage.result, PeierlsStressResult))
    assert f"{computed.burgers_vectors} b long" in document.text("limits")
    assert "not converged with the size of the cell" in document.text("limits")


@pytest.mark.parametrize(
    ("residual_gpa", "dependence", "told"),
    [(2.0, 0.04, "by 2 and 2 GPa, and differ between strain amplitudes by 4 and 4 %"), (1e-12, 0.0, "by 0 and 0 GPa")],
)
def test_errors_of_values_that_are_printed_without_one_are_stated(library, copper, residual_gpa, dependence, told):
    changed = {"elastic": {"fit_residual_gpa": residual_gpa, "strain_dependence": dependence}}
    stages = [
        dataclasses.replace(stage, result=dataclasses.replace(stage.result, **changed.get(stage.property, {})))
        for stage in copper.stages
    ]
    entries = (dataclasses.replace(copper, stages=tuple(stages)),)
    limits = Document(render_report(dataclasses.replace(library, entries=entries))).text("limits")
    assert told in limits
    assert "until less than 0.05 mJ/m² is left to gain" in limits
    without = (dataclasses.replace(copper, stages=copper.stages[:1]),)
    text = Document(render_report(dataclasses.replace(library, entries=without))).text("limits")
    assert not any(word in text for word in ("strain amplitudes", "left to gain"))


@pytest.mark.parametrize(("name", "told"), [("quick", True), ("other", False)])
def test_the_quick_tier_says_what_it_is(library, name, told):
    document = Document(render_report(dataclasses.replace(library, name=name)))
    assert ("no survey of potentials" in document.text("limits")) == told
    assert name in "".join(document.texts[[tag for tag, _ in document.elements].index("h1")])


def test_missing_results_are_named(library, copper):
    missing = MissingResult(
        potential="Cu_lost",
        property="elastic",
        slip_system="",
        character="",
        file="potentials/Cu_lost/elastic.h5",
        reason="it does not exist",
    )
    lacking = dataclasses.replace(copper, missing=("elastic",))
    part = dataclasses.replace(library, entries=(lacking,), missing=(missing,), accept_missing_percent=5.0)
    document = Document(render_report(part))
    assert "Cu_lost elastic: it does not exist" in document.text("failures")
    assert "1 result is missing" in document.text("limits")
    assert "elastic: missing" in document.text("summary-table")


def test_foreign_text_stays_text(hostile_library):
    html = render_report(hostile_library)
    document = Document(html)
    assert not document.all("img")
    assert not document.all("b")
    assert not [a for _, attributes in document.elements for a in attributes if a.startswith("on")]
    # Plotly, the page's script and the data: no more scripts than the page has by itself.
    kinds = Counter(script.get("type", "") for script in document.all("script"))
    assert kinds[""] == 2
    assert all(href.startswith(("#", "https://doi.org/10.")) for href in (a["href"] for a in document.all("a")))
    assert "49" not in document.text(anchor(hostile_library.entries[1].potential.id)).split()  # {{ 7 * 7 }}
    assert hostile_library.entries[0].potential.id in document.text("potentials")


def test_plotly_gets_no_markup_of_others(hostile_library):
    html = render_report(hostile_library)
    store = json.loads(_script(html, "peierls-by-metal-data"))
    texts = [text for trace in store["data"] for row in trace.get("customdata", []) for text in row]
    assert texts
    assert not [text for text in texts if isinstance(text, str) and "<img" in text]


def test_the_same_library_gives_the_same_bytes(library, tmp_path, html):
    for name in ("one.html", "two.html"):
        write_report(library, tmp_path / name)
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes() == html.encode()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.html", "two.html"]


def test_a_folder_that_cannot_be_made_is_reported(library, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write"):
        write_report(library, tmp_path / "file" / "report.html")


def test_an_old_report_survives_a_failed_write(library, tmp_path, monkeypatch):
    target = tmp_path / "report.html"
    target.write_text("old")

    def full(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(StorageError, match="No space left"):
        write_report(library, target)
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_parts_of_a_library_make_a_report(library, copper, magnesium, broken):
    only = {
        name: dataclasses.replace(copper, stages=tuple(stage for stage in copper.stages if stage.property == name))
        for name in ("lattice", "elastic", "gamma_surface", "peierls_stress")
    }
    for entries in ((), (broken,), (magnesium,), (copper,), *((entry,) for entry in only.values())):
        document = Document(render_report(dataclasses.replace(library, entries=entries)))
        assert [section["id"] for section in document.all("section")] == SECTIONS
        assert len(document.rows("summary-table")) == len(entries)
        selects = [select for select in document.all("select") if "data-explorer" in select]
        shown = {stage.property for entry in entries for stage in entry.stages if stage.ok}
        assert len(selects) == len(shown & {"gamma_surface", "peierls_stress"})


def test_members_of_the_store_are_whole_figures(html, copper):
    store = json.loads(_script(html, "gamma-explorer-store"))
    index = next(k for k, item in enumerate(store["items"]) if item["potential"] == copper.potential.id)
    surface = store["figures"]["surface"]
    figure = restored(surface["skeleton"], surface["differences"][index])
    assert [trace["type"] for trace in figure["data"]] == ["heatmap", "scatter", "scatter"]
    assert figure["layout"]["meta"]["limit_mj_m2"] > 0


@pytest.mark.slow
def test_a_browser_draws_every_figure_and_runs_no_foreign_script(library, hostile_library, tmp_path):
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("needs a Chromium to open the page in")
    for name, each in (("plain", library), ("hostile", hostile_library)):
        path = tmp_path / f"{name}.html"
        write_report(each, path)
        document = _drawn(chromium, path)
        plots = _plots(document)
        assert len(plots) >= 8
        assert all(plot.get("data-drawn") == "yes" for plot in plots)
        assert not document.all("img")
        assert document.text("gamma-explorer-facts")


def _drawn(chromium: str, path: Path) -> Document:
    """The page once its figures are drawn; a busy machine gets more time, and at last the page as it is."""
    for budget_s in (20, 60, 180):
        document = Document(_opened(chromium, path, budget_s))
        if all("data-drawn" in plot for plot in _plots(document)):
            break
    return document


def _plots(document: Document) -> list[dict[str, str]]:
    return [attributes for _, attributes in document.elements if "plot" in attributes.get("class", "").split()]


def _opened(chromium: str, path: Path, budget_s: int) -> str:
    """The page as a browser without network has it after its scripts, in a window high enough to show all of it."""
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    options += [
        "--disable-component-update",
        "--disable-sync",
        "--window-size=1400,20000",
        f"--virtual-time-budget={1000 * budget_s}",
    ]
    # A profile of its own: helpers of a browser that has ended may still write into theirs.
    with tempfile.TemporaryDirectory(prefix="profile-", ignore_cleanup_errors=True) as profile:
        command = [chromium, *options, f"--user-data-dir={profile}", "--dump-dom", path.as_uri()]
        return subprocess.run(command, capture_output=True, text=True, timeout=1800, check=True).stdout


def _script(html: str, identifier: str) -> str:
    found = re.search(rf'<script type="application/json" id="{re.escape(identifier)}">(.*?)</script>', html, re.DOTALL)
    assert found, identifier
    return found[1]
