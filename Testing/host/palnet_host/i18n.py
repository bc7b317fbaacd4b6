# SPDX-License-Identifier: Apache-2.0
"""`slicer.i18n`: translation of texts; here all texts are returned unchanged."""

from __future__ import annotations

__all__ = ["getContext", "tr", "translate"]


def getContext(sourceFile: str) -> str:
    """Return the translation context: the name of the module file."""
    return sourceFile.replace("\\", "/").rsplit("/", 1)[-1].removesuffix(".py")


def tr(text: str) -> str:
    """Return a text in the user's language."""
    return translate("", text)


def translate(context: str, text: str) -> str:  # its name belongs to Slicer
    """Return a text in the user's language, for a named context."""
    if not isinstance(text, str):
        msg = f"text to translate must be a str; got {text!r}."
        raise TypeError(msg)
    return text
