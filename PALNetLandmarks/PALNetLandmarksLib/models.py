# SPDX-License-Identifier: Apache-2.0
"""Model nodes: their surface as the user sees it, its unit, and scaling to millimeters."""

from __future__ import annotations

import json
import uuid

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from palnet.errors import MeshError
from palnet.surface import Mesh, Unit, inspect_surface, plausible_units, prepare_surface

# A note about the scaling of a model. A scene that is saved and loaded again brings the note along,
# but with files of its own: the note counts in the session that made it only.
SCALE_ATTRIBUTE = "PALNet.ScaledToMillimeters"

_SESSION = uuid.uuid4().hex
_SAME_SCALE = 1e-9


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


def world_matrix(node):
    """Give the transform from a node's own coordinates to the world as a matrix.

    Parameters
    ----------
    node : vtkMRMLTransformableNode
        Model or point list.

    Returns
    -------
    ndarray of shape (4, 4)
        Applied to column vectors from the left; the linear part at the origin of a warp.
    """
    transform = world_transform(node)
    origin = np.array(transform.TransformPoint((0.0, 0.0, 0.0)))
    matrix = np.eye(4)
    for column, unit in enumerate(np.eye(3)):
        matrix[:3, column] = np.array(transform.TransformPoint(tuple(unit))) - origin
    matrix[:3, 3] = origin
    return matrix


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
        Equal as long as neither its points, nor its triangles, nor its place in the world change.
    """
    poly = model_node.GetPolyData()
    parts = () if poly is None else (poly.GetPoints(), poly.GetPolys(), poly.GetStrips())
    transform = world_transform(model_node)
    corners = ((0.0, 0.0, 0.0), (100.0, 0.0, 0.0), (0.0, 100.0, 0.0), (0.0, 0.0, 100.0))
    return (
        *(0 if part is None else part.GetMTime() for part in parts),
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
        If the model is empty or damaged, or holds no triangles.
    """
    poly = world_surface(model_node)
    if poly.GetNumberOfPoints() == 0:
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
        return Mesh(points, triangles, name=name or "model", space="RAS")
    except ValueError as err:
        msg = _("The model '{name}' is damaged: {why} Export the scan again.")
        raise MeshError(msg.format(name=model_node.GetName(), why=err)) from err


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
    """Tell by how much the points of a model differ from those of its file.

    Convention: the file's numbers times this are the model's.

    Parameters
    ----------
    model_node : vtkMRMLModelNode
        The model.

    Returns
    -------
    float
        1.0 if it was never scaled here, or was saved or changed otherwise since.
    """
    note = _scale_note(model_node)
    return note["factor"] if note else 1.0


def is_as_its_file(model_node):
    """Tell whether the points of a model are those of its file, but for `model_scale`.

    Parameters
    ----------
    model_node : vtkMRMLModelNode
        The model.

    Returns
    -------
    bool
        False if a transform was hardened, say, and the model not saved since.
    """
    note = _scale_note(model_node)
    return note["was_as_its_file"] if note else not model_node.GetModifiedSinceRead()


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
    total, was_as_its_file = model_scale(model_node) * factor, is_as_its_file(model_node)
    source = model_node.GetPolyData()
    scaled = vtk.vtkPolyData()
    scaled.ShallowCopy(source)
    points = vtk.vtkPoints()
    numbers = vtk_to_numpy(source.GetPoints().GetData()).astype(np.float64) * factor
    points.SetData(numpy_to_vtk(numbers, deep=True))
    scaled.SetPoints(points)
    model_node.SetAndObservePolyData(scaled)
    note = {
        "factor": 1.0 if abs(total - 1.0) < _SAME_SCALE else total,
        "was_as_its_file": was_as_its_file,
        **_present_points(model_node),
    }
    model_node.SetAttribute(SCALE_ATTRIBUTE, json.dumps(note))


def _scale_note(model_node):
    """Read the note of a scaling, if it is about the points and the file as they are now."""
    note = json.loads(model_node.GetAttribute(SCALE_ATTRIBUTE) or "{}")
    present = _present_points(model_node)
    return note if all(note.get(key) == value for key, value in present.items()) else None


def _present_points(model_node):
    """Identify the points that a model has at this moment, and when its file was last in step."""
    storage, poly = model_node.GetStorageNode(), model_node.GetPolyData()
    has_points = poly is not None and poly.GetPoints() is not None
    return {
        "session": _SESSION,
        "points": poly.GetPoints().GetMTime() if has_points else 0,
        "stored": storage.GetStoredTime().GetMTime() if storage is not None else 0,
    }
