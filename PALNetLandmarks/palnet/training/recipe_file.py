# SPDX-License-Identifier: Apache-2.0
"""Read the TOML files of recipes and protocols, shipped ones and a lab's own."""

from __future__ import annotations

import os
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

from palnet._dependencies import require
from palnet._stored import check_keys
from palnet.errors import UsageError

__all__ = ["build_part", "check_value", "read_toml"]

# Largest integer that TOML guarantees.
LARGEST_WHOLE = 2**63 - 1
RECIPES_FOLDER = Path(__file__).parent / "recipes"


def read_toml(name_or_path: str | os.PathLike[str], *, shipped: str) -> tuple[Path, dict[str, Any]]:
    """Read a TOML file by its path, or a shipped one by its name.

    Parameters
    ----------
    name_or_path : str or path-like
        A path, or a name without suffix and folder.
    shipped : str
        The names that an error message suggests.

    Returns
    -------
    path : Path
        The file.
    content : dict
        Its parsed content.

    Raises
    ------
    UsageError
        If the file is missing or not TOML.
    """
    path = Path(name_or_path)
    if not path.suffix and not os.path.dirname(name_or_path):  # noqa: PTH120  # Path drops "./"
        path = RECIPES_FOLDER / f"{path.name}.toml"
    remedy = f"Give a TOML file, or a shipped recipe: {shipped}."
    try:
        return path, _parse_toml(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as err:
        msg = f"{name_or_path}: there is no such recipe. {remedy}"
        raise UsageError(msg) from err
    except (OSError, ValueError, RecursionError) as err:
        msg = f"{path}: not a recipe ({err}). {remedy}"
        raise UsageError(msg) from err


def _parse_toml(text: str) -> dict[str, Any]:
    """Parse TOML with the module available in this Python version."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        tomllib = require("tomli", feature="reading a training recipe")
    content: dict[str, Any] = tomllib.loads(text)
    return content


def build_part(part: type, content: Any, where: str) -> Any:
    """Build one part of a recipe from its table.

    Parameters
    ----------
    part : type
        A dataclass of numbers, and of strings that the caller checks.
    content : dict
        The table.
    where : str
        File and table, for error messages.

    Returns
    -------
    object
        Of that type.

    Raises
    ------
    UsageError
        If keys or values are wrong.
    """
    if not isinstance(content, dict):
        msg = f"{where} must be a table; got {type(content).__name__}."
        raise UsageError(msg)
    check_keys(content, where, {field.name for field in fields(part)}, error=UsageError)
    for field in fields(part):
        check_value(field.name, content[field.name], str(field.type), where)
    return part(**content)


def check_value(key: str, value: object, kind: str, where: str) -> None:
    """Require a string, or a number of at least 0, according to the type name `kind`."""
    if kind == "str":
        fits, wanted = isinstance(value, str), "a text in quotes"
    elif kind == "int" and isinstance(value, float):
        fits, wanted = False, "a whole number"
    else:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        fits, wanted = is_number and not value < 0, "a number of at least 0"  # type: ignore[operator]
        if fits and isinstance(value, int) and value > LARGEST_WHOLE:
            fits, wanted = False, f"at most {LARGEST_WHOLE}"
    if not fits:
        msg = f"{where}: {key} must be {wanted}; got {value!r:.60}."
        raise UsageError(msg)
