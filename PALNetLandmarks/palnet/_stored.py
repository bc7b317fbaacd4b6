# SPDX-License-Identifier: Apache-2.0
"""Arrays and JSON in files: our own, and untrusted ones from others."""

from __future__ import annotations

import io
import json
import math
import zipfile
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from palnet._files import replacing
from palnet.errors import FormatError, PalnetError, TrainingError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = [
    "check_keys",
    "check_text",
    "counted",
    "listing",
    "one_line",
    "parse_json",
    "quote",
    "read_arrays",
    "read_json",
    "read_kept",
    "read_rows",
    "read_text",
    "unpack_array",
    "unpack_arrays",
    "write_arrays",
]

_Entry = TypeVar("_Entry")

# Arrays of models and faces compress to a tenth at best, malicious ones to a thousandth.
MAX_EXPANSION = 200
# Size to which the arrays of a file may always expand.
FREE_BYTES = 1 << 24
# Maximum length of a quotation from a file in a message.
_MAX_QUOTED = 60


def write_arrays(
    path: Path, arrays: Mapping[str, NDArray[Any]], *, compressed: bool = False
) -> None:
    """Write arrays as ``.npz``, completely or not at all, replacing an earlier file."""
    save = np.savez_compressed if compressed else np.savez
    # As a stream: numpy adds a missing suffix to a path, and would write next to the draft.
    with replacing(path, overwrite=True) as draft, draft.open("wb") as stream:
        save(stream, **arrays)  # type: ignore[arg-type]  # numpy 2.1's keyword is no array


def read_arrays(path: Path, *names: str) -> dict[str, NDArray[Any]]:
    """Read arrays of a ``.npz`` file that this program wrote: the named ones, or all."""
    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as kept:
        return {name: kept[name] for name in names or kept.files}


def read_kept(path: Path, *names: str) -> dict[str, NDArray[Any]]:
    """`read_arrays` of a run folder's file; TrainingError says what to do if it is damaged."""
    try:
        return read_arrays(path, *names)
    except (OSError, MemoryError):  # the file may be as it should
        raise
    except Exception as err:  # a damaged archive can raise nearly anything
        # numpy's own text advises to allow code to be executed.
        what = f"is damaged ({type(err).__name__})"
        msg = f"{path}: {what}. Delete it: the same command makes it again."
        raise TrainingError(msg) from err


def unpack_arrays(data: bytes, only: str | None = None) -> dict[str, NDArray[Any]]:
    """Read the arrays of a ``.npz`` file by name, limiting their expansion.

    With `only`, the others may be of any kind. ValueError if the file is damaged, holds pickled
    objects or is built to fill the memory.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            n_bytes = sum(member.file_size for member in archive.infolist())
            if n_bytes > FREE_BYTES + MAX_EXPANSION * len(data):
                msg = f"{n_bytes} bytes packed into {len(data)}"
                raise ValueError(msg)
            names = [n for n in archive.namelist() if only in (None, n.removesuffix(".npy"))]
            return {name.removesuffix(".npy"): unpack_array(archive.read(name)) for name in names}
    except Exception as err:  # a damaged archive can raise nearly anything
        raise ValueError(one_line(err)) from err


def unpack_array(data: bytes) -> NDArray[Any]:
    """Read the array of a ``.npy`` file, as `unpack_arrays` does."""
    stream = io.BytesIO(data)
    try:
        if not data:
            msg = "it is empty"
            raise ValueError(msg)
        is_first = np.lib.format.read_magic(stream)[0] == 1
        shape, _, kind = (
            np.lib.format.read_array_header_1_0(stream)
            if is_first
            else np.lib.format.read_array_header_2_0(stream)
        )
        n_bytes = math.prod(shape) * kind.itemsize
        if n_bytes > len(data) - stream.tell():
            msg = f"{n_bytes} bytes expected, {len(data) - stream.tell()} found"
            raise ValueError(msg)
        stream.seek(0)
        array: NDArray[Any] = np.lib.format.read_array(stream, allow_pickle=False)
    except Exception as err:  # a damaged header can raise nearly anything
        raise ValueError(one_line(err)) from err
    return array


def parse_json(text: str) -> Any:
    """Parse JSON; ValueError with a one-line message if it is invalid, or nested too deeply."""
    try:
        return json.loads(text)
    except RecursionError as err:
        msg = "nested too deeply"
        raise ValueError(msg) from err


def read_json(path: Path, parse: Callable[[Any], _Entry], remedy: str) -> _Entry:
    """Read and parse a JSON file; a FormatError names the file and the remedy."""
    try:
        content = parse_json(path.read_text(encoding="utf-8-sig"))
    except OSError as err:
        msg = f"{path}: cannot be read ({err.strerror}). {remedy}"
        raise FormatError(msg) from err
    except json.JSONDecodeError as err:
        msg = f"{path}:{err.lineno}: is not JSON ({err.msg}). {remedy}"
        raise FormatError(msg) from err
    except ValueError as err:  # other bytes than UTF-8, or nested too deeply
        msg = f"{path}: is not JSON in UTF-8 ({err}). {remedy}"
        raise FormatError(msg) from err
    try:
        return parse(content)
    except FormatError as err:
        msg = f"{path}: {err}"
        raise FormatError(msg) from err


def check_keys(
    row: Any,
    where: str,
    required: set[str],
    optional: set[str] | frozenset[str] = frozenset(),
    *,
    error: type[PalnetError] = FormatError,
) -> None:
    """Require an object with exactly the known keys, so that typing errors are found."""
    if not isinstance(row, dict):
        msg = f"{where} must be a JSON object; got {type(row).__name__}."
        raise error(msg)
    missing = sorted(required - row.keys())
    unknown = sorted(row.keys() - required - optional)
    if missing or unknown:
        found = [f"lacks {', '.join(missing)}"] if missing else []
        found += [f"has the unknown {', '.join(unknown)}"] if unknown else []
        known = ", ".join(sorted(required | optional))
        msg = f"{where} {' and '.join(found)}; known keys: {known}."
        raise error(msg)


def read_text(row: dict[str, Any], key: str, where: str) -> str:
    """Return a text of one line."""
    value = row[key]
    check_text(value, f"{key!r} of {where}")
    return str(value)


def check_text(value: object, name: str) -> None:
    """Require a text of one line."""
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        msg = f"{name} must be text on one line; got {value!r:.80}."
        raise FormatError(msg)


def read_rows(content: Any, key: str, parse: Callable[[Any, str], _Entry]) -> tuple[_Entry, ...]:
    """Return a list of entries; empty if the key is absent."""
    rows = content.get(key, [])
    if not isinstance(rows, list):
        msg = f"{key!r} must be a list; got {type(rows).__name__}."
        raise FormatError(msg)
    return tuple(parse(row, f"entry {number} of {key!r}") for number, row in enumerate(rows, 1))


def one_line(err: Exception) -> str:
    """Return the message of an error on one line, for use in another message."""
    return " ".join(str(err).split()) or type(err).__name__


def quote(text: str) -> str:
    """Quote a piece of a file in a message, printable and short."""
    return repr(text if len(text) <= _MAX_QUOTED else text[: _MAX_QUOTED - 1] + "…")


def counted(number: int, noun: str, plural: str = "") -> str:
    """Write a number with its noun, as 1 specimen, 2 specimens."""
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"


def listing(names: Sequence[str], most: int = 8) -> str:
    """List names in a message; if more than `most`, the first ones and the count."""
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[: most - 1])} and {len(names) - most + 1} more"
