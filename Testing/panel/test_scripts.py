# SPDX-License-Identifier: Apache-2.0
"""The logic as scripts call it: what is given wrongly changes nothing and is told."""

from __future__ import annotations

import pytest
import slicer

from palnet.errors import FormatError, UnitError
from palnet_scenes import SAMPLES
from PALNetLandmarksLib.landmark_list import LandmarkList
from PALNetLandmarksLib.scan_unit import chosen_unit


@pytest.fixture
def logic(panel_factory):
    panel_factory()
    return slicer.util.getModuleLogic("PALNetLandmarks")


def test_code_that_is_given_as_a_text_is_not_read_letter_by_letter(logic, a_list, a_face):
    """The letters of "gn" are two other landmarks, whose corrections would be lost."""
    with pytest.raises(TypeError, match=r'list of codes, such as .*; got the text "gn"'):
        logic.detect(a_face, a_list.node, replace="gn")


def test_code_that_does_not_exist_is_told_with_those_that_do(logic, a_list, a_face):
    with pytest.raises(KeyError, match=r"no landmark 'nose'; it has tr, g, n, prn"):
        logic.detect(a_face, a_list.node, replace=["prn", "nose"])


@pytest.mark.parametrize("given", ["Face landmarks", slicer.vtkMRMLMarkupsCurveNode(), 3])
def test_what_is_no_point_list_is_told(logic, a_face, given):
    with pytest.raises(TypeError, match=r"markupsNode must be a vtkMRMLMarkupsFiducialNode, .*got"):
        logic.detect(a_face, given)


@pytest.mark.parametrize("call", ["detect", "startDetection", "createEmptyList", "chooseUnit"])
def test_what_is_no_model_of_the_scene_is_told(logic, scene, call):
    deleted = slicer.util.loadModel(str(SAMPLES / "example.ply"))
    scene.RemoveNode(deleted)
    n_nodes = scene.GetNumberOfNodes()
    more = ("mm",) if call == "chooseUnit" else ()

    with pytest.raises(TypeError, match="must be a vtkMRMLModelNode; got NoneType"):
        getattr(logic, call)(None, *more)
    with pytest.raises(ValueError, match="'example' is not in the scene"):
        getattr(logic, call)(deleted, *more)
    assert scene.GetNumberOfNodes() == n_nodes


def test_unit_that_does_not_exist_leaves_the_choice(logic, a_face):
    logic.chooseUnit(a_face, "in")

    with pytest.raises(UnitError, match="got 'inhc'"):
        logic.chooseUnit(a_face, "inhc")

    assert chosen_unit(a_face).name == "in"


def test_empty_list_has_the_landmarks_of_the_scheme_that_is_named(
    logic, a_face, a_small_scheme, a_small_scheme_file
):
    assert logic.createEmptyList(a_face).scheme.name == "palnet50"
    assert logic.createEmptyList(a_face, "ibug68").scheme.name == "ibug68"
    for given in (a_small_scheme, a_small_scheme_file, str(a_small_scheme_file)):
        assert logic.createEmptyList(a_face, given).scheme == a_small_scheme
    with pytest.raises(FormatError, match="ibug86"):
        logic.createEmptyList(a_face, "ibug86")


def test_run_that_is_finished_at_once_waits_for_its_result(logic, a_face):
    assert logic.startDetection(a_face).finish().status.count("detected") >= 45


def test_detections_in_a_row_leave_nothing_but_their_lists(logic, a_list, a_face, scene):
    before = [scene.GetNthNode(index) for index in range(scene.GetNumberOfNodes())]
    into_it = [logic.detect(a_face, a_list.node) for _ in range(3)]
    assert into_it == [a_list.node] * 3
    assert [scene.GetNthNode(index) for index in range(scene.GetNumberOfNodes())] == before

    made = logic.detect(a_face)

    after = [scene.GetNthNode(index) for index in range(scene.GetNumberOfNodes())]
    assert set(after) - set(before) == {made, made.GetDisplayNode()}
    assert LandmarkList(made).model_node is a_face
