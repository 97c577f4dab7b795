"""A study of shaping in four steps, each of which a notebook can call, and its answer as a table."""

import dataclasses

import numpy as np
import pytest

import rfos
from rfos.commands.options import as_json
from rfos.laboratory.shaping_study.answer import answer_of
from rfos.laboratory.shaping_study.build import build
from rfos.laboratory.shaping_study.compare import compare
from rfos.laboratory.shaping_study.play import play
from rfos.laboratory.shaping_study.solve import LOOK_AHEAD, PROJECTED, solve_meta_game

pytestmark = pytest.mark.jit

SMALL = rfos.ShapingRequest("chicken", levels="5", inner_discount=0.0, starts=6, steps=10)


@pytest.fixture(scope="module")
def steps():
    built = build(SMALL)
    solved = solve_meta_game(built)
    played = play(solved)
    return built, solved, played, compare(played)


@pytest.fixture(scope="module")
def found():
    return rfos.shaping_study(SMALL)


def test_the_study_is_its_four_steps(steps, found):
    """The answer from the last part is that of the whole, to the last bit."""
    whole, parts = found.summary(), answer_of(steps[-1]).summary()
    del whole["seconds"], parts["seconds"]
    assert as_json(whole) == as_json(parts)


def test_each_part_leads_to_the_one_before(steps):
    built, solved, played, compared = steps
    assert (compared.played, played.solved, solved.built) == (played, solved, built)
    assert built.request is SMALL
    assert set(solved.shapers) == {LOOK_AHEAD, PROJECTED}
    assert (solved.lower <= solved.upper).all()
    assert played.starts[0].shape == (6, 1, 2)


def test_the_worth_is_how_much_more_the_better_shaper_earns_than_the_best_yardstick(steps):
    """Computed anew from the rows of the parts: all start from the same six, but naive learning from as many too."""
    _, _, played, compared = steps
    own = max(row.rewards[:, 0].mean() for row in played.measured.continuous)
    best = max(row.rewards[:, 0].mean() for row in played.measured.yardsticks if row.same_opponent)
    assert compared.worth[0] == pytest.approx(own - best, abs=1e-12)


def test_parts_are_frozen_and_their_arrays_read_only(steps, found):
    for part in (*steps, found):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(part, dataclasses.fields(part)[0].name, None)
    built, solved, _, _ = steps
    for array in (solved.lower, solved.upper, *built.starts, *found.policies, found.rewards):
        assert not array.flags.writeable
    with pytest.raises(TypeError):
        solved.shapers["mine"] = None


@pytest.mark.parametrize(
    ("step", "mend"),
    [
        (build, r"request is 5, not a ShapingRequest: ShapingRequest\('chicken'\) makes one"),
        (solve_meta_game, r"built is 5, not a Built: build\(request\) makes one"),
        (play, r"solved is 5, not a Solved: solve_meta_game\(built\) makes one"),
        (compare, r"played is 5, not a Played: play\(solved\) makes one"),
    ],
)
def test_another_kind_of_part_is_told_what_makes_the_right_one(step, mend):
    with pytest.raises(TypeError, match=mend):
        step(5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"game": 5}, "game is 5, not a str: give a name in quotes"),
        ({"levels": 5}, "levels is 5, not a str: give text such as '5' or '0.02,0.5,0.98'"),
        ({"starts": 2.5}, "starts is 2.5: give at least 1"),
        ({"steps": True}, "steps is True: give at least 1"),
    ],
)
def test_a_request_of_other_kinds_is_refused_by_name(options, message):
    with pytest.raises(ValueError, match=message):
        rfos.ShapingRequest(**{"game": "chicken", **options})


def test_progress_is_told_in_order():
    lines: list[str] = []
    rfos.shaping_study(SMALL, lines.append)
    firsts = [line.partition(" ")[0] for line in lines]
    assert [word for word in firsts if word not in ("100%",)] == ["5", "filling", "table", "solved", "rolled", "rolled"]


def test_the_table_of_an_answer_has_its_rows(found):
    table = found.to_frame()
    assert list(table["kind"].unique()) == ["shaper", "yardstick"]
    assert len(table) == len(found.continuous) + len(found.yardsticks)
    first = table.iloc[0]
    assert (first["shaper"], first["shaper_low"], first["shaper_high"]) == found.continuous[0].shaper
    assert first["opponent"] == found.continuous[0].opponent[0]


def test_an_answer_is_one_line_and_a_page(found):
    line = repr(found)
    assert "\n" not in line
    assert line.startswith(f"<Answer chicken against naive: shaping is worth {found.worth:+.3f} (")
    page = found._repr_html_()
    assert "one-step look-ahead" in page
    assert all(f"WARNING: {warning}" in page for warning in found.warnings)
    assert found.warnings


def test_without_two_starts_there_is_no_interval_to_print():
    """The opponent has one start only: no "nan" is shown."""
    alone = rfos.shaping_study(rfos.ShapingRequest("chicken", "random", levels="3", inner_discount=0.0, steps=2))
    assert np.isnan(alone.worth_interval).all()
    assert "nan" not in repr(alone)
