# SPDX-License-Identifier: Apache-2.0
"""Sizes of landmark networks, and how a trained network is grown into a larger one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from palnet.network.layers import Weights

__all__ = [
    "LARGE_SIZE",
    "N_OUTPUTS",
    "N_POINT_INPUTS",
    "SIZES",
    "SMALL_SIZE",
    "NetworkSize",
    "count_layers",
    "grow_weights",
]

# A position and a normal.
N_POINT_INPUTS = 6
# The last inputs of a token: centre and share.
N_PLACE = 5
# Offset, log spread and visibility.
N_OUTPUTS = 5


@dataclass(frozen=True, slots=True)
class NetworkSize:
    """Widths and numbers of layers; detection infers them from the weights.

    Attributes
    ----------
    width : int
        Width of a landmark token.
    point_widths : tuple of int
        Outputs of the three point-wise layers of a patch.
    n_pools : int
        Number of attention poolings over the points of a patch.
    n_layers : int
        Number of attention layers between the landmarks.
    hidden : int
        Width between the two linear layers of each attention layer.
    """

    width: int
    point_widths: tuple[int, int, int]
    n_pools: int
    n_layers: int
    hidden: int

    @property
    def token_inputs(self) -> list[int]:
        """Widths of a token's inputs: maxima of two layers, each pool of the third, the place."""
        _, second, third = self.point_widths
        return [second, third, *[third] * self.n_pools, N_PLACE]

    @classmethod
    def of(cls, weights: Weights) -> NetworkSize:
        """Infer the size of a network from its weights."""
        first, second, third = (len(weights[f"point{k}.bias"]) for k in (1, 2, 3))
        return cls(
            width=weights["landmark"].shape[1],
            point_widths=(first, second, third),
            n_pools=len(weights["score.bias"]),
            n_layers=count_layers(weights),
            hidden=len(weights["layers.0.wide.bias"]),
        )


# 357,000 parameters with 50 landmarks, for two cores and the few people of a lab.
SMALL_SIZE = NetworkSize(128, (48, 64, 128), n_pools=1, n_layers=2, hidden=256)
# 997,000 parameters: the shipped network.
LARGE_SIZE = NetworkSize(128, (64, 96, 192), n_pools=4, n_layers=4, hidden=512)
# From small to large.
SIZES = {"small": SMALL_SIZE, "large": LARGE_SIZE}


def count_layers(weights: Weights) -> int:
    """Count the layers of attention between the landmarks."""
    return sum(name.endswith(".wide.bias") for name in weights)


def grow_weights(weights: Weights, fresh: Weights) -> dict[str, NDArray[np.float32]]:
    """Copy a trained network into a larger, untrained one.

    The old units get zero weights for the new ones, and new attention layers output zero, until
    training changes them: on every face the result predicts what the trained network predicted.

    Parameters
    ----------
    weights : mapping of str to ndarray
        The trained network's state under torch's names.
    fresh : mapping of str to ndarray
        State of a network of the same width and landmarks, and at least as large in all else.

    Returns
    -------
    dict of str to ndarray
        State of the larger size.

    Raises
    ------
    ValueError
        If the other network is not larger, or has other landmarks.
    """
    old, new = NetworkSize.of(weights), NetworkSize.of(fresh)
    _check_growth(old, new)
    if weights["landmark"].shape != fresh["landmark"].shape:
        msg = f"{len(weights['landmark'])} landmarks cannot become {len(fresh['landmark'])}."
        raise ValueError(msg)
    grown = {name: np.array(weight, dtype=np.float32) for name, weight in fresh.items()}
    inputs = _token_inputs(old, new)
    for name, weight in weights.items():
        target = grown[name]
        rows = slice(len(weight))
        if weight.ndim == 1 or weight.shape == target.shape:
            target[rows] = weight
            continue
        columns = inputs if name == "token.weight" else np.arange(weight.shape[1])
        target[rows] = 0
        target[rows, columns] = weight
    for layer in range(old.n_layers, new.n_layers):
        for last in ("attention.out_proj", "narrow"):
            grown[f"layers.{layer}.{last}.weight"][:] = 0
            grown[f"layers.{layer}.{last}.bias"][:] = 0
    return grown


def _check_growth(old: NetworkSize, new: NetworkSize) -> None:
    """Require that the old size fits into the new one."""
    before = (*old.point_widths, old.n_pools, old.n_layers, old.hidden)
    after = (*new.point_widths, new.n_pools, new.n_layers, new.hidden)
    if old.width != new.width or any(a < b for a, b in zip(after, before, strict=True)):
        msg = f"a network of {old} cannot become one of {new}: it may only grow, at its width."
        raise ValueError(msg)


def _token_inputs(old: NetworkSize, new: NetworkSize) -> NDArray[np.int64]:
    """Return the positions of an old token's inputs among a new token's, (n_inputs,)."""
    *starts, place, _ = np.cumsum([0, *new.token_inputs])
    olds = zip(starts, old.token_inputs[:-1], strict=False)
    parts = [start + np.arange(width) for start, width in olds]
    return np.concatenate([*parts, place + np.arange(N_PLACE)])
