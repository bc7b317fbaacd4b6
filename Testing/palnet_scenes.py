# SPDX-License-Identifier: Apache-2.0
"""The bundled face in a scene, and its landmarks as if they had just been detected."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import slicer

import palnet
from palnet.exchange import read_landmarks
from PALNetLandmarksLib.landmark_list import create_list
from PALNetLandmarksLib.review import Review

__all__ = ["a_face", "a_list", "a_review"]

SAMPLES = Path(palnet.__file__).parent / "samples"
N_LANDMARKS = 50

# The face looks along -y in LPS files of this project, up is z: face axes x, y, z are the scene's
# -x, z, y (RAS), and the origin lies between the ears.
FACE_FROM_WORLD = np.array(
    [[-1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]]
)


def true_landmarks():
    """Landmarks of the bundled face in RAS, one missing, with made-up expected errors."""
    truth = read_landmarks(SAMPLES / "example.landmarks.csv").to_frame("RAS")
    errors = np.linspace(0.5, 6.0, N_LANDMARKS)
    positions = truth.positions.copy()
    positions[-1], errors[-1] = np.nan, np.nan
    return replace(
        truth,
        positions=positions,
        status=("detected",) * (N_LANDMARKS - 1) + ("missing",),
        expected_error_mm=errors,
    )


def a_record():
    """What a detection writes down, in short."""
    return {
        "specimen": "Face",
        "mm_per_unit": 1.0,
        "quality": {"verdict": "good"},
        "provenance": {"model": "palnet50", "note": 'quotes " and \\ and \u00e4'},
        "face_from_scan_mm": FACE_FROM_WORLD.tolist(),
    }


@pytest.fixture
def a_face(scene):
    model = slicer.util.loadModel(str(SAMPLES / "example.ply"))
    model.SetName("Face")
    return model


@pytest.fixture
def a_list(a_face):
    """All landmarks but the last one detected."""
    truth = true_landmarks()
    made = create_list(a_face.GetScene(), truth.scheme, a_face, "Face landmarks")
    made.set_detection(truth, a_record())
    return made


@pytest.fixture
def a_review(a_list):
    review = Review(a_list)
    yield review
    review.close()
