# SPDX-License-Identifier: Apache-2.0
"""Write files completely or not at all, and never overwrite an existing one without permission."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import stat
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from palnet.errors import OutputError, OutputExistsError, PalnetError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = [
    "check_free",
    "check_writable",
    "describe_error",
    "file_hash",
    "file_stem",
    "hint_at_length",
    "is_folder",
    "remove",
    "replacing",
    "to_path",
    "write_text",
]

# Characters that some system forbids in file names.
_IMPOSSIBLE = re.compile(r'[\\/:*?"<>|\x00-\x1f]')
# Names that Windows reserves for devices in every folder, whatever the suffix.
_DEVICE = re.compile(
    r"^(CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(COM|LPT)[0-9¹²³])(?= *(\.|$))", re.IGNORECASE
)
# Windows cannot open longer paths unless long ones are enabled on the computer.
_MAX_PATH = 259
_PAUSES_S = (0.05, 0.1, 0.2, 0.4, 0.8)


def to_path(value: str | os.PathLike[str], *, name: str, error: type[PalnetError]) -> Path:
    """Take a path as users give it; neither bytes nor what was read from it."""
    try:
        path = Path(value)
        fault = "" if "\0" not in str(path) else "one with a zero byte. Correct it."
    except TypeError:
        fault = f"{type(value).__name__}. Give the path of the file."
        if isinstance(value, bytes):
            fault = "bytes. Decode it: os.fsdecode(path)."
    if fault:
        msg = f"{name} must be a path as text or pathlib.Path; got {fault}"
        raise error(msg)
    return path


def check_free(path: Path, *, overwrite: bool) -> None:
    """Require that a path may be written to, before the first of many files is written.

    On Windows a file that is read-only or open in another program cannot be replaced. Checking this
    first leaves everything unchanged instead of mixing old and new files.
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
    """Rename a file to itself, which the system refuses if it would refuse to replace it.

    Except for a read-only file, which Windows renames but does not replace.
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
        return  # a disk that cannot rename this way; replacing may still work


def check_writable(path: Path) -> None:
    """Require that a file may be written, before hours are spent on what goes into it.

    Rights alone do not tell (Windows, network drives), so an empty file is made for a moment. If
    its folder does not exist yet, a folder is made in the nearest one that does: at the top of a
    Windows drive users may make folders, but no files.
    """
    _check_names(path)
    name = f".palnet-{secrets.token_hex(8)}"
    with _telling(path, path.parent / name):
        place = path.parent
        while not place.exists() and place != place.parent:
            place = place.parent
        draft = place / name
        is_file = place == path.parent
        try:
            if is_file:
                draft.open("xb").close()
            else:
                draft.mkdir()
        finally:  # Ctrl-C may come while it is made
            with suppress(FileNotFoundError):
                _patiently(draft.unlink if is_file else draft.rmdir)


def _check_names(path: Path) -> None:
    """Refuse what Windows would refuse only when the folder is made, after the first detection."""
    names = path.relative_to(path.anchor).parts if os.name == "nt" else ()
    wrong = next((name for name in names if _IMPOSSIBLE.search(name)), None)
    if wrong is not None:
        msg = (
            f"{path}: cannot be written, since Windows forbids "
            f'< > : " | ? * in names, as in {wrong!r}. Choose another folder.'
        )
        raise OutputError(msg)


def describe_error(err: OSError) -> str:
    """Describe a system error, such as a file in use, or a full disk behind `>`."""
    where = f"{err.filename}: " if err.filename else ""
    remedy = "Check the path, the rights and the free space."
    if isinstance(err, PermissionError):
        remedy = "Check the rights, and whether another program has it open."
    return f"{where}{err.strerror or err}. {remedy}"


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def is_folder(path: Path) -> bool:
    """Whether a path is a folder; False if it cannot be examined, as on a drive out of reach."""
    try:
        return path.is_dir()
    except OSError:
        return False


def hint_at_length(path: Path) -> str:
    """Return a hint that the path may be too long, for files that Windows reports as missing."""
    try:
        whole = str(path.absolute())
    except OSError:  # the working folder was deleted
        return ""
    if os.name != "nt" or len(whole) <= _MAX_PATH or whole.startswith("\\\\?\\"):
        return ""
    return (
        f" The path has {len(whole)} characters; Windows allows {_MAX_PATH} unless "
        "long paths are enabled: move it to a folder higher up."
    )


def _hint_at_ends(path: Path) -> str:
    """Return a hint at a folder called `results `: Windows makes `results`, and does not find it.

    No reason to refuse it before: another system may have made it, and what is in it is found.
    """
    ends = [n for n in path.parent.parts if n.endswith((" ", "..")) and n != ".."]
    if os.name != "nt" or not ends:
        return ""
    return f" Windows makes no folder whose name ends in a blank or dots, as {ends[0]!r} does."


def file_stem(name: str) -> str:
    """Turn any name into a file name without suffix that is valid on every system.

    Neither part of a path nor a device of Windows: ``A_B`` for ``A/B``, ``AUX_`` for ``AUX``.
    """
    stem = _IMPOSSIBLE.sub("_", name).strip(". ") or "unnamed"
    return _DEVICE.sub(r"\1_", stem, count=1)


@contextmanager
def replacing(path: Path, *, overwrite: bool) -> Iterator[Path]:
    """Yield a file next to `path` to write to, which replaces it on success."""
    check_free(path, overwrite=overwrite)
    draft = path.parent / f".palnet-{secrets.token_hex(8)}{path.suffix}"
    with _telling(path, draft):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            # Not with tempfile: on Windows it mistakes a folder without write permission for one in
            # which every name is taken, and tries two billion names.
            draft.open("xb").close()
            yield draft
            check_free(path, overwrite=overwrite)
            _patiently(lambda: _take_place(draft, path, overwrite=overwrite))
        finally:
            _patiently(lambda: draft.unlink(missing_ok=True))


def _take_place(draft: Path, path: Path, *, overwrite: bool) -> None:
    """Move a draft to its destination, without overwriting a file that has just appeared there."""
    if overwrite:
        draft.replace(path)
        return
    try:
        # Windows never renames onto an existing file; elsewhere only a hard link fails on one.
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
        draft.replace(path)  # a disk without hard links (FAT, many network drives)


def write_text(path: Path, text: str, *, overwrite: bool) -> None:
    """Write UTF-8 with LF line endings on every system.

    A file name may hold bytes that are not UTF-8; they become escapes, as in JSON.
    """
    with replacing(path, overwrite=overwrite) as draft:
        draft.write_bytes(text.encode("utf-8", errors="backslashreplace"))


def remove(path: Path) -> None:
    """Delete a file if there is one, waiting for a virus scanner as `replacing` does."""
    try:
        _patiently(lambda: path.unlink(missing_ok=True))
    except OSError as err:
        msg = (
            f"{path}: cannot be deleted ({err.strerror or err}). Close the program that has it "
            "open, or check the rights."
        )
        raise OutputError(msg) from err


@contextmanager
def _telling(path: Path, *drafts: Path) -> Iterator[None]:
    """Turn an OSError into an OutputError that names the file."""
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
            msg += _hint_at_ends(path)
        raise OutputError(msg) from err


def _patiently(step: Callable[[], object]) -> None:
    """Retry if Windows denies access: a virus scanner may hold a new file for a moment."""
    for pause_s in _PAUSES_S if os.name == "nt" else ():
        try:
            step()
        except PermissionError:
            time.sleep(pause_s)
        else:
            return
    step()
