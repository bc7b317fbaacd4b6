# SPDX-License-Identifier: Apache-2.0
"""The weights that a network must have, so that an incomplete file is refused when it is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from palnet.network.landmarks import N_HEADS
from palnet.network.pose import KEY_POINTS_MM
from palnet.network.sizes import N_OUTPUTS, N_POINT_INPUTS, NetworkSize

if TYPE_CHECKING:
    from palnet.network.layers import Weights

    Shapes = dict[str, tuple[int, ...]]

__all__ = [
    "check_landmark_network",
    "check_pose_network",
    "check_shapes",
    "shapes_of_landmark_network",
]


def check_pose_network(weights: Weights, *, name: str) -> None:
    """Require the layers of a pose network; KeyError or ValueError names a mismatch."""
    widths = {layer: weights[f"{layer}.bias"].size for layer in ("point1", "point2", "point3")}
    widths |= {layer: weights[f"{layer}.bias"].size for layer in ("whole1", "whole2")}
    n_in = (N_POINT_INPUTS, widths["point1"], widths["point2"], 2 * widths["point3"])
    expected: Shapes = {}
    for (layer, n_out), width in zip(widths.items(), (*n_in, widths["whole1"]), strict=True):
        expected |= _linear(layer, width, n_out)
    expected |= _linear("out", widths["whole2"], KEY_POINTS_MM.size)
    check_shapes(weights, expected, name=name)


def check_landmark_network(weights: Weights, n_landmarks: int, *, name: str) -> None:
    """Require the layers of a landmark network; KeyError or ValueError names a mismatch."""
    size = NetworkSize.of(weights)
    if size.width % N_HEADS:
        msg = f"{name} is {size.width} wide, which is no multiple of {N_HEADS}"
        raise ValueError(msg)
    check_shapes(weights, shapes_of_landmark_network(size, n_landmarks), name=name)


def shapes_of_landmark_network(size: NetworkSize, n_landmarks: int) -> Shapes:
    """Return the shapes of all parameters, under the names of the torch counterpart."""
    width, (first, second, third) = size.width, size.point_widths
    n_coordinates = 3 * n_landmarks
    shapes: Shapes = {"landmark": (n_landmarks, width)}
    shapes |= _linear("point1", N_POINT_INPUTS, first)
    shapes |= _linear("point2", first, second) | _linear("identity", width, second)
    shapes |= _linear("point3", second, third) | _linear("score", third, size.n_pools)
    shapes |= _linear("token", sum(size.token_inputs), width)
    for layer in range(size.n_layers):
        inner: Shapes = _norm("norm1", width) | _norm("norm2", width)
        inner |= {"attention.in_proj_weight": (3 * width, width)}
        inner |= {"attention.in_proj_bias": (3 * width,)}
        inner |= _linear("attention.out_proj", width, width)
        inner |= _linear("wide", width, size.hidden) | _linear("narrow", size.hidden, width)
        shapes |= {f"layers.{layer}.{part}": shape for part, shape in inner.items()}
    shapes |= _norm("norm", width) | _linear("out", width, N_OUTPUTS)
    return shapes | _linear("joint", n_coordinates, n_coordinates)


def _linear(name: str, n_in: int, n_out: int) -> Shapes:
    return {f"{name}.weight": (n_out, n_in), f"{name}.bias": (n_out,)}


def _norm(name: str, width: int) -> Shapes:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def check_shapes(weights: Weights, expected: Shapes, *, name: str) -> None:
    """Require exactly these arrays, with their shapes."""
    for part in sorted(expected.keys() | weights.keys()):
        shape = expected.get(part)
        if part not in weights:
            raise KeyError(f"{name}.{part}")  # noqa: EM102  # the key is the text
        if weights[part].shape != shape:
            msg = f"{name}.{part} has shape {weights[part].shape} instead of {shape}"
            raise ValueError(msg)
        if 0 in shape:
            msg = f"{name}.{part} is empty"
            raise ValueError(msg)
