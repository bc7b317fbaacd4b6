# SPDX-License-Identifier: Apache-2.0
"""Checks of "Reload and Test", on the bundled face."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import slicer

from palnet.exchange import read_landmarks
from palnet.samples import example_truth
from PALNetLandmarksLib.landmark_list import LandmarkList
from PALNetLandmarksLib.panel.input_section import load_example
from PALNetLandmarksLib.review import Review
from PALNetLandmarksLib.save_export import save

if TYPE_CHECKING:
    from collections.abc import Callable
    from unittest import TestCase

    from numpy.typing import NDArray


def check_detection(
    test: TestCase,
    detect: Callable[[slicer.vtkMRMLModelNode], slicer.vtkMRMLMarkupsFiducialNode],
) -> float:
    """Detected landmarks lie within 2 mm of the true ones on average.

    Parameters
    ----------
    test : unittest.TestCase
        The test case.
    detect : callable
        Returns the landmark list of a model node.

    Returns
    -------
    float
        The mean error in millimeters.
    """
    node = detect(load_example())

    found = slicer.util.arrayFromMarkupsControlPoints(node)
    errors_mm = np.linalg.norm(found - _true_landmarks(), axis=1)
    test.assertEqual(node.GetNumberOfDefinedControlPoints(), 50)
    test.assertLess(float(errors_mm.mean()), 2.0)
    return float(errors_mm.mean())


def check_correction(
    test: TestCase,
    detect: Callable[[slicer.vtkMRMLModelNode], slicer.vtkMRMLMarkupsFiducialNode],
) -> None:
    """A moved landmark lies on the surface, becomes "corrected" and can be restored.

    Parameters
    ----------
    test : unittest.TestCase
        The test case.
    detect : callable
        Returns the landmark list of a model node.
    """
    landmarks = LandmarkList(detect(load_example()))
    review = Review(landmarks)
    before = landmarks.world_positions[0]
    landmarks.node.SetNthControlPointPositionWorld(0, *(before + 5.0))
    after = landmarks.world_positions[0]

    test.assertEqual(landmarks.status[0], "corrected")
    test.assertLess(float(abs(after - before).max()), 10.0)
    review.undo()
    test.assertEqual(landmarks.status[0], "detected")
    test.assertLess(float(abs(landmarks.world_positions[0] - before).max()), 1e-6)
    review.close()


def check_saving(
    test: TestCase,
    detect: Callable[[slicer.vtkMRMLModelNode], slicer.vtkMRMLMarkupsFiducialNode],
) -> None:
    """A saved list can be read back with its statuses and expected errors.

    Parameters
    ----------
    test : unittest.TestCase
        The test case.
    detect : callable
        Returns the landmark list of a model node.
    """
    landmarks = LandmarkList(detect(load_example()))
    path = Path(slicer.app.temporaryPath) / "PALNetLandmarksTest.mrk.json"
    save(landmarks, path)
    again = LandmarkList(slicer.util.loadMarkups(str(path)))
    path.unlink()

    test.assertEqual(again.status, landmarks.status)
    test.assertLess(float(abs(again.expected_errors - landmarks.expected_errors).max()), 1e-3)


def _true_landmarks() -> NDArray[np.float64]:
    """Read the true landmarks of the bundled face, in RAS."""
    return read_landmarks(example_truth()).to_frame("RAS").positions
