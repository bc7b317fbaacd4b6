# SPDX-License-Identifier: Apache-2.0
"""Output of a benchmark: markdown tables on the screen and a JSON file."""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import palnet

__all__ = ["RESULTS_FOLDER", "Report", "Table", "to_markdown"]

RESULTS_FOLDER = Path(__file__).parent / "results"
REPOSITORY = Path(__file__).parent.parent


@dataclass(frozen=True)
class Table:
    """Rows of strings and numbers under column names."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


@dataclass
class Report:
    """All results of one run of a benchmark.

    Attributes
    ----------
    name : str
        Name of the benchmark and of its file.
    settings : dict
        The options used.
    summary : dict
        Key figures, for programs.
    tables : list of Table
        Tables for readers, the main one first.
    notes : list of str
        Notes to the tables.
    """

    name: str
    settings: dict[str, Any]
    summary: dict[str, Any] = field(default_factory=dict)
    tables: list[Table] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add_table(self, title: str, columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
        """Add a table."""
        self.tables.append(Table(title, columns, tuple(rows)))

    def finish(self, output: Path | None) -> None:
        """Print the tables and write ``results/<name>.json``, or the given file."""
        path = output or RESULTS_FOLDER / f"{self.name}.json"
        for table in self.tables:
            print(f"\n### {table.title}\n\n{to_markdown(table)}")
        for note in self.notes:
            print(f"\n{note}")
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self._as_dict(), indent=1, ensure_ascii=False, default=_plain)
        path.write_text(text + "\n", encoding="utf-8", newline="\n")
        print(f"\nwritten: {path}", file=sys.stderr)

    def _as_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "command": _command(),
            "date": dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds"),
            "commit": _commit(),
            "versions": _versions(),
            "machine": _machine(),
            "settings": self.settings,
            "summary": self.summary,
            "notes": self.notes,
            "tables": [asdict(table) for table in self.tables],
        }


def to_markdown(table: Table) -> str:
    """Format a table as markdown; floats with two decimals, None as a dash."""
    lines = [table.columns, ("---",) * len(table.columns), *table.rows]
    return "\n".join("| " + " | ".join(_cell(value) for value in line) + " |" for line in lines)


def _cell(value: Any) -> str:
    """Format a cell."""
    if value is None or (isinstance(value, float) and value != value):
        return "-"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def _plain(value: Any) -> Any:
    """Convert a numpy value or a path for JSON."""
    return value.item() if hasattr(value, "item") else str(value)


def _command() -> str:
    """Return the command line, without local folders."""
    words = (Path(word).name if Path(word).is_absolute() else word for word in sys.argv[1:])
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return " ".join(["python", "-m", spec.name if spec else "benchmarks", *words])


def _commit() -> str:
    """Return the commit hash, with a plus if there are uncommitted changes."""
    state = ["describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"]
    try:
        answer = subprocess.run(
            ["git", *state], cwd=REPOSITORY, capture_output=True, text=True, check=False
        )
    except OSError:  # git is not installed, as on most Windows machines
        return "unknown"
    return answer.stdout.strip() or "unknown"


def _versions() -> dict[str, str]:
    found = {"palnet": palnet.__version__, "python": platform.python_version()}
    for name in ("numpy", "scipy", "vtk", "torch"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _machine() -> dict[str, Any]:
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = info.read_text(encoding="utf-8").splitlines()
        name = next((ln.split(":")[1].strip() for ln in lines if ln.startswith("model name")), name)
    load = [round(value, 1) for value in os.getloadavg()] if hasattr(os, "getloadavg") else None
    return {
        "cpu": name,
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "load_at_end": load,
    }
