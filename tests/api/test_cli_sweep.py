"""rfos sweep and rfos report, run as a user runs them; the page in a browser."""

import hashlib
import json
import math
import re
import shutil
import sqlite3
from html import escape
from pathlib import Path

import pandas as pd
import pytest
from commands import apart, here, run
from specs import grid, spec

from rfos import plots
from rfos.laboratory.sweeps.rows import digest

SPEC = spec("two agents", 1, grid(window=[1, 2, 3], agent=["rmax", "paper"], m=[2, 8], steps=[20000]))


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished sweep and its report."""
    folder = tmp_path_factory.mktemp("sweep")
    (folder / "spec.toml").write_text(SPEC)
    result = here("sweep", "spec.toml", "--store", "store.db", "--jobs", "1", "--out", "out", "--json", cwd=folder)
    assert result.returncode == 0, result.stderr
    (folder / "summary.json").write_text(result.stdout)
    return folder


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (("spec.toml", "--store", "s.db", "--jobs", "0"), ("jobs is 0", "at least 1")),
        (("spec.toml", "--store", "s.db", "--jobs", "2", "--scheduler", "tcp://x"), ("--jobs is 2", "give one")),
        (("missing.toml", "--store", "s.db"), ("missing.toml", "cannot read")),
        (("bad.toml", "--store", "s.db"), ("bad.toml", "window is an empty list", "at least one")),
        (("spec.toml", "--store", "no/s.db"), ("no/s.db", "choose another --store")),
        (("spec.toml", "--store", "spec.toml"), ("spec.toml", "is not a store")),
        (("spec.toml", "--store", "s.db", "--out", "/proc/x"), ("/proc/x", "choose another")),
        (("spec.toml",), ("--store",)),
    ],
)
def test_bad_input_to_sweep_gets_one_line_and_nothing_is_written(
    tmp_path: Path, arguments: tuple[str, ...], names: tuple[str, ...]
) -> None:
    """Exit status 2; the line names the value and the mend."""
    (tmp_path / "spec.toml").write_text(SPEC)
    (tmp_path / "bad.toml").write_text(SPEC.replace("[1, 2, 3]", "[]"))
    result = here("sweep", *arguments, cwd=tmp_path)
    assert result.returncode == 2, result.stderr
    assert result.stdout == ""
    (line,) = result.stderr.strip().splitlines()
    for name in names:
        assert name in line
    assert {path.name for path in tmp_path.iterdir()} - {"spec.toml.lock"} == {"spec.toml", "bad.toml"}
    assert (tmp_path / "spec.toml").read_text() == SPEC


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (("--store", "missing.db", "--out", "new"), ("missing.db", "run rfos sweep first")),
        (("--store", "store.db", "--out", "new", "--code", "abc"), ("'abc'", "24 cells")),
        (("--store", "store.db", "--out", "/proc/x"), ("/proc/x", "choose another")),
    ],
)
def test_bad_input_to_report_gets_one_line_and_nothing_is_written(
    done: Path, arguments: tuple[str, ...], names: tuple[str, ...]
) -> None:
    """Exit status 2; the line names the value and the mend."""
    result = here("report", *arguments, cwd=done)
    assert result.returncode == 2, result.stderr
    (line,) = result.stderr.strip().splitlines()
    for name in names:
        assert name in line
    assert not (done / "new").exists()


def test_sweep_prints_json_and_writes_whole_files(done: Path) -> None:
    """One object on stdout; tables, figures and the page in --out, no temporary file beside them."""
    summary = json.loads((done / "summary.json").read_text())
    assert (summary["title"], summary["cells"], summary["measured"]) == ("two agents", 24, 24)
    assert (summary["found"], summary["failed"], summary["others"]) == (0, [], {})
    assert sorted(summary["files"]) == sorted(path.name for path in (done / "out").iterdir())
    for name in ("cells", "curves", "fits", "points"):
        table = pd.read_csv(done / "out" / f"{name}.csv")
        parquet = pd.read_parquet(done / "out" / f"{name}.parquet")
        assert list(table) == list(parquet)
        assert len(table) == len(parquet) > 0
    cells = pd.read_csv(done / "out" / "cells.csv")
    assert len(cells) == 24
    assert cells["key"].is_monotonic_increasing
    assert set(cells["window"]) == {1, 2, 3}
    assert (cells["n_states"] == 4 ** cells["window"]).all()
    assert (cells["steps_played"] == 20000).all()
    assert {"report.html", "learning_curves.svg", "scaling_steps_all_known_n_states.png"} <= set(summary["files"])


@pytest.mark.processes
def test_a_second_sweep_and_a_report_say_the_same(done: Path) -> None:
    """Nothing is measured again; the report's files are those that the sweep wrote, byte for byte."""
    again = here("sweep", "spec.toml", "--store", "store.db", "--audit", cwd=done)
    assert again.returncode == 0, again.stderr
    assert "24 cells, 24 already there, 0 measured now, 0 failed" in again.stdout
    assert "audit: 1 measured again, the same bytes" in again.stdout
    report = apart("report", "--store", "store.db", "--out", "second", "--json", cwd=done)
    assert report.returncode == 0, report.stderr
    content = json.loads(report.stdout)
    assert content["cells"] == 24
    assert {fit["variable"] for fit in content["fits"]} == {"n_states", "m"}
    # m goes from 2 to 8: two points are no power law; windows 1 to 3 are.
    assert all(fit["verdict"] == "undecided" for fit in content["fits"] if fit["variable"] == "m")
    for name in content["files"]:
        assert (done / "second" / name).read_bytes() == (done / "out" / name).read_bytes(), name
    text = here("report", "--store", "store.db", "--out", "second", cwd=done)
    assert "steps until all pairs are known against meta-states |S|" in text.stdout


def test_every_verdict_stands_with_its_reason(done: Path) -> None:
    """Terminal and page say why each slope is judged as it is, and how far the points are off its line."""
    fits = pd.read_csv(done / "out" / "fits.csv")
    page = (done / "out" / "report.html").read_text(encoding="utf-8")
    text = here("report", "--store", "store.db", "--out", "second", cwd=done).stdout
    assert len(fits) > 1
    for line in fits.to_dict("records"):
        assert f": {line['reason']}\n" in text
        assert escape(line["reason"]) in page
        for shown in (text, page):
            assert f"x {line['misfit']:.2f}" in shown
    assert page.count("<ul>") == page.count("<th>off the line</th>") == text.count("off the line  ") > 0


@pytest.mark.jit
def test_runs_too_short_for_any_number_still_have_a_report(tmp_path: Path) -> None:
    """No pair has been learned: no figure of that, its table and the reasons are there, and the learning curves."""
    (tmp_path / "spec.toml").write_text(SPEC.replace("m = [2, 8]", "m = [900, 1000]").replace("20000", "200"))
    result = here("sweep", "spec.toml", "--store", "store.db", "--jobs", "1", "--out", "out", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert page.count("<img") == 1
    assert page.count("<th>off the line</th>") == 2
    # The same reason is said once, with all its places.
    assert page.count("<li>undecided at agent paper") == 2
    assert not list((tmp_path / "out").glob("scaling*"))


def test_legends_lie_within_their_figures(tmp_path: Path) -> None:
    """However long the labels are, and however many."""
    label = "standard-prisoners-dilemma, window-best-response, rmax-paper-m, epsilon 0.8, discount 0.8, steps 20000"
    for count in (1, 2, 6, 40):
        bands = pd.DataFrame(
            [
                {"label": f"{label}, m {i}", "steps": x, "mean": 0.5, "low": 0.4, "high": 0.6}
                for i in range(count)
                for x in (1, 2)
            ]
        )
        fits = pd.DataFrame([{"held": f"{label}, m {i}", "slope": math.nan} for i in range(count)])
        line = {"middle": 3.0, "lowest": 2.0, "highest": 4.0, "log10_bound": math.nan}
        points = pd.DataFrame([{"fit": i, "x": x, **line} for i in range(count) for x in (1, 2)])
        for drawn in (plots.sweep_curves(bands), plots.scaling(fits, points, "window", "steps")):
            figure = plots.figure_of(drawn)
            figure.savefig(tmp_path / "figure.png")
            (legend,) = figure.legends
            inside, whole = legend.get_window_extent(), figure.bbox
            assert 0 <= inside.x0 < inside.x1 <= whole.x1
            assert 0 <= inside.y0 < inside.y1 <= whole.y1
            axes = figure.axes[0].get_window_extent()
            assert axes.y0 > inside.y1
            assert axes.height > 250


def test_the_page_says_what_was_measured(done: Path) -> None:
    """Variables that were held fixed stand on it too, with those that were not."""
    page = (done / "out" / "report.html").read_text(encoding="utf-8")
    for variable, values in (("window", "1, 2, 3"), ("agent", "paper, rmax"), ("discount", "0.8"), ("steps", "20,000")):
        assert f'<td class="text">{variable}</td><td class="text">{values}</td>' in page


@pytest.mark.jit
def test_exported_files_do_not_depend_on_the_executor(done: Path) -> None:
    """Two processes: every file of the report is the same, byte for byte."""
    (done / "pool").mkdir()
    options = ("--store", "pool/store.db", "--jobs", "2", "--out", "pool/out")
    result = here("sweep", "spec.toml", *options, cwd=done)
    assert result.returncode == 0, result.stderr
    for path in (done / "out").iterdir():
        assert (done / "pool" / "out" / path.name).read_bytes() == path.read_bytes(), path.name


def rewrite(path: Path, which: slice = slice(None), **columns: object) -> list[str]:
    """Overwrite columns of some rows of a store, with keys and digests that fit, and return their keys.

    The rows are counted in the order of keys.
    """
    connection = sqlite3.connect(path)
    names = ("key", "code", "cell", "result", "error")
    stored = connection.execute(f"SELECT {', '.join(names)} FROM cells ORDER BY key").fetchall()[which]
    for row in stored:
        new = {**dict(zip(names, row, strict=True)), **columns}
        new["key"] = hashlib.sha256(f"{new['cell']}\n{new['code']}".encode()).hexdigest()
        connection.execute(
            "UPDATE cells SET key = ?, code = ?, result = ?, error = ?, digest = ? WHERE key = ?",
            (new["key"], new["code"], new["result"], new["error"], digest(*new.values()), row[0]),
        )
    connection.commit()
    connection.close()
    return [row[0] for row in stored]


@pytest.mark.processes
def test_a_result_that_does_not_come_again_stops_the_sweep(done: Path, tmp_path: Path) -> None:
    """Change every stored result: the audit ends with exit status 1, the key, and the store as it is."""
    shutil.copy(done / "store.db", tmp_path / "store.db")
    (tmp_path / "spec.toml").write_text(SPEC)
    connection = sqlite3.connect(tmp_path / "store.db")
    stored = [result for (result,) in connection.execute("SELECT result FROM cells ORDER BY key")]
    connection.close()
    for i, result in enumerate(stored):
        plans = json.loads(result)["plans"]
        other = result.replace(b'"plans":%d' % plans, b'"plans":%d' % (plans + 1))
        rewrite(tmp_path / "store.db", slice(i, i + 1), result=other)
    result = here("sweep", "spec.toml", "--store", "store.db", "--jobs", "1", "--audit", cwd=tmp_path)
    assert result.returncode == 1
    *_, line = result.stderr.strip().splitlines()
    assert re.search(r"cell [0-9a-f]{64} is not deterministic", line)


def test_failed_cells_are_named_and_make_the_exit_status_1(tmp_path: Path) -> None:
    """A cell that the store says has failed: counted, listed in the report, measured again with --retry."""
    text = SPEC.replace("[1, 2, 3]", "[1]").replace('"rmax", "paper"', '"rmax"').replace("seeds = 2", "seeds = 1")
    (tmp_path / "spec.toml").write_text(text)
    options = ("sweep", "spec.toml", "--store", "store.db", "--jobs", "1", "--json")
    assert here(*options, cwd=tmp_path).returncode == 0
    (key,) = rewrite(tmp_path / "store.db", slice(1), result=None, error="MemoryError: <too> large")
    result = here(*options, "--out", "out", cwd=tmp_path)
    assert result.returncode == 1
    said = "run of rmax in matching-pennies against window-q-learner, window 1, seed 0"
    assert json.loads(result.stdout)["failed"] == [{"key": key, "cell": said, "error": "MemoryError: <too> large"}]
    page = (tmp_path / "out" / "report.html").read_text()
    assert key in page
    assert "MemoryError: &lt;too&gt; large" in page
    assert here(*options, "--retry", cwd=tmp_path).returncode == 0


@pytest.mark.processes
def test_a_store_of_another_version_of_the_code_is_shown_and_named(done: Path, tmp_path: Path) -> None:
    """One other version is reported, with a word; of two, one must be chosen."""
    shutil.copy(done / "store.db", tmp_path / "store.db")
    rewrite(tmp_path / "store.db", code="older")
    result = here("report", "--store", "store.db", "--out", "out", "--json", cwd=tmp_path)
    assert result.returncode == 0
    assert json.loads(result.stdout)["code"] == "older"
    assert "another version of the code, older" in result.stderr
    rewrite(tmp_path / "store.db", slice(None, None, 2), code="oldest")
    result = here("report", "--store", "store.db", "--out", "two", cwd=tmp_path)
    assert result.returncode == 2
    assert "choose one with --code, older (12 cells), oldest (12 cells)" in result.stderr
    assert not (tmp_path / "two").exists()
    result = here("report", "--store", "store.db", "--out", "two", "--code", "oldest", cwd=tmp_path)
    assert result.stdout.startswith("12 cells of code oldest")


# The page in a browser ---------------------------------------------------------------------------------------------

BROWSER = next((found for name in ("chromium", "google-chrome", "chrome") if (found := shutil.which(name))), None)
PROBE = """<script>addEventListener("load", () => {
  const pictures = [...document.images].map(image => image.naturalWidth);
  const wide = document.documentElement.scrollWidth > innerWidth;
  document.body.dataset.probe = JSON.stringify({pictures, wide, width: innerWidth});
})</script>"""


def open_page(text: str, folder: Path) -> tuple[dict[str, object], list[str]]:
    """What a headless browser finds in a page on a small screen, and what it says on its console."""
    assert BROWSER is not None
    (folder / "page.html").write_text(text.replace("</body>", PROBE + "</body>"), encoding="utf-8")
    switches = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    switches += ["--disable-component-update", "--disable-sync", "--disable-quic", "--window-size=500,900"]
    switches += [f"--user-data-dir={folder / 'profile'}", "--enable-logging=stderr", "--log-level=0", "--dump-dom"]
    command = [BROWSER, *switches, (folder / "page.html").as_uri()]
    done = run(command)
    found = re.search(r'data-probe="([^"]*)"', done.stdout)
    assert found, done.stderr
    said = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return json.loads(found.group(1).replace("&quot;", '"')), said


@pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")
def test_the_page_opens_without_errors_and_with_all_its_pictures(done: Path, tmp_path: Path) -> None:
    """On a screen 500 wide nothing sticks out; a page with faults shows that the probe sees them."""
    text = (done / "out" / "report.html").read_text(encoding="utf-8")
    found, said = open_page(text, tmp_path)
    assert said == []
    assert len(found["pictures"]) == text.count("<img ") >= 3  # type: ignore[arg-type]
    assert all(width > 0 for width in found["pictures"])  # type: ignore[attr-defined]
    assert found["wide"] is False
    faulty = '<img src="data:image/png;base64,AAAA"><div style="width:2000px">x</div><script>nonsense()</script></body>'
    (tmp_path / "faulty").mkdir()
    found, said = open_page(text.replace("</body>", faulty), tmp_path / "faulty")
    assert found["pictures"][-1] == 0  # type: ignore[index]
    assert found["wide"] is True
    assert any("nonsense is not defined" in line for line in said)


def test_the_page_needs_nothing_but_itself(done: Path) -> None:
    """No address is loaded, no script runs; it fits a phone and says what its pictures show."""
    text = (done / "out" / "report.html").read_text(encoding="utf-8")
    assert all(address.startswith("data:") for address in re.findall(r'(?:src|href)="([^"]*)"', text))
    assert "<script" not in text
    assert "@import" not in text
    assert "url(" not in text
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in text
    assert text.count("<img alt=") == text.count("<img ")
    assert text.count('<div class="scroll"><table>') == text.count("<table>") >= 1
