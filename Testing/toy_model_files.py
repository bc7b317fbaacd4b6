# SPDX-License-Identifier: Apache-2.0
"""Parts of model files for the toy head, and ways to damage them."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import product

import numpy as np

from palnet.calibration import Calibration
from palnet.model import ModelParts
from palnet.network.shapes import shapes_of_landmark_network
from palnet.network.sizes import NetworkSize
from toy_head import toy_atlas, toy_scheme

N_LANDMARKS = len(toy_scheme())
SIZE = NetworkSize(8, (5, 6, 7), n_pools=2, n_layers=1, hidden=9)


def toy_weights():
    """Make weights for the smallest possible networks."""
    rng = np.random.default_rng(1)
    landmarks = shapes_of_landmark_network(SIZE, N_LANDMARKS)
    shapes = {f"landmarks.{name}": shape for name, shape in landmarks.items()}
    layers = {"point1": (8, 6), "point2": (9, 8), "point3": (10, 9)}
    layers |= {"whole1": (11, 20), "whole2": (12, 11), "out": (21, 12)}
    for (layer, shape), pose in product(layers.items(), ("pose_coarse", "pose_fine")):
        shapes |= {f"{pose}.{layer}.weight": shape, f"{pose}.{layer}.bias": shape[:1]}
    return {name: rng.normal(size=s).astype(np.float32) for name, s in shapes.items()}


def toy_parts(**changes):
    factor = np.linspace(0.5, 2.0, N_LANDMARKS)
    parts = ModelParts(
        scheme=toy_scheme(),
        atlas=toy_atlas(),
        weights=toy_weights(),
        calibration=Calibration(factor, 0.8, 0.4),
        metadata={"licence": "Apache-2.0", "accuracy": {"mean_mm": 1.25}, "source": "Köpfe"},
    )
    return replace(parts, **changes)


def rewrite(path, **changes):
    """Save the same arrays with some replaced, or left out if the change is None."""
    with np.load(path) as content:
        arrays = dict(content) | changes
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


def change_header(path, **changes):
    with np.load(path) as content:
        header = json.loads(str(content["header"])) | changes
    kept = {key: value for key, value in header.items() if value is not None}
    return rewrite(path, header=np.array(json.dumps(kept)))
