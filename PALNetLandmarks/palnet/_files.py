# SPDX-License-Identifier: Apache-2.0
"""Write files whole or not at all, and never over an existing one unasked."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import stat
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from palnet.errors import OutputError, OutputExistsError, PalnetError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = [
    "check_free",
    "check_writable",
    "file_hash",
    "file_stem",
    "hint_at_length",
    "is_hidden",
    "is_too_long",
    "replacing",
    "write_text",
]

# Folders that systems make on every disk, closed to users.
SYSTEM_FOLDERS = ("lost+found", "System Volume Information", "$RECYCLE.BIN")
# What may not stand in a file's name on one system or another.
_IMPOSSIBLE = re.compile(r'[\\/:*?"<>|\x00-\x1f]')
# Names that stand for devices in every folder of Windows, whatever they end in.
_DEVICE = re.compile(
    r"^(CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(COM|LPT)[0-9¹²³])(?= *(\.|$))", re.IGNORECASE
)
# Windows finds no file of a longer path, unless long ones are enabled on that computer.
_MAX_PATH = 259
_PAUSES_S = (0.05, 0.1, 0.2, 0.4, 0.8)


def check_free(path: Path, *, overwrite: bool) -> None:
    """Require that a path may be written to: before the first of many files is.

    On Windows a file that is read-only or that another program has open cannot be replaced. Found
    before anything is written, that leaves everything as it was, not old files beside new ones.
    """
    with _telling(path):
        is_there = path.exists()
    if is_there and not overwrite:
        msg = (
            f"{path} exists already; nothing was written. Choose another folder, or allow the "
            "file to be replaced (--overwrite on the command line)."
        )
        raise OutputExistsError(msg)
    if is_there:
        _check_replaceable(path)


def _check_replaceable(path: Path) -> None:
    """Move a file to where it is, which the system refuses where it would refuse to replace it.

    But for a read-only one: Windows moves it, and does not replace it.
    """
    if os.name == "nt" and not path.stat().st_mode & stat.S_IWRITE:
        msg = f"{path}: is read-only. Clear Read-only in its properties, or choose another folder."
        raise OutputError(msg)
    try:
        _patiently(lambda: path.rename(path))
    except PermissionError as err:
        msg = (
            f"{path}: cannot be replaced ({err.strerror or err}). Close the program that has it "
            "open, or check the rights."
        )
        raise OutputError(msg) from err
    except OSError:
        return  # a disk that cannot do this says nothing of replacing


def check_writable(path: Path) -> None:
    """Require that a file may be written, before hours are spent on what goes into it.

    Rights alone do not tell (Windows, network drives), so an empty file is made for a moment, in
    the nearest folder above that exists.
    """
    draft = path.parent / f".palnet-{secrets.token_hex(8)}"
    with _telling(path, draft):
        while not draft.parent.exists() and draft.parent != draft.parent.parent:
            draft = draft.parent.parent / draft.name
        draft.open("xb").close()
        _patiently(draft.unlink)


def file_hash(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def is_hidden(name: str) -> bool:
    """Whether a person or a system hid a file or folder of this name."""
    return name.startswith(".") or name in SYSTEM_FOLDERS


def is_too_long(path: Path) -> bool:
    r"""Tell of a path whose file Windows may not find, although its folder lists it."""
    whole = str(path.absolute())
    return os.name == "nt" and len(whole) > _MAX_PATH and not whole.startswith("\\\\?\\")


def hint_at_length(path: Path) -> str:
    """Say that the path may be too long, where Windows says that there is no such file."""
    if not is_too_long(path):
        return ""
    return (
        f" The path has {len(str(path.absolute()))} characters; Windows allows {_MAX_PATH} unless "
        "long paths are enabled: move it to a folder higher up."
    )


def file_stem(name: str) -> str:
    """Make of any name that of a file without its ending, as every system takes it.

    No part of a path, and no device of Windows: ``A_B`` for ``A/B``, ``AUX_`` for ``AUX``.
    """
    stem = _IMPOSSIBLE.sub("_", name).strip(". ") or "unnamed"
    return _DEVICE.sub(r"\1_", stem, count=1)


@contextmanager
def replacing(path: Path, *, overwrite: bool) -> Iterator[Path]:
    """Give a file beside `path` to write to, which takes its place if all goes well."""
    check_free(path, overwrite=overwrite)
    draft = path.parent / f".palnet-{secrets.token_hex(8)}{path.suffix}"
    with _telling(path, draft):
        path.parent.mkdir(parents=True, exist_ok=True)
        # Not by tempfile: on Windows it takes a folder that may not be written to for one in which
        # every name is taken, and tries two thousand million of them.
        draft.open("xb").close()
        try:
            yield draft
            check_free(path, overwrite=overwrite)
            _patiently(lambda: _take_place(draft, path, overwrite=overwrite))
        finally:
            _patiently(lambda: draft.unlink(missing_ok=True))


def _take_place(draft: Path, path: Path, *, overwrite: bool) -> None:
    """Put what was written where it belongs; never over what another program wrote just now."""
    if overwrite:
        draft.replace(path)
        return
    try:
        # Windows moves nothing over a file; elsewhere only a second name is refused where one is.
        if os.name == "nt":
            draft.rename(path)
        else:
            os.link(draft, path)
    except FileExistsError:
        check_free(path, overwrite=False)
        raise
    except OSError:
        if os.name == "nt":
            raise
        draft.replace(path)  # a disk on which a file has one name (FAT, many network drives)


def write_text(path: Path, text: str, *, overwrite: bool) -> None:
    """Write UTF-8 with LF line ends on every system.

    The name of a file may hold bytes that are no UTF-8; they become escapes, as JSON has them.
    """
    with replacing(path, overwrite=overwrite) as draft:
        draft.write_bytes(text.encode("utf-8", errors="backslashreplace"))


@contextmanager
def _telling(path: Path, *drafts: Path) -> Iterator[None]:
    """Name the file that was to be written where the system does not let it be."""
    try:
        yield
    except PalnetError:
        raise
    except OSError as err:
        why = err.strerror or err
        msg = (
            f"{path}: cannot be written ({why}). Check the path, the rights, the free space, and "
            "whether another program has the file open."
        )
        if err.errno == errno.ENOENT:
            msg += hint_at_length(max((path, *drafts), key=lambda each: len(str(each))))
        raise OutputError(msg) from err


def _patiently(step: Callable[[], object]) -> None:
    """Try again where Windows says no: a virus scanner holds a new file for a moment."""
    for pause_s in _PAUSES_S if os.name == "nt" else ():
        try:
            step()
        except PermissionError:
            time.sleep(pause_s)
        else:
            return
    step()
