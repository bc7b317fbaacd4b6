# SPDX-License-Identifier: Apache-2.0
"""Writes the lists of files in the module's CMakeLists.txt: `make file-lists`, after `git add`.

Slicer ships what is listed there and nothing else; a test compares the lists with the tree.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
MODULE_FOLDER = ROOT / "PALNetLandmarks"
CMAKE_FILE = MODULE_FOLDER / "CMakeLists.txt"
# What Python and pip leave in the tree.
_GENERATED = re.compile(r"__pycache__|\.egg-info")
SCRIPTS, RESOURCES = "MODULE_PYTHON_SCRIPTS", "MODULE_PYTHON_RESOURCES"


def shipped_files() -> list[str]:
    """Files of the module, by their paths below its folder: those that git knows."""
    return sorted(set(tracked_files(MODULE_FOLDER)) - {CMAKE_FILE.name})


def tracked_files(folder: Path) -> list[str]:
    """Files that git knows, by their paths below a folder; without git those that are there."""
    try:
        run = subprocess.run(
            ["git", "ls-files"], cwd=folder, capture_output=True, text=True, check=True
        )
        names = run.stdout.splitlines()
    except (FileNotFoundError, subprocess.CalledProcessError):  # a source archive without git
        paths = [p.relative_to(folder) for p in folder.rglob("*")]
        names = [p.as_posix() for p in paths if not _GENERATED.search(p.as_posix())]
    return [name for name in names if (folder / name).is_file()]


def listed_files(variable: str, text: str | None = None) -> list[str]:
    """Files that a list of the CMakeLists.txt names."""
    text = CMAKE_FILE.read_text(encoding="utf-8") if text is None else text
    content = _block(variable).search(text).group(1)
    return content.split()


def expected_lists(files: list[str]) -> dict[str, list[str]]:
    """Divide files into scripts, which are compiled, and resources, which are copied."""
    return {
        SCRIPTS: [name for name in files if name.endswith(".py")],
        RESOURCES: [name for name in files if not name.endswith(".py")],
    }


def with_lists(text: str, lists: dict[str, list[str]]) -> str:
    """Return a CMakeLists.txt with other lists."""
    for variable, names in lists.items():
        block = "".join(f"  {name}\n" for name in names)
        text = _block(variable).sub(lambda _, v=variable, b=block: f"set({v}\n{b})", text)
    return text


def _block(variable: str) -> re.Pattern[str]:
    return re.compile(rf"set\({variable}\n(.*?)\)", re.DOTALL)


def main() -> int:
    """Rewrite the lists."""
    text = CMAKE_FILE.read_text(encoding="utf-8")
    lists = expected_lists(shipped_files())
    CMAKE_FILE.write_text(with_lists(text, lists), encoding="utf-8", newline="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
