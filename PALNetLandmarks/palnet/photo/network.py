# SPDX-License-Identifier: Apache-2.0
"""The network for landmarks in photographs, in numpy.

It is the one of MediaPipe's Face Landmarker (Google, Apache License 2.0), cut down to the landmarks
that palnet uses; README.md beside this file says where it comes from.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from palnet._stored import read_arrays
from palnet.network.layers import linear, select

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from palnet.network.layers import Weights

__all__ = ["WEIGHTS_FILE", "PhotoNetwork", "read_photo_network", "run_photo_network"]

WEIGHTS_FILE = Path(__file__).with_name("face_landmarks.npz")


@dataclass(frozen=True, eq=False)
class PhotoNetwork:
    """The network as it comes with palnet.

    Attributes
    ----------
    codes : tuple of str
        Codes of the landmarks that it predicts.
    ends : mapping of str to ndarray
        Weights of the layers ``first``, ``places`` and ``presence``, in single precision.
    blocks : tuple of mapping
        Those of the residual blocks between them.
    sha256 : str
        Hash of the file.
    """

    codes: tuple[str, ...]
    ends: Weights
    blocks: tuple[Weights, ...]
    sha256: str


@cache
def read_photo_network() -> PhotoNetwork:
    """Read the network that comes with palnet, once.

    Returns
    -------
    PhotoNetwork
        Codes and weights.
    """
    arrays = read_arrays(WEIGHTS_FILE)
    codes = tuple(str(code) for code in arrays.pop("codes"))
    weights = {name: array.astype(np.float32) for name, array in arrays.items()}
    blocks = sorted({name.partition(".")[0] for name in weights if name.startswith("block_")})
    return PhotoNetwork(
        codes,
        {name: weight for name, weight in weights.items() if not name.startswith("block_")},
        tuple(select(weights, block) for block in blocks),
        hashlib.sha256(WEIGHTS_FILE.read_bytes()).hexdigest(),
    )


def run_photo_network(
    network: PhotoNetwork, pixels: NDArray[np.float32]
) -> tuple[NDArray[np.float64], float]:
    """Predict where the landmarks are in a picture of one upright face.

    Parameters
    ----------
    network : PhotoNetwork
        The network.
    pixels : ndarray of shape (256, 256, 3)
        Red, green and blue, 0 to 1; row 0 is the top.

    Returns
    -------
    places : ndarray of shape (n_codes, 2)
        In pixels, to the right and down from the top left corner of the picture.
    presence : float
        Above 0 if the network takes it for a face (log odds).
    """
    weights = network.ends
    values = _bend(weights, "first", _mix(weights, "first", _neighborhoods(pixels)))
    for block in network.blocks:
        values = _run_block(block, values)
    flat = values.reshape(-1)
    places = linear(weights, "places", flat).astype(np.float64).reshape(-1, 2)
    return places, float(linear(weights, "presence", flat)[0])


def _run_block(block: Weights, values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Narrow the channels, filter each, widen them again, and add the result to the input.

    A block whose first layer takes four pixels at a time halves the picture.
    """
    is_halving = block["narrow.weight"].shape[1] == 4 * values.shape[2]
    passed = values
    if is_halving:
        quads = _quads(values)
        passed = quads.max(axis=2)
        values = quads.reshape(*quads.shape[:2], -1)
    inner = _filter(block, _bend(block, "narrow", _mix(block, "narrow", values)))
    inner = _mix(block, "widen", inner)
    inner[..., : passed.shape[2]] += passed
    return _bend(block, "widen", inner)


def _mix(weights: Weights, name: str, values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mix the channels of each pixel of a picture."""
    mixed = np.asarray(values @ weights[f"{name}.weight"].T)
    lines = mixed.reshape(len(mixed), -1)
    lines += _along_lines(weights[f"{name}.bias"], lines)
    return mixed


def _bend(weights: Weights, name: str, values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Multiply what is below zero by each channel's slope, in place."""
    lines = values.reshape(len(values), -1)
    below = np.minimum(lines, 0)
    below *= _along_lines(weights[f"{name}.slope"] - 1, lines)
    lines += below
    return values


def _along_lines(channels: NDArray[np.float32], lines: NDArray[np.float32]) -> NDArray[np.float32]:
    """Repeat what each channel has for every pixel of a line: numpy is slow with short axes."""
    return np.tile(channels, lines.shape[1] // len(channels))


def _quads(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Group the pixels by two rows and two columns: (n, n, c) becomes (n / 2, n / 2, 4, c)."""
    rows, columns, channels = values.shape
    paired = values.reshape(rows // 2, 2, columns // 2, 2, channels)
    return paired.transpose(0, 2, 1, 3, 4).reshape(rows // 2, columns // 2, 4, channels)


def _neighborhoods(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Collect 3 x 3 pixels from every second row and column on: (n, n, 3) to (n / 2, n / 2, 27)."""
    rows, columns, _ = pixels.shape
    padded = np.pad(pixels, ((0, 1), (0, 1), (0, 0)))
    shifts = [(row, column) for row in range(3) for column in range(3)]
    return np.concatenate(
        [padded[row : row + rows : 2, column : column + columns : 2] for row, column in shifts],
        axis=2,
    )


def _filter(block: Weights, values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Filter each channel by its own 3 x 3 weights, zeros outside the picture."""
    rows, columns, channels = values.shape
    padded = np.zeros((rows + 2, columns + 2, channels), dtype=np.float32)
    padded[1:-1, 1:-1] = values
    lines = padded.reshape(rows + 2, -1)
    weights = np.tile(block["filter.weight"], columns)
    total = np.tile(block["filter.bias"], (rows, columns))
    part = np.empty_like(total)
    for row in range(3):
        for column in range(3):
            shifted = lines[row : row + rows, column * channels :][:, : columns * channels]
            total += np.multiply(shifted, weights[row, column], out=part)
    return total.reshape(values.shape)
