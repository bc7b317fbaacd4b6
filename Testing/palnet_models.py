# SPDX-License-Identifier: Apache-2.0
"""A small trained model of a lab: the shipped one, reduced to some of its landmarks."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from palnet.model import ModelParts, read_model, write_model
from palnet.scheme import Scheme

# Enough for a pose of their own, spread over the face, in left-right pairs.
LAB_CODES = ("n", "prn", "sn", "gn", "ex_r", "en_r", "al_r", "ch_r", "ex_l", "en_l", "al_l", "ch_l")
LAB_NAME = "lab12"


def lab_scheme(codes=LAB_CODES, name=LAB_NAME, **measured):
    """Make a scheme of some shipped landmarks, with a name that is not shipped."""
    shipped = read_model().scheme
    chosen = [shipped.landmarks[shipped.index_of(code)] for code in codes]
    defined = [replace(each, definition=f"The lab's own {each.name}.") for each in chosen]
    return Scheme(name, tuple(defined), source="A lab", **measured)


def write_lab_model(path, scheme=None):
    """Reduce atlas, network and calibration of the shipped model to a scheme's landmarks.

    Expected errors are those for the lab's own people, as after `palnet finetune`.
    """
    path.write_bytes(_lab_model(scheme or lab_scheme()))
    return path


@cache
def _lab_model(scheme):
    """Return the content of the file: packing takes a second."""
    shipped = read_model()
    rows = [shipped.scheme.index_of(code) for code in scheme.codes]
    coordinates = (3 * np.array(rows)[:, None] + np.arange(3)).ravel()
    chosen = {
        "landmarks.landmark": rows,
        "landmarks.joint.weight": np.ix_(coordinates, coordinates),
        "landmarks.joint.bias": coordinates,
    }
    atlas, calibration = shipped.atlas, shipped.calibration
    parts = ModelParts(
        scheme=scheme,
        atlas=replace(
            atlas,
            landmark_mean_mm=atlas.landmark_mean_mm[rows],
            landmark_modes_mm=atlas.landmark_modes_mm[:, rows],
        ),
        weights={
            name: np.asarray(weight[chosen[name]] if name in chosen else weight)
            for name, weight in shipped.weights.items()
        },
        calibration=replace(
            calibration, factor=calibration.factor[rows], source_factor=1.0, source_power=1.0
        ),
        metadata={"source": "the shipped model, cut down", "licence": "Apache-2.0"},
    )
    with TemporaryDirectory() as folder:
        path = Path(folder) / "lab.npz"
        write_model(path, parts)
        return path.read_bytes()
