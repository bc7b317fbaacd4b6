# SPDX-License-Identifier: Apache-2.0
"""Specimen names that every reader of a format accepts unchanged."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container

    from palnet.exchange._format import Format

__all__ = ["find_fault", "make_fitting"]

_PLAIN = re.compile(r"[A-Za-z0-9_.-]+")
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9_.-]")


def find_fault(name: str, format: Format) -> str:
    """Describe why a format cannot hold a specimen's name; empty if it can."""
    if format.specimen_names != "plain":
        return ""
    if not _PLAIN.fullmatch(name):
        return "may hold letters A-Z, digits, '_', '.' and '-' only"
    word = _reserved_word(name, format)
    return f"must not contain {word!r}, which readers of the format search for" if word else ""


def make_fitting(name: str, format: Format, taken: Container[str]) -> str:
    """Change a name so that the format can hold it; the result is deterministic.

    Accents are dropped, other characters become ``_``, a reserved word gets one after its first
    letter, and a number is appended if the name is taken.
    """
    letters = unicodedata.normalize("NFKD", name)
    letters = "".join(c for c in letters if not unicodedata.combining(c))
    fitting = _NOT_PLAIN.sub("_", letters) or "_"
    while word := _reserved_word(fitting, format):
        start = fitting.lower().index(word.lower())
        fitting = f"{fitting[: start + 1]}_{fitting[start + 1 :]}"
    number, stem = 1, fitting
    while fitting in taken:
        number += 1
        fitting = f"{stem}_{number}"
    return fitting


def _reserved_word(name: str, format: Format) -> str:
    words = (word for word in format.reserved_words if word.lower() in name.lower())
    return next(words, "")
