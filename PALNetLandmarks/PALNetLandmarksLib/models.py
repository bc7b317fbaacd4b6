# SPDX-License-Identifier: Apache-2.0
"""Model nodes: their surface as the user sees it, its unit, and scaling to millimeters."""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from palnet.errors import MeshError
from palnet.surface import Mesh, Unit, inspect_surface, plausible_units, prepare_surface

# How often a model was scaled to millimeters, as a factor: the file's numbers times this.
SCALE_ATTRIBUTE = "PALNet.ScaledToMillimeters"


def world_transform(node):
    """Give the transform from a node's own coordinates to the world.

    Parameters
    ----------
    node : vtkMRMLTransformableNode
        Model or point list.

    Returns
    -------
    vtkGeneralTransform
        The identity where the node has no parent transform.
    """
    transform = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(
        node.GetParentTransformNode(), None, transform
    )
    return transform


def to_local(node, positions):
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


def world_surface(model_node):
    """Give the surface of a model where the user sees it.

    Parameters
    ----------
    model_node : vtkMRMLModelNode
        Any model.

    Returns
    -------
    vtkPolyData
        In world coordinates (RAS); the model's own object if no transform moves it.
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


def state_of_model(model_node):
    """Tell apart two states of a model, so that a result is not written onto another surface.

    Parameters
    ----------
    model_node : vtkMRMLModelNode
        Any model.

    Returns
    -------
    tuple
        Equal as long as neither its points nor its place in the world change.
    """
    poly = model_node.GetPolyData()
    transform = world_transform(model_node)
    corners = ((0.0, 0.0, 0.0), (100.0, 0.0, 0.0), (0.0, 100.0, 0.0), (0.0, 0.0, 100.0))
    return (
        poly.GetPoints().GetMTime() if poly is not None and poly.GetPoints() is not None else 0,
        *(transform.TransformPoint(corner) for corner in corners),
    )


def mesh_from_model(model_node):
    """Copy the surface of a model out of the scene, where the user sees it.

    Convention: world coordinates of Slicer (RAS), parent transforms applied.

    Parameters
    ----------
    model_node : vtkMRMLModelNode
        A surface model.

    Returns
    -------
    Mesh
        Arrays of its own, so that a worker thread may use them.

    Raises
    ------
    MeshError
        If the model is empty or holds no triangles.
    """
    poly = world_surface(model_node)
    if poly.GetNumberOfPoints() == 0:
        msg = (
            f"The model '{model_node.GetName()}' is empty: its file could not be read. "
            "Export the scan again as OBJ, PLY or STL."
        )
        raise MeshError(msg)
    triangles = _triangles(poly)
    if not len(triangles):
        msg = (
            f"The model '{model_node.GetName()}' has points but no triangles. "
            "Export the scan as a surface, not as a point cloud."
        )
        raise MeshError(msg)
    points = vtk_to_numpy(poly.GetPoints().GetData())
    name = model_node.GetName() if model_node.GetName().isprintable() else ""
    return Mesh(points, triangles, name=name or "model", space="RAS")


def _triangles(poly):
    """Take the triangles out; polygons and strips are cut first."""
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


def likely_unit(mesh):
    """Give the unit that the size of a mesh speaks for.

    Parameters
    ----------
    mesh : Mesh
        A surface in scene coordinates.

    Returns
    -------
    Unit
        Millimeters where they are possible: that is what Slicer takes numbers for.

    Raises
    ------
    UnitError
        If the size fits no unit.
    """
    units = plausible_units(mesh)
    millimeters = [unit for unit in units if unit.mm_per_unit == 1.0]
    return millimeters[0] if millimeters else units[0]


def inspect_mesh(mesh):
    """Look for holes, loose pieces and inverted normals; takes time, so for a worker thread.

    Parameters
    ----------
    mesh : Mesh
        The surface.

    Returns
    -------
    tuple of Finding
        What is odd about it.
    """
    return inspect_surface(prepare_surface(mesh, likely_unit(mesh)))


def size_mm(mesh, unit: Unit):
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


def model_scale(model_node):
    """Tell by how much a model was scaled since it was loaded.

    Parameters
    ----------
    model_node : vtkMRMLModelNode
        The model.

    Returns
    -------
    float
        1.0 if it never was.
    """
    return float(model_node.GetAttribute(SCALE_ATTRIBUTE) or 1.0)


def scale_model(model_node, factor):
    """Scale the points of a model round the origin and note it; the inverse factor undoes it.

    Convention: the points themselves change (hardened), the parent transform does not.

    Parameters
    ----------
    model_node : vtkMRMLModelNode
        The model.
    factor : float
        What its coordinates are multiplied with.
    """
    source = model_node.GetPolyData()
    scaled = vtk.vtkPolyData()
    scaled.ShallowCopy(source)
    points = vtk.vtkPoints()
    numbers = vtk_to_numpy(source.GetPoints().GetData()).astype(np.float64) * factor
    points.SetData(numpy_to_vtk(numbers, deep=True))
    scaled.SetPoints(points)
    model_node.SetAndObservePolyData(scaled)
    total = model_scale(model_node) * factor
    model_node.SetAttribute(SCALE_ATTRIBUTE, None if abs(total - 1) < 1e-9 else repr(total))
