"""One HTML page that needs nothing but itself: figures are inside, no address is loaded."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

import pandas as pd

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1b1b1b; background: #fff; max-width: 60rem; margin: 0 auto;
       padding: 1rem; }
h1 { font-size: 1.5rem; line-height: 1.2; } h2 { font-size: 1.15rem; margin-top: 2rem; }
figure { margin: 1rem 0; } img { max-width: 100%; height: auto; }
figcaption { color: #555; font-size: .875rem; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: .875rem; }
th, td { text-align: left; padding: .3rem .7rem .3rem 0; border-bottom: 1px solid #ddd; vertical-align: top; }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
ul { font-size: .875rem; padding-left: 1.2rem; }
td.text { min-width: 5rem; } code { overflow-wrap: anywhere; }
"""


def table(frame: pd.DataFrame) -> str:
    """Return a table as HTML that scrolls sideways where it is wider than the screen.

    Examples
    --------
    >>> print(table(pd.DataFrame({"what": ["a < b"], "n": [1.23456]})))
    <div class="scroll"><table>
    <tr><th>what</th><th>n</th></tr>
    <tr><td class="text">a &lt; b</td><td class="number">1.235</td></tr>
    </table></div>
    """
    lines = ["<tr>" + "".join(f"<th>{escape(str(name))}</th>" for name in frame.columns) + "</tr>"]
    for values in frame.itertuples(index=False):
        cells = []
        for value in values:
            if pd.isna(value):
                cells.append('<td class="number">–</td>')
            elif isinstance(value, float):
                cells.append(f'<td class="number">{value:.4g}</td>')
            elif isinstance(value, str):
                cells.append(f'<td class="text">{escape(value)}</td>')
            else:
                cells.append(f'<td class="number">{value:,}</td>')
        lines.append("<tr>" + "".join(cells) + "</tr>")
    return '<div class="scroll"><table>\n' + "\n".join(lines) + "\n</table></div>"


def items(sentences: Sequence[str]) -> str:
    """Return sentences as a list in HTML.

    Examples
    --------
    >>> print(items(["a < b"]))
    <ul>
    <li>a &lt; b</li>
    </ul>
    """
    return "<ul>\n" + "\n".join(f"<li>{escape(sentence)}</li>" for sentence in sentences) + "\n</ul>"


def picture(caption: str, svg: bytes) -> str:
    """Return a figure as HTML, the drawing inside."""
    data = base64.b64encode(svg).decode()
    image = f'<img alt="{escape(caption)}" src="data:image/svg+xml;base64,{data}">'
    return f"<figure>{image}<figcaption>{escape(caption)}</figcaption></figure>"


def page(title: str, sections: Sequence[tuple[str, str]]) -> str:
    """Return the page.

    Parameters
    ----------
    title : str
    sections : sequence of (str, str)
        Headings, and the HTML below them.
    """
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        # Browsers ask a server for an icon unless they are told that there is none.
        '<link rel="icon" href="data:,">',
        f"<title>{escape(title)}</title>",
        f"<style>{_STYLE}</style></head><body>",
        f"<h1>{escape(title)}</h1>",
    ]
    for heading, content in sections:
        parts += [f"<h2>{escape(heading)}</h2>", content]
    return "\n".join([*parts, "</body></html>", ""])
