# SPDX-License-Identifier: Apache-2.0
"""Parts of model files for the toy head, and ways to spoil them."""

from __future__ import annotations

import json

import numpy as np

from palnet.calibration import Calibration
from toy_head import toy_atlas, toy_scheme

N_LANDMARKS = len(toy_scheme())


def toy_weights():
    """Weights under the names that a model must have; the shapes are those of no network."""
    rng = np.random.default_rng(1)
    shapes = {
        "pose_coarse.point1.weight": (8, 6),
        "pose_coarse.out.weight": (21, 8),
        "pose_fine.point1.weight": (8, 6),
        "pose_fine.out.weight": (21, 8),
        "landmarks.landmark": (N_LANDMARKS, 8),
        "landmarks.out.weight": (5, 8),
        "landmarks.joint.weight": (3 * N_LANDMARKS, 3 * N_LANDMARKS),
        "landmarks.joint.bias": (3 * N_LANDMARKS,),
    }
    return {name: rng.normal(size=s).astype(np.float32) for name, s in shapes.items()}


def toy_parts(**changes):
    factor = np.linspace(0.5, 2.0, N_LANDMARKS)
    parts = {
        "scheme": toy_scheme(),
        "atlas": toy_atlas(),
        "weights": toy_weights(),
        "calibration": Calibration(factor, 0.8, 0.4),
        "metadata": {"licence": "Apache-2.0", "accuracy": {"mean_mm": 1.25}, "source": "Köpfe"},
    }
    return parts | changes


def rewrite(path, **changes):
    """Save the same arrays with some replaced, or left out where the change is None."""
    with np.load(path) as content:
        arrays = dict(content) | changes
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


def change_header(path, **changes):
    with np.load(path) as content:
        header = json.loads(str(content["header"])) | changes
    kept = {key: value for key, value in header.items() if value is not None}
    return rewrite(path, header=np.array(json.dumps(kept)))
