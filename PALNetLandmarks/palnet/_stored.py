# SPDX-License-Identifier: Apache-2.0
"""What others stored, read without trust: arrays and JSON, whole or refused with a ValueError."""

from __future__ import annotations

import io
import json
import math
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["parse_json", "unpack_array", "unpack_arrays"]

# Arrays of models and faces shrink to a tenth at best, those made to fill a computer's memory to a
# thousandth.
MAX_EXPANSION = 200
# So much the arrays of a file may grow to in any case.
FREE_BYTES = 1 << 24


def unpack_arrays(data: bytes) -> dict[str, NDArray[Any]]:
    """Read all arrays of a ``.npz`` file; none may be larger than what stands in the file.

    Parameters
    ----------
    data : bytes
        The whole file.

    Returns
    -------
    dict of str to ndarray
        By their names.

    Raises
    ------
    ValueError
        If the file is damaged, holds pickled objects or is made to fill the memory.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            n_bytes = sum(member.file_size for member in archive.infolist())
            if n_bytes > FREE_BYTES + MAX_EXPANSION * len(data):
                msg = f"{n_bytes} bytes packed into {len(data)}"
                raise ValueError(msg)
            names = archive.namelist()
            return {name.removesuffix(".npy"): unpack_array(archive.read(name)) for name in names}
    except Exception as err:  # a damaged archive raises nearly anything
        raise ValueError(_one_line(err)) from err


def unpack_array(data: bytes) -> NDArray[Any]:
    """Read the array of a ``.npy`` file, as `unpack_arrays` does."""
    stream = io.BytesIO(data)
    try:
        if not data:
            msg = "nothing in it"
            raise ValueError(msg)
        is_first = np.lib.format.read_magic(stream)[0] == 1
        shape, _, kind = (
            np.lib.format.read_array_header_1_0(stream)
            if is_first
            else np.lib.format.read_array_header_2_0(stream)
        )
        n_bytes = math.prod(shape) * kind.itemsize
        if n_bytes > len(data) - stream.tell():
            msg = f"{n_bytes} bytes promised, {len(data) - stream.tell()} there"
            raise ValueError(msg)
        stream.seek(0)
        array: NDArray[Any] = np.lib.format.read_array(stream, allow_pickle=False)
    except Exception as err:  # a damaged header raises nearly anything
        raise ValueError(_one_line(err)) from err
    return array


def parse_json(text: str) -> Any:
    """Take JSON apart; a ValueError in one line where it is none, or nested without end."""
    try:
        return json.loads(text)
    except RecursionError as err:
        msg = "nested too deeply"
        raise ValueError(msg) from err


def _one_line(err: Exception) -> str:
    return " ".join(str(err).split()) or type(err).__name__
