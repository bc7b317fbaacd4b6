# SPDX-License-Identifier: Apache-2.0
"""Write files whole or not at all, and never over an existing one unasked."""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from palnet.errors import OutputError, OutputExistsError, PalnetError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["check_free", "file_hash", "replacing", "write_text"]


def check_free(path: Path, *, overwrite: bool) -> None:
    """Require that a path may be written to."""
    with _telling(path):
        is_there = path.exists()
    if is_there and not overwrite:
        msg = f"{path} exists already; nothing was written. Choose to overwrite, or another folder."
        raise OutputExistsError(msg)


def file_hash(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


@contextmanager
def replacing(path: Path, *, overwrite: bool) -> Iterator[Path]:
    """Give a file beside `path` to write to, which takes its place if all goes well."""
    check_free(path, overwrite=overwrite)
    with _telling(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".palnet-", suffix=path.suffix, dir=path.parent)
        os.close(handle)
        draft = Path(name)
        try:
            yield draft
            check_free(path, overwrite=overwrite)
            draft.chmod(0o666 & ~_umask())  # mkstemp makes files that nobody else can read
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)


def write_text(path: Path, text: str, *, overwrite: bool) -> None:
    """Write UTF-8 with LF line ends on every system.

    The name of a file may hold bytes that are no UTF-8; they become escapes, as JSON has them.
    """
    with replacing(path, overwrite=overwrite) as draft:
        draft.write_bytes(text.encode("utf-8", errors="backslashreplace"))


@contextmanager
def _telling(path: Path) -> Iterator[None]:
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
        raise OutputError(msg) from err


def _umask() -> int:
    """Read the process's file mode mask, which can only be read by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
