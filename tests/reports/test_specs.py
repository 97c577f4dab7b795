"""A spec is a user's input: whatever it is, the answer is one sentence that names what is wrong, and comes at once."""

import os
import time
from pathlib import Path

import pytest

from rfos.laboratory.sweeps.results import digits, shown
from rfos.laboratory.sweeps.spec import LARGEST_FILE, check_cell, parse_spec, read_spec

SPEC = """
title = "two windows"
seed = 0
[[grid]]
measure = ["run"]
game = ["matching-pennies"]
opponent = ["window-q-learner"]
window = [1, 2]
agent = ["rmax"]
epsilon = [0.8]
delta = [0.2]
discount = [0.8]
steps = [1000]
seeds = 3
"""
LEVELS = SPEC.replace("window = [1, 2]", "levels = [2]\ninner_discount = [0]").replace("window-q-learner", "naive")


def refusal(text: str) -> str:
    """The one line that a spec is refused with, in a second."""
    began = time.thread_time()
    with pytest.raises(ValueError) as caught:
        parse_spec(text, "s.toml")
    assert time.thread_time() - began < 1
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300
    return str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "[1, 2]",
            "[" * 3000 + "]" * 3000,
            "brackets are nested more than 4 deep: give each variable a list of values",
        ),
        ("[1, 2]", "{a=" * 3000 + "1" + "}" * 3000, "brackets are nested more than 4 deep"),
        ("[1, 2]", "[" * 300_000, "brackets are nested more than 4 deep"),
        ("seed = 0", "seed = 0\n" + ".".join("a" * 200_000) + " = 1", "a key has 399,999 characters: give at most 500"),
        ("seed = 0", "seed = 0\n" + " . ".join("a" * 200_000) + " = 1", "a key has 399,999 characters"),
        ("seed = 0", "seed = 0\n" + ".".join(["'a'"] * 100_000) + " = 1", "a key has 199,999 characters"),
        ("[[grid]]", "[[" + ".".join("a" * 100_000) + "]]", "characters: give at most 500"),
        ("[1, 2]", "[" + "1" * 6000 + "]", "a value of window has 6,000 characters: give at most 500"),
        ("[1, 2]", "[0x" + "f" * 6000 + "]", "a value of window has 6,002 characters: give at most 500"),
        ("seed = 0", "seed = " + "9" * 6000, "a value of seed has 6,000 characters"),
        ("[0.8]\ndelta", "[0." + "1" * 6000 + "]\ndelta", "a value of epsilon has 6,002 characters"),
        ("two windows", "x" * 6000, "title has 6,000 characters: give at most 200"),
        ("two windows", "x" * LARGEST_FILE, "above the limit of 1,048,576: give fewer values"),
        ("[0.8]\ndelta", "[1e-310]\ndelta", "epsilon is 1e-310: give a number of at least 1e-300"),
        ("seed = 0", "seed = 0\n'\\u001b[31m' = 1", "unknown key "),
        ("seed = 0", "seed = 0\n'" + "k" * 5000 + "' = 1", "unknown key "),
    ],
    ids=str,
)
def test_what_would_take_the_parser_down_or_long_is_refused_at_once(old, new, message):
    """3,000 brackets were a RecursionError, 200,000 dots minutes, 6,000 digits a line that named no key."""
    assert len(parse_spec(SPEC).cells) == 6
    assert old in SPEC
    assert message in refusal(SPEC.replace(old, new, 1))


def test_a_level_count_is_named_as_it_was_given():
    """10^12 was reported as 999999999999."""
    assert len(parse_spec(LEVELS).cells) == 3
    line = refusal(LEVELS.replace("[2]", "[1000000000000]"))
    assert line == "s.toml: levels is 1000000000000: give a whole number of at most 100,001"


def test_brackets_and_dots_in_texts_and_comments_are_none_of_the_specs():
    """The form is looked at with texts and comments left out; all kinds of quotes are texts."""
    title = "[[[[[[" + "a.b" * 60
    for quoted in (f'"{title}"', f"'{title}'", f'"""{title}"""', f"'''{title}'''", f'"\\"[[[{title[:100]}"'):
        text = SPEC.replace('"two windows"', f"{quoted}  # {'[' * 1000} {'x.' * 5000}")
        assert len(parse_spec(text).cells) == 6


def test_a_byte_order_mark_is_no_part_of_a_spec(tmp_path):
    """Some editors write one; it was "Invalid statement (at line 1, column 1)"."""
    (tmp_path / "s.toml").write_bytes(b"\xef\xbb\xbf" + SPEC.encode())
    assert read_spec(tmp_path / "s.toml") == parse_spec("\ufeff" + SPEC) == parse_spec(SPEC)
    (tmp_path / "s.toml").write_bytes(SPEC.encode("utf-16"))
    with pytest.raises(ValueError, match="it is not a text in UTF-8: give a TOML file"):
        read_spec(tmp_path / "s.toml")


def test_what_is_not_a_file_of_a_size_is_not_read(tmp_path):
    """A device without end, a pipe without a writer, a folder, a large file: at once, and by its name."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").write_bytes(b"#" * (LARGEST_FILE + 1))
    for path, why in (
        (Path("/dev/zero"), "it is not a regular file"),
        (Path("/dev/stdin"), "it is not a regular file"),
        (tmp_path / "pipe", "it is not a regular file"),
        (tmp_path, "it is not a regular file"),
        (tmp_path / "large", "it has more than 1,048,576 bytes"),
    ):
        if path == Path("/dev/stdin") and path.is_file():
            continue
        with pytest.raises(OSError, match=f"cannot read the spec {path}: {why}; give a file, or one that is shipped"):
            read_spec(path)


def test_a_cell_is_checked_as_a_spec_is():
    """Each cell of a spec is good; a change that no spec may have is refused with its words."""
    import json

    for text in (SPEC, LEVELS):
        for cell in parse_spec(text).cells:
            assert check_cell(json.loads(cell.name)) == cell
    good = json.loads(parse_spec(SPEC).cells[0].name)
    for change, message in (
        ({"window": 0}, "window is 0: give a whole number of at least 1"),
        ({"game": "checkers"}, "unknown game 'checkers'"),
        ({"levels": 2}, "give the meta-state once"),
        ({"budget": 2}, "give the length of the runs once"),
        ({"seed": -1}, "seed is -1: give a whole number of at least 0"),
        ({"seed": True}, "seed is True"),
        ({"epsilon": 1}, "its numbers are not written as a sweep writes them"),
        ({"agent": "rmax-episode"}, "give horizon"),
        ({"colour": "red"}, "unknown key 'colour' in a cell"),
        ({"m": 10**30}, "m is 1000000000000000000000000000000: give a whole number of at most 1e"),
    ):
        with pytest.raises(ValueError, match=message.replace("+", r"\+")):
            check_cell({**good, **change})


def test_a_value_is_shown_printable_and_short_whatever_it_is():
    """Python writes no number of more than 4,300 digits, nor what is nested in itself without end."""
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    assert shown(10**6000) == "a number of about 6,000 digits"
    assert shown("\x1b[31m" * 100).isprintable()
    assert len(shown("x" * 10**6)) == 60
    assert shown(deep) == "nested too deep" or len(shown(deep)) == 60
    assert digits(999) == 3
