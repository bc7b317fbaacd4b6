# SPDX-License-Identifier: Apache-2.0
"""The text of a file, in UTF-8 or in UTF-16 with a byte order mark, as spreadsheets write it."""

from __future__ import annotations

import codecs
import re
import warnings
from typing import TYPE_CHECKING

from palnet.errors import FormatError
from palnet.exchange._format import FormatWarning

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["encoding_of", "read_file_text"]

_ESCAPED_BYTE = re.compile("[\udc80-\udcff]")


def encoding_of(start: bytes) -> str:
    """Name the encoding of a file by its first two bytes.

    Other encodings than UTF-8 without a byte order mark cannot be told apart: the same bytes are
    one name on a computer in Paris and another in Prague.
    """
    return "utf-16" if start[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"


def read_file_text(path: Path, *, strict: bool = True) -> str:
    """Read the text of a file, with any line endings; leniently, with a mark for other bytes.

    Each has its own mark: Möller and Müller must not become one person.
    """
    try:
        content = path.read_bytes()
    except OSError as err:
        msg = (
            f"{path}: cannot be read ({err.strerror}). Check the path, the rights, and whether "
            "another program has it open."
        )
        raise FormatError(msg) from err
    encoding = encoding_of(content)
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as err:
        line = content.count(b"\n", 0, err.start) + 1
        in_excel = ' (in Excel: "CSV UTF-8")' if path.suffix.lower() == ".csv" else ""
        problem = (
            f"{path}:{line}: must be text in UTF-8; got other bytes at position {err.start}. "
            f"Save it as UTF-8{in_excel}."
        )
        if strict or encoding == "utf-16":
            raise FormatError(problem) from err
        warnings.warn(problem, FormatWarning, stacklevel=3)
        escaped = content.decode(encoding, errors="surrogateescape")
        text = _ESCAPED_BYTE.sub(
            lambda byte: f"\N{REPLACEMENT CHARACTER}{ord(byte[0]) & 0xFF:02x}", escaped
        )
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        msg = f"{path}:{line}: is not a text file. Save it as text in UTF-8."
        raise FormatError(msg)
    return text.replace("\r\n", "\n").replace("\r", "\n")
