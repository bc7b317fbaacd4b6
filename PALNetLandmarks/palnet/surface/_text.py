# SPDX-License-Identifier: Apache-2.0
"""Read numbers from text in bulk; anything that is not a number is reported with its line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from palnet._caught import catching
from palnet.errors import MeshError
from palnet.surface._digits import DIGITS_PADDING, LAST_BLANK, parse_decimals

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = [
    "BadTokenError",
    "check_no_control_bytes",
    "cut_out",
    "find_token_starts",
    "find_visible_lines",
    "line_number",
    "parse_count",
    "parse_floats",
    "to_doubles",
    "to_integers",
    "walk_lines",
    "with_line_feeds",
]

FILE_BLOCK_BYTES = 1 << 20
"""Number of bytes of a file that are parsed at a time."""

LINE_PADDING = b"\n" * 8
"""Gives every line enough bytes to compare its keyword, and every integer an end."""

BLOCK_BYTES = 1 << 18
"""Text is searched in blocks of this many bytes, whose intermediate results stay in the cache."""

MAX_RUNS = 10_000
"""Fewer ranges than this are joined one by one, more in bulk."""

MAX_WHOLE = 2.0**53
"""Below this every integer has its own double."""

COUNT = re.compile(r"[0-9]{1,18}")
"""A count that fits into 64 bits; other scripts' digits, which no program writes, do not match."""

USUAL_INDENT = 32
"""Lines with more blanks before their first word are rare, but may have millions of null bytes."""

FIRST_CONTROL, LAST_CONTROL = 14, 31
"""Bytes that are not text, as are those below the tab; the five between them separate words."""

CONTROLS_TO_BLANKS = bytes.maketrans(bytes(range(LAST_BLANK)), b" " * LAST_BLANK)
"""Some programs pad a text with null bytes."""

MICROSOFT_NAN = re.compile(
    rb"(?<![^\x00-\x20])[-+]?(?:1\.#(?:QNAN|SNAN|IND|INF)\d*|nan\(\w*\))(?![^\x00-\x20])",
    re.IGNORECASE,
)
"""How programs built by Microsoft's compilers write what is no number; with # before 2015."""

WORD = re.compile(rb"[^\x00-\x20]+")

CONTROL_IN_WORD = re.compile(rb"[\x00-\x08\x0e-\x1f][^\x00-\x20]|[^\x00-\x20][\x00-\x08\x0e-\x1f]")


class BadTokenError(MeshError):
    """Text where a number was expected; `offset` is its position in bytes."""

    def __init__(self, offset: int, token: str) -> None:
        super().__init__(f"{token!r} is not a number")
        self.offset = offset
        self.token = token


def line_number(data: bytes, offset: int) -> int:
    """Return the number, from 1, of the line that holds a byte offset."""
    return data.count(b"\n", 0, offset) + 1


def parse_count(text: str) -> int | None:
    """Parse a count; None for anything else."""
    return int(text) if COUNT.fullmatch(text) else None


def check_no_control_bytes(raw: NDArray[np.uint8]) -> None:
    """Raise BadTokenError if a non-text byte touches a word, where it may replace a digit."""
    if not len(raw):
        return
    above = raw - np.uint8(FIRST_CONTROL)  # smaller bytes wrap around
    if raw.min() >= ord("\t") and above.min() > LAST_CONTROL - FIRST_CONTROL:
        return
    data = raw.tobytes()
    found = CONTROL_IN_WORD.search(data)
    if found:
        start = found.start()
        while start and data[start - 1] > LAST_BLANK:
            start -= 1
        token = data[start : start + 20].split(maxsplit=1)[0]
        raise BadTokenError(start, token.decode("utf-8", errors="replace"))


def _find_line_starts(raw: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the offsets of the first byte of every line."""
    found = [np.zeros(min(1, len(raw)), dtype=np.int64)]
    for start in range(0, len(raw), BLOCK_BYTES):
        block = raw[start : start + BLOCK_BYTES]
        found.append(np.flatnonzero(block == ord("\n")) + (start + 1))
    starts = np.concatenate(found)
    return starts[starts < len(raw)]


def find_visible_lines(
    raw: NDArray[np.uint8],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the offsets of every non-blank line's first visible byte, and of the line's end."""
    starts = _find_line_starts(raw)
    ends = np.append(starts[1:], len(raw))
    for _ in range(USUAL_INDENT):
        is_blank = (raw[starts] <= LAST_BLANK) & (starts < ends - 1)
        if not is_blank.any():
            break
        starts = starts + is_blank
    for row in np.flatnonzero((raw[starts] <= LAST_BLANK) & (starts < ends - 1)).tolist():
        is_text = raw[starts[row] : ends[row]] > LAST_BLANK
        starts[row] += np.argmax(is_text) if is_text.any() else 0
    is_visible = raw[starts] > LAST_BLANK
    return starts[is_visible], ends[is_visible]


def with_line_feeds(data: bytes) -> bytes:
    """Return a file whose lines end in line feeds, at the same offsets."""
    return data if b"\n" in data else data.replace(b"\r", b"\n")


def walk_lines(
    data: bytes,
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64], int]]:
    """Yield blocks of a file, where their visible lines start and end, and the block's offset.

    Intermediate results of a block stay in the cache, which is several times faster.
    """
    start = 0
    while start < len(data):
        stop = start + FILE_BLOCK_BYTES
        end = data.rfind(b"\n", start, stop) + 1 or data.find(b"\n", start) + 1 or len(data)
        raw = np.frombuffer(data[start:end] + LINE_PADDING, dtype=np.uint8)
        yield (raw, *find_visible_lines(raw), start)
        start = end


def cut_out(
    raw: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """Join the bytes of some ranges, sorted and not overlapping."""
    if not len(starts):
        return raw[:0]
    begins = np.flatnonzero(np.concatenate([[True], starts[1:] != ends[:-1]]))
    if len(begins) <= MAX_RUNS:
        runs = zip(starts[begins], ends[np.append(begins[1:], len(ends)) - 1], strict=True)
        return np.concatenate([raw[:0], *(raw[start:end] for start, end in runs)])
    step = np.zeros(len(raw) + 1, dtype=np.int8)
    step[starts] += 1
    step[ends] -= 1
    cut: NDArray[np.uint8] = raw[np.cumsum(step[:-1], dtype=np.int8).view(bool)]
    return cut


def find_token_starts(raw: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the offsets of the first byte of every blank-separated token."""
    found = [np.zeros(int(len(raw) > 0 and raw[0] > LAST_BLANK), dtype=np.int64)]
    for start in range(0, len(raw) - 1, BLOCK_BYTES):
        is_text = raw[start : start + BLOCK_BYTES + 1] > LAST_BLANK
        found.append(np.flatnonzero(is_text[1:] > is_text[:-1]) + (start + 1))
    return np.concatenate(found)


def parse_floats(data: bytes) -> NDArray[np.float64]:
    """Parse blank-separated numbers; raise BadTokenError at the first invalid one."""
    check_no_control_bytes(np.frombuffer(data, dtype=np.uint8))
    raw = np.frombuffer(data + DIGITS_PADDING, dtype=np.uint8)
    plain = parse_decimals(raw, find_token_starts(raw))
    if plain is not None:
        return plain
    data = data.translate(CONTROLS_TO_BLANKS)
    if b"#" in data or b"(" in data:  # the search for more takes a third of all the time
        data = MICROSOFT_NAN.sub(lambda found: b"nan".ljust(len(found[0])), data)
    try:
        with catching(DeprecationWarning, "error"):  # of numpy before 2.4
            return np.fromstring(data, dtype=np.float64, sep=" ")
    except (ValueError, DeprecationWarning) as err:
        raise _first_bad_token(data) from err


def _first_bad_token(data: bytes) -> BadTokenError:
    """Find the token that the bulk reader rejected."""
    for found in WORD.finditer(data):
        word = found[0]
        try:
            if b"_" not in word:  # Python reads 1_000, numpy does not
                float(word)
                continue
        except ValueError:
            pass
        return BadTokenError(found.start(), word[:64].decode("utf-8", errors="replace"))
    return BadTokenError(0, data[:20].decode("utf-8", errors="replace"))


def to_doubles(values: NDArray[Any]) -> NDArray[np.float64]:
    """Convert numbers of any type, without a warning for non-finite ones."""
    with np.errstate(invalid="ignore"):
        return values.astype(np.float64)


def to_integers(values: NDArray[Any], what: str) -> NDArray[np.int64]:
    """Convert indices or counts of any type; reject non-integers."""
    if values.dtype.kind == "f":
        values = to_doubles(values)
        if not (np.abs(values) < MAX_WHOLE).all() or (values != np.floor(values)).any():
            msg = f"{what} holds numbers that are not whole numbers: the file is damaged"
            raise MeshError(msg)
    return values.astype(np.int64)
