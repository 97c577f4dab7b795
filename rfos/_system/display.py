"""Results as notebooks show them: a line, what is to be said of it, and a table."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

SHOWN_ROWS = 20
"""Most rows of a table that are shown."""


def page(line: str, frame: pd.DataFrame, sentences: Sequence[str] = ()) -> str:
    """Return HTML of a line, of sentences and of the first and last rows of a table.

    Examples
    --------
    >>> import pandas as pd
    >>> text = page("<Solution>", pd.DataFrame({"value": [1.0]}), ["a < b"])
    >>> text.splitlines()[:2]
    ['<p><code>&lt;Solution&gt;</code></p>', '<p>a &lt; b</p>']
    """
    shown = [f"<p><code>{escape(line)}</code></p>", *(f"<p>{escape(sentence)}</p>" for sentence in sentences)]
    return "\n".join([*shown, str(frame.to_html(max_rows=SHOWN_ROWS, border=0, index=False))])
