# SPDX-License-Identifier: Apache-2.0
"""The few layers of the shipped networks, in numpy.

Weights are ``{name: array}`` with torch's names and shapes (a linear layer's weight has shape
(n_out, n_in)), so that a trained state can be used unchanged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Weights = Mapping[str, NDArray[np.float32]]

__all__ = ["attend", "layer_norm", "linear", "relu", "select", "softmax"]

# torch.nn.LayerNorm's default.
LAYER_NORM_EPSILON = 1e-5


def select(weights: Weights, prefix: str) -> dict[str, NDArray[np.float32]]:
    """Return the weights under a prefix, with the prefix removed."""
    start = prefix + "."
    return {name[len(start) :]: w for name, w in weights.items() if name.startswith(start)}


def linear(weights: Weights, name: str, values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return ``values @ weight.T + bias``, last axis n_in to n_out."""
    result = values @ weights[f"{name}.weight"].T
    result += weights[f"{name}.bias"]
    return result


def relu(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Set negative values to zero, in place."""
    return np.maximum(values, 0, out=values)


def softmax(values: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """Return exponentials normalized to sum to one along an axis."""
    powers = np.exp(values - values.max(axis=axis, keepdims=True))
    return np.asarray(powers / powers.sum(axis=axis, keepdims=True))


def layer_norm(weights: Weights, name: str, values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Normalize to mean zero and variance one along the last axis, then scale and shift."""
    centred = values - values.mean(axis=-1, keepdims=True)
    variance = np.mean(centred**2, axis=-1, keepdims=True)
    scaled = centred / np.sqrt(variance + LAYER_NORM_EPSILON)
    return np.asarray(scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"])


def attend(
    weights: Weights, name: str, tokens: NDArray[np.float32], n_heads: int
) -> NDArray[np.float32]:
    """Self-attention over tokens (batch, n_tokens, width), as torch.nn.MultiheadAttention."""
    batch, n_tokens, width = tokens.shape
    packed = tokens @ weights[f"{name}.in_proj_weight"].T + weights[f"{name}.in_proj_bias"]
    heads = packed.reshape(batch, n_tokens, 3, n_heads, width // n_heads)
    query, key, value = (heads[:, :, k].transpose(0, 2, 1, 3) for k in range(3))
    root = np.float32(np.sqrt(width // n_heads))
    scores = np.asarray(query @ key.transpose(0, 1, 3, 2) / root, dtype=np.float32)
    mixed = softmax(scores, axis=-1) @ value
    joined = mixed.transpose(0, 2, 1, 3).reshape(batch, n_tokens, width)
    return linear(weights, f"{name}.out_proj", joined)
