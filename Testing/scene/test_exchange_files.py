# SPDX-License-Identifier: Apache-2.0
"""Landmark files through 3D Slicer's own storage nodes, in both directions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from palnet.exchange import read_landmarks, write_landmarks
from palnet.landmarks import LandmarkSet
from palnet.scheme import load_scheme
from PALNetLandmarksLib.list_creation import create_list
from PALNetLandmarksLib.list_display import fit_glyphs

slicer = pytest.importorskip("slicer")

STORAGE = {
    "mrk.json": "vtkMRMLMarkupsJsonStorageNode",
    "fcsv": "vtkMRMLMarkupsFiducialStorageNode",
}
SCHEME = load_scheme("palnet50")
# Both palnet and Slicer write numbers with six decimals.
HALF_STEP = 5.1e-7
MISSING = 7


def make_landmarks(frame, missing=()):
    positions = np.random.default_rng(3).normal(0, 60, (len(SCHEME), 3))
    positions[list(missing)] = np.nan
    status = tuple("undefined" if np.isnan(row[0]) else "corrected" for row in positions)
    space = "LPS" if frame == "file" else frame
    errors = np.full(len(SCHEME), np.nan)
    return LandmarkSet(SCHEME, positions, status, errors, 1.0, frame, "case_001", space)


def store(scene, name, path):
    storage = scene.AddNewNodeByClass(STORAGE[name])
    storage.SetFileName(str(path))
    return storage


def load(scene, name, path):
    """Read a file into a new list, as Slicer does."""
    node = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode")
    assert store(scene, name, path).ReadData(node) == 1
    return node


def positions_ras(node):
    """Return world positions, NaN for points that are not defined."""
    return np.array(
        [
            node.GetNthControlPointPosition(k)
            if node.GetNthControlPointPositionStatus(k) == node.PositionDefined
            else [np.nan] * 3
            for k in range(node.GetNumberOfControlPoints())
        ]
    )


@pytest.mark.parametrize("mm_per_unit", [1.0, 1000.0])
def test_list_looks_like_one_of_the_panel(scene, tmp_path, mm_per_unit):
    """Dots in the blue of good landmarks would belie what is expected."""
    landmarks = make_landmarks("file")
    landmarks = replace(
        landmarks, positions=landmarks.positions / mm_per_unit, mm_per_unit=mm_per_unit
    )
    path, *_ = write_landmarks(landmarks, tmp_path / "case_001.mrk.json")
    model = scene.AddNewNodeByClass("vtkMRMLModelNode", "Face")
    of_panel = create_list(scene, SCHEME, model, "Of the panel").node
    fit_glyphs(of_panel, mm_per_unit)

    node = slicer.util.loadMarkups(str(path))

    assert looks_of(node.GetDisplayNode()) == pytest.approx(looks_of(of_panel.GetDisplayNode()))


def looks_of(display):
    return [
        *(display.GetColor() + display.GetSelectedColor() + display.GetActiveColor()),
        *(display.GetUseGlyphScale(), display.GetGlyphSize(), display.GetTextScale()),
        *(display.GetGlyphType(), display.GetSnapMode(), display.GetOpacity()),
        *(display.GetPointLabelsVisibility(), display.GetPropertiesLabelVisibility()),
    ]


@pytest.mark.parametrize("frame", ["file", "LPS", "RAS"])
@pytest.mark.parametrize("name", STORAGE)
def test_convention_slicer_shows_written_landmarks_where_they_are(name, frame, scene, tmp_path):
    landmarks = make_landmarks(frame)
    path, *_ = write_landmarks(landmarks, tmp_path / f"case_001.{name}")

    node = load(scene, name, path)

    labels = [node.GetNthControlPointLabel(k) for k in range(node.GetNumberOfControlPoints())]
    assert labels == list(SCHEME.codes)
    expected = landmarks.to_frame("RAS").positions
    np.testing.assert_allclose(positions_ras(node), expected, atol=HALF_STEP)


def test_slicer_takes_a_missing_landmark_for_undefined(scene, tmp_path):
    landmarks = make_landmarks("LPS", missing=[MISSING])
    path, *_ = write_landmarks(landmarks, tmp_path / "case_001.mrk.json")

    node = load(scene, "mrk.json", path)

    expected = landmarks.to_frame("RAS").positions
    np.testing.assert_allclose(positions_ras(node), expected, atol=HALF_STEP)
    assert node.GetNumberOfDefinedControlPoints() == len(SCHEME) - 1


@pytest.mark.parametrize("name", STORAGE)
def test_list_that_slicer_saved_is_read(name, scene, tmp_path):
    landmarks = make_landmarks("RAS")
    path, *_ = write_landmarks(landmarks, tmp_path / f"case_001.{name}")
    node = load(scene, name, path)
    node.SetNthControlPointPosition(3, 1.0, -2.0, 3.5)
    node.UnsetNthControlPointPosition(MISSING)
    saved = tmp_path / f"saved.{name}"
    assert store(scene, name, saved).WriteData(node) == 1

    back = read_landmarks(saved)

    positions = landmarks.positions.copy()
    positions[3], positions[MISSING] = [1.0, -2.0, 3.5], np.nan
    np.testing.assert_allclose(back.to_frame("RAS").positions, positions, atol=2 * HALF_STEP)
    assert back.status[MISSING] == "undefined"
    assert back.specimen == "saved"


@pytest.mark.parametrize("name", STORAGE)
def test_point_that_slicer_calls_missing_is_missing(name, scene, tmp_path):
    node = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode")
    for number, code in enumerate(SCHEME.codes):
        node.AddControlPoint([number, 1.0, 2.0], code)
    node.UnsetNthControlPointPosition(3)
    node.SetNthControlPointPositionMissing(MISSING)
    path = tmp_path / f"list.{name}"
    assert store(scene, name, path).WriteData(node) == 1

    status = read_landmarks(path).status

    assert (status[3], status[MISSING]) == ("undefined", "missing")
    assert set(status[MISSING + 1 :]) == {"corrected"}


def test_unit_that_slicer_cannot_hold_stands_beside_the_fcsv(scene, tmp_path):
    meters = replace(make_landmarks("file"), mm_per_unit=1000.0)
    path, _ = write_landmarks(meters, tmp_path / "case_001.fcsv")

    node = load(scene, "fcsv", path)

    # On the mesh file as Slicer loads it, also in its own coordinates.
    expected = meters.positions * [-1.0, -1.0, 1.0]
    np.testing.assert_allclose(positions_ras(node), expected, atol=HALF_STEP)
    assert read_landmarks(path).mm_per_unit == 1000.0
