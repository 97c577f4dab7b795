"""Strings of a user are never executed: hostile and random text in every option of `rfos bound` and in symbol names."""

import os
import subprocess
import sys

import pytest
import sympy as sp
from commands import here, run
from hypothesis import example, given, settings
from hypothesis import strategies as st
from strength import scaled
from sympy.parsing import sympy_parser

from bounds import bounds_of
from bounds.rmax import t1
from bounds.shaping import case_two
from rfos.commands.main import main

HOSTILE = [
    "__import__('os').system('touch pwned')",
    "open('pwned', 'w').write('x')",
    "exec(\"open('pwned','w')\")",
    "eval('1')",
    "(lambda: open('pwned', 'w'))()",
    "().__class__.__bases__[0].__subclasses__()",
    "Symbol('x')",
    "S('1')",
    "{0}",
    "%s",
    "$(touch pwned)",
    "`touch pwned`",
    "; touch pwned",
    "../../pwned",
    "1e99999999",
    "9**9**9",
    "9^9^9",
    "nan",
    "-1",
    "1/0",
    "0x10",
    "\N{ARABIC-INDIC DIGIT ONE}",
    "a\nb",
    "\x1b[2J",
]
SIZES = {"--states": "16", "--actions": "2", "--branching": "2"}
GAME = {"--case": "window", "--game": "matching-pennies"}
POLICY = {"--case": "policy", "--game": "matching-pennies"}
OPTIONS = [
    *((option, SIZES) for option in (*SIZES, "--epsilon", "--delta", "--discount", "--r-max", "--inner-steps")),
    *((option, SIZES) for option in ("--episode", "--inner-states")),
    *((option, GAME) for option in ("--case", "--game", "--window")),
    ("--levels", POLICY),
]


@pytest.fixture
def watched(tmp_path, monkeypatch):
    """An empty directory to work in; sympy's parser and whatever executes or starts anything raise AssertionError."""

    def refuse(*args, **kwargs):
        raise AssertionError(f"reached with {args}")

    for module, name in (
        (sympy_parser, "parse_expr"),
        (sympy_parser, "eval_expr"),
        (sp, "sympify"),
        (sp, "S"),
        (os, "system"),
        (subprocess, "Popen"),
    ):
        monkeypatch.setattr(module, name, refuse)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def arguments(option, others, text):
    given_ = {**others, option: text}
    return ["bound", *(f"{name}={value}" for name, value in given_.items())]


@pytest.mark.parametrize(("option", "others"), OPTIONS, ids=[option for option, _ in OPTIONS])
def test_hostile_text_is_refused_in_one_line(option, others, watched):
    """Status 2, one line, nothing printed, nothing executed, no file."""
    for payload in HOSTILE:
        done = here(*arguments(option, others, payload), cwd=watched)
        err = done.stderr
        assert done.returncode == 2, payload
        assert done.stdout == ""
        assert len(err.splitlines()) == 1, err
        assert err.startswith("rfos: ")
        assert "\x1b" not in err
        assert not list(watched.iterdir())


@pytest.mark.processes
def test_hostile_text_in_a_shell_of_its_own_writes_nothing(tmp_path):
    """The whole command as a user runs it, in an empty directory, once."""
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    command = [sys.executable, "-m", "rfos", "bound", "--states", "16", "--actions", "2", "--branching", "2"]
    command += ["--epsilon", HOSTILE[0]]
    done = run(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": root})
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


@settings(max_examples=scaled(200))
@given(
    st.sampled_from([(o, x) for o, x in OPTIONS if o not in ("--states", "--window", "--levels")]),
    st.text(max_size=30) | st.text("0123456789./eE+-_()^ x*'", min_size=1, max_size=6),
)
@example(("--epsilon", SIZES), "__import__('os').system('touch pwned')")
def test_random_text_gives_numbers_or_one_line(choice, text):
    """Status 0 with a table, or 2 with one line; the parser of sympy is never reached."""

    def refuse(*args, **kwargs):
        raise AssertionError(f"reached with {args}")

    printed, complained = [], []
    with pytest.MonkeyPatch.context() as patch:
        for module, name in ((sympy_parser, "parse_expr"), (sympy_parser, "eval_expr"), (sp, "sympify")):
            patch.setattr(module, name, refuse)
        patch.setattr("typer.echo", lambda text="", err=False: (complained if err else printed).append(str(text)))
        with pytest.raises(SystemExit) as ended:
            main([*arguments(*choice, text), "--latex"])
    if ended.value.code == 0:
        assert printed
        assert not complained
    else:
        assert ended.value.code == 2
        assert not printed
        assert len(complained) == 1
        assert len(complained[0].splitlines()) == 1, complained


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_of_symbols_and_statements_are_refused(name, watched):
    """As keyword, as the symbol of an elasticity, as a statement, as a choice of a variant."""
    point = {"n_states": 16, "n_actions": 2, "branching": 2, "epsilon": 0.8, "delta": 0.2, "discount": 0.8, "r_max": 1}
    bound = t1().m
    with pytest.raises(TypeError, match="has no symbol"):
        bound.evaluate(**point, w_sim="1/2", **{name: 1})
    with pytest.raises(ValueError, match="is not a symbol"):
        bound.elasticity(name, **point, w_sim="1/2")
    with pytest.raises(TypeError):
        bound.on_grid(**point, w_sim=0.5, **{name: 1})
    with pytest.raises(ValueError, match="unknown statement"):
        bounds_of(name)
    with pytest.raises(ValueError, match="must be"):
        t1(name)
    with pytest.raises(ValueError, match="must be"):
        case_two(name)
    assert not list(watched.iterdir())
