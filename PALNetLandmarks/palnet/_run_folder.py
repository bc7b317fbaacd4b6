# SPDX-License-Identifier: Apache-2.0
"""A run folder and the recipe that it belongs to: a run continues there, and no other starts."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from palnet._files import write_text
from palnet._stored import parse_json
from palnet.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

__all__ = ["CLAIM_NAME", "check_run_folder", "claim_folder"]

# File in a run folder that records its recipe.
CLAIM_NAME = "recipe.json"
_BESIDE_A_RUN = re.compile(r"\..*|[^.]*|.*\.(log|out|err|txt|toml)", re.IGNORECASE | re.DOTALL)
# Its keys about the scans and what they are used for.
_OF_SCANS = {"scans_sha256", "landmarks", "train", "validation", "test", "method"}
# Its keys whose entries are used in turn.
_IN_ORDER = ("sources",)


def check_run_folder(
    folder: Path, recipe: dict[str, Any] | None = None, ignoring: Collection[str] = ()
) -> None:
    """Refuse a folder of another run, or one with other files, some of which a run would replace.

    This may be asked before hours are spent on the scans that the folder is claimed with: what the
    recipe does not say of the scans so far may be anything, and so may the ignored keys. The folder
    need not exist; log, text, TOML and hidden files in it are accepted.
    """
    if (folder / CLAIM_NAME).exists():
        if recipe is not None:
            _refuse_changes(folder, recipe, {*ignoring, *_OF_SCANS.difference(recipe)})
        return
    if not folder.is_dir():
        return
    theirs = [path.name for path in sorted(folder.iterdir()) if path.is_file()]
    theirs = [name for name in theirs if not _BESIDE_A_RUN.fullmatch(name)]
    if theirs:
        msg = (
            f"{folder} holds {theirs[0]}{' and other files' if theirs[1:] else ''}, but no run. "
            "Choose another folder, or a new one in it."
        )
        raise UsageError(msg)


def claim_folder(
    folder: Path,
    recipe: dict[str, Any],
    ignoring: Collection[str] = (),
    *,
    part_of: Path | None = None,
) -> None:
    """Record the recipe in a run folder; refuse a folder that belongs to another one.

    The recipe is everything that determines the result of the run. UsageError says how the recipe,
    the scans or the version of palnet differ, except for the ignored keys. Of a part of a run it
    names the whole: files of the other parts belong to the other recipe as well.
    """
    check_run_folder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / CLAIM_NAME
    content = json.dumps(recipe, indent=1) + "\n"
    if path.exists() and path.read_bytes() != content.encode():
        _refuse_changes(folder, recipe, ignoring, part_of)
    write_text(path, content, overwrite=True)


def _refuse_changes(
    folder: Path, recipe: dict[str, Any], ignoring: Collection[str], part_of: Path | None = None
) -> None:
    """Refuse a folder whose claim differs in any other key."""
    changes = _changes(folder / CLAIM_NAME, parse_json(json.dumps(recipe)))
    for key in ignoring:
        changes.pop(key, None)
    if changes:
        msg = (
            f"{part_of or folder} holds a run of {_say_changes(changes)}. Choose another folder, "
            "or delete that one."
        )
        raise UsageError(msg)


def _changes(path: Path, recipe: dict[str, Any]) -> dict[str, str]:
    """Keys whose values differ from the claim, with the two values if they are short."""
    try:
        claimed = parse_json(path.read_text(encoding="utf-8"))
    except ValueError:  # including invalid UTF-8
        claimed = None
    if not isinstance(claimed, dict):
        return {f"{CLAIM_NAME} is damaged": ""}
    old_values, values = _flat(claimed), _flat(recipe)
    keys = {**values, **old_values}
    both = {key: (old_values.get(key, "absent"), values.get(key, "absent")) for key in keys}
    changes = {
        key: "" if isinstance(old, list) or "sha256" in key else f" {old}, now {new}"
        for key, (old, new) in both.items()
        if old != new
    }
    return changes | _reordered(claimed, recipe)


def _reordered(claimed: dict[str, Any], recipe: dict[str, Any]) -> dict[str, str]:
    """Keys whose entries are the same in another order, where the order counts."""
    orders = {key: (list(claimed.get(key, ())), list(recipe.get(key, ()))) for key in _IN_ORDER}
    return {
        f"order of {key}": f" {', '.join(old)}, now {', '.join(new)}"
        for key, (old, new) in orders.items()
        if old != new and set(old) == set(new)
    }


def _flat(claim: dict[str, Any]) -> dict[str, Any]:
    """Flatten a claim: values of its parts get keys ``part.name``."""
    flat: dict[str, Any] = {}
    for key, value in claim.items():
        parts = value.items() if isinstance(value, dict) else ()
        flat |= {f"{key}.{name}": part for name, part in parts} or {key: value}
    return flat


def _say_changes(changes: dict[str, str]) -> str:
    """Describe what differs: values of the recipe, or else the scans."""
    of_recipe = [f"{key}{said}" for key, said in changes.items() if key not in _OF_SCANS]
    if of_recipe:
        return f"another recipe or version ({', '.join(of_recipe)})"
    return "other scans, landmarks, people or model to start from"
