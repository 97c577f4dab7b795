"""The how-to pages: their Python is run, in order and in one namespace, as a reader would paste it."""

import re
import sys
from pathlib import Path

import pytest

PAGES = sorted((Path(__file__).parents[2] / "docs" / "howto").glob("*.md"))


def test_there_are_pages():
    """The test below runs over what is there."""
    assert PAGES


@pytest.mark.jit
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_code_of_a_page_runs(page, tmp_path, monkeypatch):
    """In a folder of its own; modules that it writes and imports are forgotten afterwards."""
    code = "\n".join(re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL))
    assert code
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("MPLBACKEND", "Agg")
    before = set(sys.modules)
    try:
        exec(compile(code, str(page), "exec"), {"__name__": f"howto_{page.stem}"})
    finally:
        for name in set(sys.modules) - before:
            if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
                del sys.modules[name]
