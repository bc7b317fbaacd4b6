# SPDX-License-Identifier: Apache-2.0
"""The networks of the PAL-Net paper in numpy: patches of one face in, its landmarks out.

References
----------
A. Yazdi et al., PAL-Net, Informatics in Medicine Unlocked 60 (2026) 101729,
doi 10.1016/j.imu.2025.101729.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from palnet.network.layers import linear, relu, softmax

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from palnet.network.layers import Weights

__all__ = [
    "CHANNELS",
    "HIDDEN_WIDTH",
    "N_TOP",
    "POOLS",
    "VARIANTS",
    "Variant",
    "count_tokens",
    "least_points",
    "run_palnet",
    "shapes_of_palnet",
]

Variant = Literal["palnet", "noatt", "topk", "2blk", "ndo"]

VARIANTS: tuple[Variant, ...] = get_args(Variant)
"""The full network; without attention; the best tokens of each patch instead of their weighted sum;
two blocks instead of three; without dropout."""

CHANNELS, POOLS = (32, 64, 128), (5, 5, 4)
HIDDEN_WIDTH = 1024
N_TOP = 10


def _pools_of(variant: str) -> tuple[int, ...]:
    """Return the poolings of a variant's blocks."""
    return POOLS[:2] if variant == "2blk" else POOLS


def count_tokens(variant: str, n_points: int) -> list[int]:
    """Count the tokens of a patch before each block's pooling, and after the last."""
    counts = [n_points]
    for pool in _pools_of(variant):
        counts.append(counts[-1] // pool)
    return counts


def least_points(variant: str) -> int:
    """Minimum number of points of a patch for all poolings."""
    pools = _pools_of(variant)
    least = math.prod(pools)
    return max(least, N_TOP * least // pools[-1]) if variant == "topk" else least


def shapes_of_palnet(variant: str, n_landmarks: int, n_points: int) -> dict[str, tuple[int, ...]]:
    """Return the shapes of all parameters.

    Parameters
    ----------
    variant : str
        One of `VARIANTS`.
    n_landmarks, n_points : int
        Patches per face, and points per patch.

    Returns
    -------
    dict of str to tuple of int
        Under the names of the torch counterpart, `palnet.network.torch_paper.PalNet`.
    """
    counts = count_tokens(variant, n_points)
    channels = CHANNELS[: len(counts) - 1]
    shapes: dict[str, tuple[int, ...]] = {}
    n_features = channels[-1] * n_landmarks * counts[-1]
    n_in = 3
    for block, (n_out, n_tokens) in enumerate(zip(channels, counts, strict=False)):
        for layer, width in ((0, n_in), (2, n_out)):
            shapes[f"blocks.{block}.{layer}.weight"] = (n_out, width, 1, 1)
            shapes[f"blocks.{block}.{layer}.bias"] = (n_out,)
        if variant == "topk":
            shapes[f"attentions.{block}.weight"] = (n_landmarks, n_out, 1)
            shapes[f"attentions.{block}.bias"] = (n_landmarks, n_tokens, 1)
            n_features += n_out * n_landmarks * N_TOP
        elif variant != "noatt":
            shapes[f"attentions.{block}.weight"] = (n_out, 1)
            shapes[f"attentions.{block}.bias"] = (n_landmarks * n_tokens, 1)
            n_features += n_out
        n_in = n_out
    widths = (n_features, HIDDEN_WIDTH, HIDDEN_WIDTH, 3 * n_landmarks)
    for layer, (width, n_out) in zip((0, 2, 4), pairwise(widths), strict=True):
        shapes[f"head.{layer}.weight"], shapes[f"head.{layer}.bias"] = (n_out, width), (n_out,)
    return shapes


def run_palnet(weights: Weights, patches: NDArray[np.float32]) -> NDArray[np.float32]:
    """Run a network on one face; the weights determine its variant.

    Convention: patches and landmarks are millimetres in one frame.

    Parameters
    ----------
    weights : mapping of str to ndarray
        State of the torch counterpart.
    patches : ndarray of shape (n_landmarks, n_points, 3)
        Patches in the order the network was trained with.

    Returns
    -------
    ndarray of shape (n_landmarks, 3)
        Landmarks, before the finish.
    """
    n_landmarks = len(patches)
    maps = patches
    summaries = []
    block = 0
    while f"blocks.{block}.0.weight" in weights:
        rows = maps.reshape(-1, maps.shape[2])
        for layer in (f"blocks.{block}.0", f"blocks.{block}.2"):
            rows = relu(_convolve(weights, layer, rows))
        maps = rows.reshape(n_landmarks, -1, rows.shape[1])
        if f"attentions.{block}.weight" in weights:
            weight, bias = (weights[f"attentions.{block}.{part}"] for part in ("weight", "bias"))
            summarize = _take_best if weight.ndim == 3 else _attend
            summaries.append(summarize(maps, weight, bias))
        maps = _pool(maps, POOLS[block])
        block += 1
    features = np.concatenate([*summaries, maps.transpose(2, 0, 1).ravel()])
    hidden = relu(linear(weights, "head.0", features))
    hidden = linear(weights, "head.2", hidden)
    return linear(weights, "head.4", hidden).reshape(n_landmarks, 3)


def _convolve(weights: Weights, name: str, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Apply a 1x1 convolution: the same linear layer for every point."""
    result = rows @ weights[f"{name}.weight"][:, :, 0, 0].T
    result += weights[f"{name}.bias"]
    return result


def _attend(
    maps: NDArray[np.float32], weight: NDArray[np.float32], bias: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the weighted sum of all tokens of the face, (n_channels,)."""
    tokens = maps.reshape(-1, maps.shape[2])
    shares = softmax(np.tanh(tokens @ weight + bias), axis=0)
    return np.asarray(shares[:, 0] @ tokens)


def _take_best(
    maps: NDArray[np.float32], weight: NDArray[np.float32], bias: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the features of each patch's highest-scoring tokens, best first, flattened."""
    scores = (maps @ weight + bias)[..., 0]
    best = np.argsort(-scores, axis=1, kind="stable")[:, :N_TOP]
    return np.take_along_axis(maps, best[..., None], axis=1).ravel()


def _pool(maps: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Max-pool over `size` consecutive tokens; the remainder is dropped."""
    n_landmarks, n_tokens, n_channels = maps.shape
    kept = maps[:, : n_tokens // size * size]
    pooled: NDArray[np.float32] = kept.reshape(n_landmarks, -1, size, n_channels).max(axis=2)
    return pooled
