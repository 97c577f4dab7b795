"""The commands, run as a user runs them."""

import errno
import json
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import pytest
from commands import PATIENCE, here, run, started

from rfos._system.files import atomic
from rfos.laboratory.reproduction import yardsticks
from rfos.laboratory.reproduction.results import Yardstick

SHORT = ("reproduce", "--windows", "1", "--epsilon", "4", "--seeds", "2", "--game", "prisoners-dilemma")


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (("--game", "checkers"), ("checkers", "matching-pennies")),
        (("--windows", "0"), ("window is 0", "at least 1")),
        (("--windows", "40"), ("window 40", "largest window here is")),
        (("--windows", "two"), ("'two'", "2,3,4")),
        (("--windows", "2,2"), ("(2, 2)", "different")),
        (("--windows", "12"), ("window 12", "smaller")),
        (("--epsilon", "0"), ("epsilon is 0", "positive")),
        (("--epsilon", "nan"), ("epsilon is nan", "positive")),
        (("--epsilon", "1000"), ("epsilon 1000", "smaller epsilon")),
        (("--epsilon", "5"), ("epsilon 5", "sweep 0 times")),
        (("--epsilon", "1e-300", "--agent", "rmax", "--windows", "1"), ("steps per run", "larger epsilon")),
        (("--windows", "99999999999999999999"), ("largest window here is",)),
        (("--epsilon", "abc"), ("abc", "--epsilon")),
        (("--seeds", "0"), ("seeds is 0", "at least 1")),
        (("--seed", "-1"), ("'--seed'", "'-1' is negative; a whole number from 0 on is needed")),
        (("--jobs", "0"), ("jobs is 0", "at least 1")),
        (("--agent", "dqn"), ("dqn", "paper or rmax")),
        (("--opponent", "me"), ("'me'", "hidden or window")),
        (("--out", "/proc/results"), ("/proc/results", "choose another")),
        (("--nonsense",), ("--nonsense", "rfos --help")),
    ],
)
def test_bad_input_gets_one_line_that_names_the_value_and_the_mend(
    tmp_path: Path, arguments: tuple[str, ...], names: tuple[str, ...]
) -> None:
    """Exit status 2, one line, nothing written."""
    result = here("reproduce", *arguments, cwd=tmp_path)
    assert result.returncode == 2, result.stderr
    assert result.stdout == ""
    (line,) = result.stderr.strip().splitlines()
    for name in names:
        assert name in line
    assert list(tmp_path.iterdir()) == []


def test_the_version_is_one_everywhere(tmp_path: Path) -> None:
    """The command, the package's metadata and the citation name the same."""
    result = here("--version", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (0, f"rfos {version('rfos')}\n")
    citation = Path(__file__).parents[2] / "CITATION.cff"
    assert f"\nversion: {version('rfos')}\n" in citation.read_text(encoding="utf-8")


def test_an_output_path_that_is_a_file_is_refused(tmp_path: Path) -> None:
    """Exit status 2, and the file is as it was."""
    (tmp_path / "taken").write_text("mine")
    result = here("reproduce", "--out", "taken", cwd=tmp_path)
    assert result.returncode == 2
    assert "taken" in result.stderr
    assert (tmp_path / "taken").read_text() == "mine"


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], Path]:
    """A short experiment in one thread, and its folder."""
    folder = tmp_path_factory.mktemp("reproduced")
    return here(*SHORT, "--jobs", "1", "--json", "--out", "a/b", cwd=folder), folder / "a" / "b"


@pytest.mark.jit
def test_reproduce_prints_json_and_writes_whole_files(
    reproduced: tuple[subprocess.CompletedProcess[str], Path],
) -> None:
    """With --json: one object on stdout, everything else on stderr, tables and figures in --out."""
    result, out = reproduced
    assert result.returncode == 0, result.stderr
    summary = json.loads(result.stdout)
    assert summary["claims"][0]["verdict"] == "undecided"
    assert json.loads((out / "summary.json").read_text()) == summary
    expected = {"curves.csv", "summary.json"}
    expected |= {f"{name}.{kind}" for name in ("learning_curves", "episodes_against_states") for kind in ("png", "svg")}
    assert {path.name for path in out.iterdir()} == expected
    curves = pd.read_csv(out / "curves.csv")
    assert list(curves) == [
        "game",
        "window",
        "epsilon",
        "seed",
        "bin",
        "episode_end",
        "mean_reward",
        "known_pairs",
    ]
    assert curves["known_pairs"].max() == 8
    assert (curves.groupby(["epsilon", "seed"])["episode_end"].diff().dropna() > 0).all()


@pytest.fixture
def curves_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Curves without figures and without what a shaper who sees hidden values would earn."""
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", lambda figure, path, **options: Path(path).touch())
    seen = Yardstick("full information, myopic", None, 0.5, 0.5, 0.5, "none")
    monkeypatch.setattr(yardsticks, "full_information", lambda game, rng: seen)


@pytest.mark.usefixtures("curves_alone")
@pytest.mark.jit
def test_results_do_not_depend_on_jobs_but_on_the_seed(
    reproduced: tuple[subprocess.CompletedProcess[str], Path], tmp_path: Path
) -> None:
    """The same curves byte for byte with 1 and 2 threads; others for another seed."""
    two = here(*SHORT, "--jobs", "2", "--out", "two", cwd=tmp_path)
    other = here(*SHORT, "--seed", "1", "--out", "other", cwd=tmp_path)
    assert two.returncode == other.returncode == 0, two.stderr
    first = (reproduced[1] / "curves.csv").read_bytes()
    assert first == (tmp_path / "two" / "curves.csv").read_bytes()
    assert first != (tmp_path / "other" / "curves.csv").read_bytes()


@pytest.mark.usefixtures("curves_alone")
@pytest.mark.jit
def test_an_exact_opponent_brings_values_and_gaps(tmp_path: Path) -> None:
    """--agent rmax --opponent window: V*, the final policy's value, a gap within epsilon, and the theorem."""
    options = ("--windows", "1,2", "--agent", "rmax", "--opponent", "window", "--epsilon", "2", "--seeds", "2")
    result = here("reproduce", *options, "--json", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    for window in json.loads(result.stdout)["results"]:
        low, high = window["optimal_value"]
        assert 0 <= high - low <= 2e-6
        assert window["final_value"]["mean"] <= high + 1e-6
        assert window["largest_gap"] <= 2.0
        assert window["coverage"].startswith("X4")
    text = here("reproduce", *options, cwd=tmp_path).stdout
    assert "largest gap to V*" in text
    assert "not defined" not in text


def test_a_full_disk_is_told_in_one_sentence_and_leaves_no_file(tmp_path: Path) -> None:
    """Whatever a library says about it; the file that was there stays."""
    path = tmp_path / "table.csv"
    path.write_text("old")
    with pytest.raises(OSError, match=rf"^cannot write {path}: no space left on device; make room"), atomic(path):
        raise OSError(errno.ENOSPC, "Error writing bytes. Detail: [errno 28]")
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("table.csv", "old")]


# A long run that says when it plays.
PLAYING = """
import tqdm

class Bar(tqdm.tqdm):
    def update(self, steps=1):
        print("playing", flush=True)

tqdm.tqdm = Bar
from rfos.commands.main import main
main(["reproduce", "--windows", "5", "--out", "out"])
"""


@pytest.mark.processes
@pytest.mark.jit
def test_interrupt_ends_with_130_and_leaves_no_half_files(tmp_path: Path) -> None:
    """Ctrl-C: exit status 130, no traceback, no partial or temporary files. Threads end the kernel that they are in."""
    piped = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with started([sys.executable, "-c", PLAYING], cwd=tmp_path, **piped) as process:
        assert process.stdout.readline() == "playing\n"
        process.send_signal(signal.SIGINT)
        _, messages = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "Traceback" not in messages
    assert "interrupted" in messages
    assert list(tmp_path.rglob("*.*")) == []


@pytest.mark.processes
def test_an_interrupt_inside_of_exec_ends_with_130_too(tmp_path: Path) -> None:
    """CPython remembers one that has passed through text that is run, as a compiler's, and ends by the signal."""
    code = "from rfos.commands import main as cli\ncli.app = lambda **_: exec('raise KeyboardInterrupt')\ncli.main([])"
    (tmp_path / "interrupted.py").write_text(code)
    command = [sys.executable, "-m", "interrupted"]
    result = run(command, cwd=tmp_path)
    assert (result.returncode, result.stderr) == (130, "\nrfos: interrupted; files written so far are whole\n")


@pytest.mark.processes
def test_help_loads_none_of_the_heavy_packages(tmp_path: Path) -> None:
    """Rfos --help answers at once because it imports neither numpy nor numba, sympy, pandas or matplotlib."""
    code = (
        "import sys\nfrom rfos.commands.main import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit as end:\n    assert end.code == 0\n"
        "heavy = {'numpy', 'numba', 'sympy', 'pandas', 'matplotlib', 'scipy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    result = run([sys.executable, "-c", code], cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "reproduce" in result.stdout
