# SPDX-License-Identifier: Apache-2.0
"""Insert measured tables into the pages of docs/, so that no figure is typed by hand.

``<!-- begin NAME K -->`` to ``<!-- end -->`` is filled with table K of results/NAME.json, ``<!--
begin NAME source -->`` to ``<!-- end -->`` with how it was measured, and ``<!-- begin NAME notes
-->`` to ``<!-- end -->`` with the benchmark's notes on its targets. K may also be a name of
`SHORTENED`.
"""

from __future__ import annotations

import argparse
import json
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

from benchmarks._report import REPOSITORY, RESULTS_FOLDER, Table, to_markdown
from benchmarks._shortened import count_reasons, take_points, take_range, take_spread

DOCUMENTS = REPOSITORY / "docs"
MARK = re.compile(r"(<!-- begin (\w+) (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
SHORTENED = {
    "reasons": count_reasons,
    "points": take_points,
    "range": take_range,
    "spread": take_spread,
}


def fill(text: str, folder: Path) -> str:
    """Replace everything between a document's markers by the tables of a folder's results."""

    def replacement(match: re.Match[str]) -> str:
        begin, name, part, end = match.groups()
        return f"{begin}{_render(_read(folder / f'{name}.json'), part)}\n{end}"

    return MARK.sub(replacement, text)


@lru_cache
def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        msg = f"{path}: no such result. Run: python -m benchmarks.{path.stem}"
        raise SystemExit(msg)
    result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return result


def _render(result: dict[str, Any], part: str) -> str:
    """Render one table, the source or the notes."""
    if part == "notes":
        return "\n\n".join(result["notes"])
    if part == "source":
        machine = result["machine"]
        versions = ", ".join(f"{name} {number}" for name, number in result["versions"].items())
        return (
            f"Measured by `{result['command']}`, {result['date'][:10]}, "
            f"commit {result['commit']}; {versions}; "
            f"{machine['cpu']}, {machine['cores']} cores"
        )
    table = SHORTENED[part](result) if part in SHORTENED else _table(result["tables"][int(part)])
    return f"**{table.title}**\n\n{to_markdown(table) if table.rows else 'None.'}"


def _table(stored: dict[str, Any]) -> Table:
    rows = tuple(tuple(row) for row in stored["rows"])
    return Table(stored["title"], tuple(stored["columns"]), rows)


def main() -> None:
    """Fill the pages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS_FOLDER)
    parser.add_argument("--documents", type=Path, default=DOCUMENTS, help="folder of the pages")
    arguments = parser.parse_args()
    for page in sorted(arguments.documents.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        if MARK.search(text):
            page.write_text(fill(text, arguments.results), encoding="utf-8")
            print(f"written: {page}")


if __name__ == "__main__":
    main()
