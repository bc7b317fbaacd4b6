# SPDX-License-Identifier: Apache-2.0
"""HTML elements of a report page."""

from __future__ import annotations

import base64
import math
from html import escape
from typing import TYPE_CHECKING

import palnet

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = [
    "build_page",
    "format_error",
    "format_number",
    "image",
    "paragraph",
    "plots",
    "section",
    "table",
]

# For the screen and for A4; a table may break across pages, a row or a plot may not.
_STYLE = """\
:root { color-scheme: light; }
body { font: 15px/1.45 system-ui, "Segoe UI", Helvetica, Arial, sans-serif; color: #222;
  background: #fff; max-width: 62rem; margin: 2rem auto; padding: 0 1.2rem; }
h1 { font-size: 1.6rem; margin: 0 0 .2rem; }
h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; border-bottom: 2px solid #0072b2;
  padding-bottom: .2rem; break-after: avoid; }
p { margin: .4rem 0 .8rem; max-width: 50rem; }
p.lead { color: #555; }
p.note { color: #555; font-size: .88rem; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 1rem; font-size: .88rem; }
thead { display: table-header-group; }
th { text-align: left; border-bottom: 1.5px solid #888; padding: .25rem .5rem;
  vertical-align: bottom; }
td { border-bottom: 1px solid #e3e3e3; padding: .2rem .5rem; vertical-align: top; }
tr { break-inside: avoid; }
table.wide { font-size: .78rem; }
table.wide th, table.wide td { padding: .15rem .3rem; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.number + td:not(.number), th.number + th:not(.number) { padding-left: 1.2rem; }
figure { margin: .6rem 0 1rem; break-inside: avoid; }
figure svg, figure img { max-width: 100%; height: auto; display: block; }
figcaption { color: #555; font-size: .85rem; margin-top: .3rem; max-width: 50rem; }
footer { color: #777; font-size: .8rem; margin: 2rem 0 0; border-top: 1px solid #ccc;
  padding-top: .4rem; }
@page { size: A4; margin: 14mm; }
.plots { display: grid; grid-template-columns: repeat(3, 1fr); gap: .4rem; }
@media print {
  html { font-size: 8.5pt; }
  body { max-width: none; margin: 0; padding: 0; font-size: 8.5pt;
    print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  h2 { margin-top: 1.2rem; }
}
"""

# Tables with at least this many columns use a smaller font, to fit on A4.
_WIDE_TABLE = 8


def build_page(title: str, lead: str, sections: Iterable[str]) -> str:
    """Put sections together into one complete HTML file, with a line below the heading."""
    body = "\n".join(sections)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{_STYLE}</style>\n</head>\n<body>\n"
        f'<h1>{escape(title)}</h1>\n<p class="lead">{escape(lead)}</p>\n{body}\n'
        f"<footer>palnet {palnet.__version__}. For research; not a medical device.</footer>\n"
        "</body>\n</html>\n"
    )


def section(title: str, *content: str) -> str:
    """Return a section with its heading; `content` is HTML."""
    return f"<section>\n<h2>{escape(title)}</h2>\n" + "\n".join(content) + "\n</section>"


def paragraph(text: str, *, is_note: bool = False) -> str:
    """Return a paragraph of plain text."""
    return f'<p class="note">{escape(text)}</p>' if is_note else f"<p>{escape(text)}</p>"


def table(header: Sequence[str], rows: Iterable[Sequence[str]], numbers: Iterable[int]) -> str:
    """Return a table of plain texts; columns with the indices `numbers` are right-aligned."""
    chosen = set(numbers)

    def cells(tag: str, row: Sequence[str]) -> str:
        return "".join(
            f'<{tag} class="number">{escape(text)}</{tag}>'
            if column in chosen
            else f"<{tag}>{escape(text)}</{tag}>"
            for column, text in enumerate(row)
        )

    body = "\n".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    head = f"<thead><tr>{cells('th', header)}</tr></thead>"
    kind = ' class="wide"' if len(header) > _WIDE_TABLE else ""
    return f"<table{kind}>\n{head}\n<tbody>\n{body}\n</tbody>\n</table>"


def image(png: bytes, description: str) -> str:
    """Return a picture embedded in the page."""
    data = base64.b64encode(png).decode("ascii")
    text = escape(description)
    return (
        f'<figure><img alt="{text}" src="data:image/png;base64,{data}">'
        f"<figcaption>{text}</figcaption></figure>"
    )


def plots(drawings: Iterable[str], caption: str) -> str:
    """Return SVG drawings side by side, three in a row."""
    body = "".join(drawings)
    text = f"<figcaption>{escape(caption)}</figcaption>"
    return f'<figure><div class="plots">{body}</div>{text}</figure>'


def format_number(value: float, digits: int = 1) -> str:
    """Format a number for a table, with a dash for NaN."""
    return f"{value:.{digits}f}" if math.isfinite(value) else "-"


def format_error(value: float) -> str:
    """Format an expected error for a table; empty if unknown."""
    return f"± {value:.1f}" if math.isfinite(value) else ""
