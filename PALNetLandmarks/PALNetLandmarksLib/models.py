# SPDX-License-Identifier: Apache-2.0
"""Model nodes: their transforms to the world, and their surfaces in world coordinates."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _
from vtk.util.numpy_support import vtk_to_numpy

from palnet.errors import MeshError
from palnet.surface import (
    inspect_surface,
    leave_out_interior,
    mesh_without_lost,
    prepare_surface,
)
from PALNetLandmarksLib.list_state import scale_of
from PALNetLandmarksLib.model_colors import describe_missing_image

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from palnet.surface import Finding, Mesh, Unit

# A scale within this range is that of a warped face; beyond it, the transform changes the unit.
_NO_UNIT = 0.8, 1.25


def check_model_node(node: object) -> None:
    """Check that a node given by a script is a model node of a scene.

    Parameters
    ----------
    node : object
        The node.

    Raises
    ------
    TypeError
        If it is something else; the message says how to get one.
    ValueError
        If it was deleted, or never added to a scene.
    """
    if not isinstance(node, slicer.vtkMRMLModelNode):
        msg = _(
            "modelNode must be a vtkMRMLModelNode; got {kind}. Load the scan as a model, e.g. by "
            "slicer.util.loadModel(path)."
        )
        raise TypeError(msg.format(kind=type(node).__name__))
    if node.GetScene() is None:
        msg = _(
            "The model '{name}' is not in the scene: it was deleted, or never added. Load the scan "
            "again, or add it by slicer.mrmlScene.AddNode(modelNode)."
        )
        raise ValueError(msg.format(name=node.GetName()))


def world_transform(node: slicer.vtkMRMLTransformableNode) -> vtk.vtkGeneralTransform:
    """Return the transform from a node's own coordinates to the world.

    Parameters
    ----------
    node : vtkMRMLTransformableNode
        Model or point list.

    Returns
    -------
    vtkGeneralTransform
        The identity if the node has no parent transform.
    """
    transform = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(
        node.GetParentTransformNode(), None, transform
    )
    return transform


def name_of_scan(model_node: slicer.vtkMRMLModelNode) -> str:
    """Return a model's name without the number that Slicer adds to make names unique.

    Parameters
    ----------
    model_node : vtkMRMLModelNode
        Any model.

    Returns
    -------
    str
        ``case_001`` for a model ``case_001_1`` that was read from ``case_001.ply``.
    """
    name, storage = model_node.GetName() or "", model_node.GetStorageNode()
    stem = Path((storage and storage.GetFileName()) or "").stem
    number = name.removeprefix(f"{stem}_")
    return stem if stem and number != name and number.isdecimal() else name


def world_matrix(node: slicer.vtkMRMLTransformableNode) -> NDArray[np.float64]:
    """Return the transform from a node's own coordinates to the world as a matrix.

    Parameters
    ----------
    node : vtkMRMLTransformableNode
        Model or point list.

    Returns
    -------
    ndarray of shape (4, 4)
        Applied to column vectors from the left. For a warp, the linear part at the origin without
        its local scale of a few percent: a warp does not change the unit.
    """
    transform = world_transform(node)
    origin = np.array(transform.TransformPoint((0.0, 0.0, 0.0)))
    matrix = np.eye(4)
    for column, unit in enumerate(np.eye(3)):
        matrix[:3, column] = np.array(transform.TransformPoint(tuple(unit))) - origin
    if is_warped(node) and _NO_UNIT[0] < scale_of(matrix) < _NO_UNIT[1]:
        matrix[:3, :3] /= scale_of(matrix)
    matrix[:3, 3] = origin
    return matrix


def _warp_time(node: slicer.vtkMRMLTransformableNode) -> tuple[int, ...]:
    """Return when a warp of a node last changed; it may have changed between all sampled points."""
    parent = node.GetParentTransformNode()
    return (parent.GetTransformToWorldMTime(),) if is_warped(node) else ()


def is_warped(node: slicer.vtkMRMLTransformableNode) -> bool:
    """Return whether a node is under a nonlinear transform.

    Parameters
    ----------
    node : vtkMRMLTransformableNode
        Model or point list.

    Returns
    -------
    bool
        True if so.
    """
    parent = node.GetParentTransformNode()
    return parent is not None and not parent.IsTransformToWorldLinear()


def to_local(node: slicer.vtkMRMLTransformableNode, positions: ArrayLike) -> NDArray[np.float64]:
    """Convert world coordinates to a node's own.

    Parameters
    ----------
    node : vtkMRMLTransformableNode
        Model or point list.
    positions : array_like of shape (n, 3)
        RAS, NaN where there is none.

    Returns
    -------
    ndarray of shape (n, 3)
        Coordinates below the node's parent transform.
    """
    inverse = world_transform(node).GetInverse()
    rows = np.array(positions, dtype=float)
    for index in np.flatnonzero(~np.isnan(rows).any(axis=1)):
        rows[index] = inverse.TransformPoint(rows[index])
    return rows


def world_surface(model_node: slicer.vtkMRMLModelNode) -> vtk.vtkPolyData:
    """Return the surface of a model in world coordinates.

    Parameters
    ----------
    model_node : vtkMRMLModelNode
        Any model.

    Returns
    -------
    vtkPolyData
        In RAS; the model's own object if no transform applies.
    """
    poly = model_node.GetPolyData()
    if poly is None:
        return vtk.vtkPolyData()
    if model_node.GetParentTransformNode() is None:
        return poly
    mover = vtk.vtkTransformPolyDataFilter()
    mover.SetInputData(poly)
    mover.SetTransform(world_transform(model_node))
    mover.Update()
    return mover.GetOutput()


def state_of_model(model_node: slicer.vtkMRMLModelNode) -> tuple[object, ...]:
    """Return a key of a model's state, so that a result is not written onto another surface.

    Parameters
    ----------
    model_node : vtkMRMLModelNode
        Any model.

    Returns
    -------
    tuple
        Equal as long as its points, triangles and place in the world do not change.
    """
    poly = model_node.GetPolyData()
    parts = () if poly is None else (poly.GetPoints(), poly.GetPolys(), poly.GetStrips())
    transform = world_transform(model_node)
    corners = ((0.0, 0.0, 0.0), (100.0, 0.0, 0.0), (0.0, 100.0, 0.0), (0.0, 0.0, 100.0))
    return (
        *(0 if part is None else part.GetMTime() for part in parts),
        *(transform.TransformPoint(corner) for corner in corners),
        *_warp_time(model_node),
    )


def mesh_from_model(model_node: slicer.vtkMRMLModelNode) -> Mesh:
    """Copy the surface of a model from the scene.

    Convention: world coordinates of Slicer (RAS), parent transforms applied.

    Parameters
    ----------
    model_node : vtkMRMLModelNode
        A surface model.

    Returns
    -------
    Mesh
        With arrays of its own, so that a worker thread may use them, and without colors. The
        finding "texture" says that the image with the color is not there.

    Raises
    ------
    MeshError
        If the model is empty or damaged, or has no triangles.
    """
    mesh = _copy_surface(model_node)
    return replace(mesh, findings=(*mesh.findings, *describe_missing_image(model_node)))


def _copy_surface(model_node: slicer.vtkMRMLModelNode) -> Mesh:
    """Copy points and triangles in world coordinates."""
    poly = world_surface(model_node)
    if poly.GetNumberOfPoints() == 0:
        storage = model_node.GetStorageNode()
        if storage is None or not storage.GetFileName():
            msg = _("The model '{name}' is empty. Choose the model of a scan.")
        else:
            msg = _(
                "The model '{name}' is empty: its file could not be read. "
                "Export the scan again as OBJ, PLY or STL."
            )
        raise MeshError(msg.format(name=model_node.GetName()))
    triangles = _triangles(poly)
    if not len(triangles):
        msg = _(
            "The model '{name}' has points but no triangles. "
            "Export the scan as a surface, not as a point cloud."
        )
        raise MeshError(msg.format(name=model_node.GetName()))
    points = vtk_to_numpy(poly.GetPoints().GetData())
    name = model_node.GetName() if model_node.GetName().isprintable() else ""
    try:
        return mesh_without_lost(points, triangles, name=name or "model", space="RAS")
    except ValueError as err:
        msg = _("The model '{name}' is damaged: {why}. Export the scan again.")
        raise MeshError(msg.format(name=model_node.GetName(), why=str(err).rstrip("."))) from err


def _triangles(poly: vtk.vtkPolyData) -> NDArray[np.integer]:
    """Extract the triangles, splitting polygons and strips first."""
    polys = poly.GetPolys()
    is_cut = polys.GetNumberOfCells() * 3 == polys.GetNumberOfConnectivityIds()
    if poly.GetNumberOfStrips() or not is_cut or polys.GetMaxCellSize() != 3:
        cutter = vtk.vtkTriangleFilter()
        cutter.PassVertsOff()
        cutter.PassLinesOff()
        cutter.SetInputData(poly)
        cutter.Update()
        polys = cutter.GetOutput().GetPolys()
    return vtk_to_numpy(polys.GetConnectivityArray()).reshape(-1, 3)


def inspect_mesh(mesh: Mesh, unit: Unit) -> tuple[Finding, ...]:
    """Check for holes, loose pieces, inverted normals and geometry inside the head.

    This takes time; call it in a worker thread.

    Parameters
    ----------
    mesh : Mesh
        The surface.
    unit : Unit
        The unit of its numbers.

    Returns
    -------
    tuple of Finding
        The findings.
    """
    return inspect_surface(prepare_surface(leave_out_interior(mesh), unit))


def size_mm(mesh: Mesh, unit: Unit) -> tuple[float, ...]:
    """Measure the bounding box of a mesh.

    Parameters
    ----------
    mesh : Mesh
        The surface.
    unit : Unit
        The unit of its numbers.

    Returns
    -------
    tuple of float
        Width, depth and height in millimeters along the scene's axes.
    """
    extent = (mesh.points.max(axis=0) - mesh.points.min(axis=0)) * unit.mm_per_unit
    return tuple(float(value) for value in extent)
