# SPDX-License-Identifier: Apache-2.0
"""Lists with a lab's own landmarks, whose scheme does not come with the module."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import slicer

from palnet.exchange import FORMATS, FormatWarning, read_landmarks, write_landmarks
from palnet.landmarks import LandmarkSet
from palnet.scheme import Angle, Distance
from palnet_models import LAB_CODES, lab_scheme
from palnet_scenes import SAMPLES, a_record, measured, saved_and_loaded
from PALNetLandmarksLib import list_scheme
from PALNetLandmarksLib.landmark_list import LandmarkList, is_landmark_list
from PALNetLandmarksLib.list_creation import create_list
from PALNetLandmarksLib.list_scheme import SCHEME_NAME, learn_scheme
from PALNetLandmarksLib.list_storage import write_text
from PALNetLandmarksLib.save_export import export


@pytest.fixture(autouse=True)
def nothing_learned(monkeypatch):
    monkeypatch.setattr(list_scheme, "_learned", {})


@pytest.fixture
def the_lab_scheme():
    return lab_scheme()


@pytest.fixture
def a_lab_list(a_face, the_lab_scheme):
    made = create_list(a_face.GetScene(), the_lab_scheme, a_face, "Lab landmarks")
    made.set_detection(lab_landmarks(the_lab_scheme), a_record())
    return made


def lab_landmarks(scheme, status="detected"):
    """Return the lab's landmarks of the bundled face, in RAS."""
    truth = read_landmarks(SAMPLES / "example.landmarks.csv").to_frame("RAS")
    positions = truth.positions[[truth.scheme.index_of(code) for code in scheme.codes]]
    errors = np.linspace(0.5, 6.0, len(scheme))
    return LandmarkSet(
        scheme, positions, (status,) * len(scheme), errors, 1.0, "RAS", "Face", "RAS"
    )


def test_list_names_and_defines_the_lab_s_landmarks(a_lab_list):
    node = a_lab_list.node

    labels = [node.GetNthControlPointLabel(i) for i in range(len(LAB_CODES))]
    assert labels == list(LAB_CODES)
    assert node.GetNthControlPointDescription(1) == "The lab's own Pronasale."
    assert a_lab_list.status == ("detected",) * len(LAB_CODES)


@pytest.mark.parametrize("suffix", [".mrk.json", ".mrb"])
def test_list_comes_back_with_its_scheme(a_lab_list, the_lab_scheme, tmp_path, suffix):
    expected = (a_lab_list.status, a_lab_list.record, a_lab_list.positions)

    again = LandmarkList(saved_and_loaded(a_lab_list.node, tmp_path / f"saved{suffix}"))

    assert again.scheme == the_lab_scheme
    assert (again.status, again.record) == expected[:2]
    np.testing.assert_allclose(again.positions, expected[2], atol=1e-3)


def test_library_reads_the_scheme_that_slicer_saved(a_lab_list, the_lab_scheme, tmp_path):
    path = tmp_path / "face.mrk.json"
    assert slicer.util.saveNode(a_lab_list.node, str(path), properties={})

    read = read_landmarks(path)

    assert read.scheme == the_lab_scheme
    assert read.status == a_lab_list.status


def test_library_reads_a_list_with_a_label_that_somebody_changed(a_list, tmp_path):
    """A list with a stored scheme is identified by it; the library reads the file like Slicer."""
    a_list.node.SetNthControlPointLabel(2, "Nasion")
    landmarks = LandmarkList(a_list.node)
    path = tmp_path / "face.mrk.json"
    assert slicer.util.saveNode(landmarks.node, str(path), properties={})

    with pytest.warns(
        FormatWarning, match="control point 'Nasion' is taken for n, since it is at that place"
    ):
        read, same = read_landmarks(path), read_landmarks(path, "palnet50")

    assert read.scheme.codes == landmarks.scheme.codes
    assert read.status == landmarks.status == same.status
    world = landmarks.landmark_set().to_frame("LPS").positions
    np.testing.assert_allclose(read.positions, world, atol=1e-3)
    np.testing.assert_allclose(read.expected_error_mm, landmarks.expected_errors, atol=1e-5)


def test_list_that_the_library_wrote_is_taken_up(scene, the_lab_scheme, tmp_path):
    path = tmp_path / "face.mrk.json"
    write_landmarks(lab_landmarks(the_lab_scheme), path)

    landmarks = LandmarkList(slicer.util.loadMarkups(str(path)))

    assert landmarks.scheme == the_lab_scheme
    assert landmarks.status == ("detected",) * len(LAB_CODES)


def test_renamed_label_makes_it_no_other_list(a_lab_list, the_lab_scheme):
    a_lab_list.node.SetNthControlPointLabel(0, "bridge")

    assert LandmarkList(a_lab_list.node).scheme == the_lab_scheme


def test_list_with_one_point_less_is_no_landmark_list(a_lab_list):
    a_lab_list.node.SetFixedNumberOfControlPoints(False)
    a_lab_list.node.RemoveNthControlPoint(0)

    assert not is_landmark_list(a_lab_list.node)


@pytest.mark.parametrize("text", ["{", "[]", '{"scheme": "lab12"}', "[" * 100_000])
def test_damaged_scheme_makes_it_no_landmark_list(a_lab_list, text):
    write_text(a_lab_list.node, SCHEME_NAME, text)

    assert not is_landmark_list(a_lab_list.node)


def test_damaged_scheme_does_no_harm_where_the_labels_say_it(a_list):
    write_text(a_list.node, SCHEME_NAME, "{")

    assert LandmarkList(a_list.node).scheme.is_shipped


def test_shipped_scheme_is_not_carried(a_list):
    assert a_list.node.GetMeasurement(SCHEME_NAME) is None


def test_labels_alone_tell_a_scheme_whose_model_was_read(scene, the_lab_scheme):
    node = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "From elsewhere")
    for code in LAB_CODES:
        node.AddControlPoint([1.0, 2.0, 3.0], code)
    assert not is_landmark_list(node)

    learn_scheme(the_lab_scheme)

    assert LandmarkList(node).scheme == the_lab_scheme
    list_scheme._learned.clear()
    assert LandmarkList(node).scheme == the_lab_scheme


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_takes_the_lab_s_landmarks_and_scheme(
    a_lab_list, the_lab_scheme, tmp_path, name
):
    path = tmp_path / f"face{FORMATS[name].suffix}"

    export(a_lab_list, path, name, "LPS")

    read = read_landmarks(path)
    assert read.scheme == the_lab_scheme
    expected = a_lab_list.world_positions * [-1, -1, 1]
    np.testing.assert_allclose(read.to_frame("LPS").positions, expected, atol=1e-3)


def test_scheme_without_a_plan_is_told_and_its_own_measurements_are_taken(a_face):
    distance, angle = Distance("ex_r", "ex_l"), Angle("ex_r", "prn", "ex_l")
    scheme = lab_scheme(distances=(distance, distance), angles=(angle,))
    made = create_list(a_face.GetScene(), scheme, a_face, "Measured")
    landmarks = lab_landmarks(scheme)
    made.set_detection(landmarks, a_record())

    taken, remark = measured(made)

    assert remark.startswith("No measurement plan comes with the scheme lab12.")
    assert "distances and angles that the scheme itself names (2) were" in remark
    right, left = (landmarks.positions[LAB_CODES.index(code)] for code in ("ex_r", "ex_l"))
    (width,) = [entry for entry in taken if entry.code == "ex_r-ex_l"]
    assert width.value == pytest.approx(np.linalg.norm(right - left), abs=1e-6)
    assert {entry.kind for entry in taken} == {"distance", "angle", "asymmetry"}


def test_scheme_that_names_nothing_has_its_asymmetry_only(a_lab_list):
    taken, remark = measured(a_lab_list)

    assert "the scheme names no distances or angles" in remark
    assert {entry.kind for entry in taken} == {"asymmetry"}


def test_scheme_of_a_shipped_name_but_other_landmarks_is_its_own(a_face):
    scheme = replace(lab_scheme(), name="palnet50")

    made = create_list(a_face.GetScene(), scheme, a_face, "Named alike")

    assert LandmarkList(made.node).scheme == scheme
    assert made.node.GetMeasurement(SCHEME_NAME) is not None
