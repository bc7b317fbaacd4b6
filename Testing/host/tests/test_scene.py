# SPDX-License-Identifier: Apache-2.0
"""The scene is Slicer's own and complete."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import vtk

LPS = slicer.vtkMRMLStorageNode.CoordinateSystemLPS
RAS = slicer.vtkMRMLStorageNode.CoordinateSystemRAS


@pytest.fixture
def a_point_list(scene):
    node = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "Points")
    node.AddControlPoint(vtk.vtkVector3d(1.0, 2.0, 3.0), "one")
    node.AddControlPoint(vtk.vtkVector3d(-4.0, 5.0, 6.5), "two")
    node.UnsetNthControlPointPosition(1)
    return node


@pytest.fixture
def a_model(scene):
    sphere = vtk.vtkSphereSource()
    sphere.SetCenter(10, 20, 30)
    sphere.Update()
    node = scene.AddNewNodeByClass("vtkMRMLModelNode", "Ball")
    node.SetAndObservePolyData(sphere.GetOutput())
    node.CreateDefaultDisplayNodes()
    return node


@pytest.mark.parametrize("name", ["points.mrk.json", "points.fcsv"])
def test_point_list_comes_back_from_its_file(a_point_list, tmp_path, name):
    path = tmp_path / name

    assert slicer.util.saveNode(a_point_list, str(path), properties={})
    again = slicer.util.loadMarkups(str(path))

    assert again.GetNumberOfControlPoints() == 2
    assert again.GetNthControlPointPositionStatus(1) == again.PositionUndefined
    np.testing.assert_allclose(again.GetNthControlPointPositionWorld(0), (1, 2, 3), atol=1e-3)


def test_point_list_saved_in_another_format_has_one_storage_node(a_point_list, tmp_path):
    for name in ("points.fcsv", "points.mrk.json"):
        slicer.util.saveNode(a_point_list, str(tmp_path / name), properties={})

    storages = slicer.util.getNodesByClass("vtkMRMLMarkupsStorageNode")
    assert [node.GetClassName() for node in storages] == ["vtkMRMLMarkupsJsonStorageNode"]


def test_bundle_brings_nodes_and_hierarchy_back(a_point_list, a_model, tmp_path):
    path = str(tmp_path / "scene.mrb")
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    hierarchy.SetItemParent(
        hierarchy.GetItemByDataNode(a_point_list), hierarchy.GetItemByDataNode(a_model)
    )
    assert slicer.util.saveScene(path, properties={})

    slicer.mrmlScene.Clear(False)
    slicer.util.loadScene(path, properties={})

    points = slicer.util.getNode("Points")
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    parent = hierarchy.GetItemParent(hierarchy.GetItemByDataNode(points))
    assert points.GetNumberOfControlPoints() == 2
    assert hierarchy.GetItemDataNode(parent) is slicer.util.getNode("Ball")
    assert hierarchy.GetNumberOfItems() == 2


def test_removed_node_leaves_the_hierarchy(a_model):
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    item = hierarchy.GetItemByDataNode(a_model)

    slicer.mrmlScene.RemoveNode(a_model)

    assert hierarchy.GetItemDataNode(item) is None


def test_model_file_is_read_as_lps_unless_told(a_model, tmp_path):
    path = str(tmp_path / "ball.ply")
    writer = vtk.vtkPLYWriter()
    writer.SetInputData(a_model.GetPolyData())
    writer.SetFileName(path)
    writer.Write()

    as_lps = slicer.util.loadModel(path)
    as_ras = slicer.util.loadNodeFromFile(path, "ModelFile", {"coordinateSystem": RAS})

    np.testing.assert_allclose(as_lps.GetPolyData().GetCenter(), (-10, -20, 30), atol=1e-3)
    np.testing.assert_allclose(as_ras.GetPolyData().GetCenter(), (10, 20, 30), atol=1e-3)


def test_node_of_a_bundle_without_an_item_gets_one(a_model, tmp_path):
    path = str(tmp_path / "scene.mrml")
    slicer.util.saveNode(a_model, str(tmp_path / "ball.vtp"), properties={})
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    hierarchy.RemoveItem(hierarchy.GetItemByDataNode(a_model), False, False)
    slicer.util.saveScene(path, properties={})

    slicer.util.loadScene(path, properties={})

    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    assert hierarchy.GetItemByDataNode(slicer.util.getNode("Ball"))


def test_file_that_is_none_raises(scene, tmp_path, hidden_failures):
    with pytest.raises(RuntimeError, match="Failed to load node from file"):
        slicer.util.loadMarkups(str(tmp_path / "absent.mrk.json"))

    hidden_failures.take_vtk_errors("Error opening the file")


def test_scene_of_the_last_test_is_gone(scene):
    assert slicer.util.getNodesByClass("vtkMRMLModelNode") == []
