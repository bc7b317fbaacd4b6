# SPDX-License-Identifier: Apache-2.0
"""The unit of a scan's numbers: chosen by the user, told by a detection, or by the size."""

from __future__ import annotations

import json
import math
import uuid
from dataclasses import dataclass

import numpy as np
import vtk
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from palnet.surface import (
    UNIT_NAMES,
    Unit,
    check_size,
    inspect_surface,
    parse_unit,
    plausible_units,
    prepare_surface,
)
from PALNetLandmarksLib.linking import linked_lists
from PALNetLandmarksLib.list_state import rescaled_unit
from PALNetLandmarksLib.models import world_matrix

# Millimeters in a unit of the model's own numbers, if the user has chosen it.
CHOICE_ATTRIBUTE = "PALNet.MillimetersPerUnit"
# A note about the scaling of a model. A scene that is saved and loaded again brings the note along,
# but with files of its own: the note counts in the session that made it only.
SCALE_ATTRIBUTE = "PALNet.ScaledToMillimeters"

CHOSEN, DETECTED, BY_SIZE = "chosen", "detected", "by size"

_SESSION = uuid.uuid4().hex
_SAME_SCALE = 1e-9
_SAME_UNIT = 1e-6


@dataclass(frozen=True)
class ScanUnit:
    """The unit of a scan's numbers where the user sees it, and who says so.

    Attributes
    ----------
    unit : Unit
        Of the scene's coordinates at the scan.
    source : {"chosen", "detected", "by size"}
        Who says so.
    others : tuple of str
        Names of other units that the size speaks for as well, if nothing else is known.
    """

    unit: Unit
    source: str
    others: tuple[str, ...] = ()


def find_unit(model_node, mesh):
    """Tell the unit of a scan.

    Parameters
    ----------
    model_node : vtkMRMLModelNode
        The scan.
    mesh : Mesh
        Its surface in world coordinates.

    Returns
    -------
    ScanUnit
        As chosen; else as it was detected last; else millimeters where the size allows them, which
        Slicer takes all numbers for; else the likeliest.

    Raises
    ------
    UnitError
        If the size fits no unit, or not the one that was chosen.
    """
    chosen = chosen_unit(model_node)
    if chosen is not None:
        check_size(mesh, chosen)
        return ScanUnit(chosen, CHOSEN)
    plausible = plausible_units(mesh)
    detected = [each for each in linked_lists(model_node) if each.detected is not None]
    if detected:
        unit = _named(detected[-1].mm_per_world_unit)
        if any(_is_same(unit, other) for other in plausible):
            return ScanUnit(unit, DETECTED)
    millimeters = [unit for unit in plausible if unit.mm_per_unit == 1.0]
    if millimeters:
        return ScanUnit(millimeters[0], BY_SIZE)
    return ScanUnit(plausible[0], BY_SIZE, tuple(unit.name for unit in plausible[1:]))


def chosen_unit(model_node):
    """Give the unit that the user has chosen for a scan.

    Parameters
    ----------
    model_node : vtkMRMLModelNode
        The scan.

    Returns
    -------
    Unit or None
        That of the scene's coordinates, which a transform may have scaled; None if none was chosen.
    """
    own = _chosen_mm_per_unit(model_node)
    return None if own is None else _named(rescaled_unit(own, world_matrix(model_node)))


def choose_unit(model_node, name):
    """Say the unit of a scan; it is kept with the model, and saved with the scene.

    Lists that were placed by hand on the scan follow; the landmarks of a detection are those of the
    unit that it was made in.

    Parameters
    ----------
    model_node : vtkMRMLModelNode
        The scan.
    name : str
        A name in `palnet.surface.UNIT_NAMES`, of the unit of the scene's coordinates; empty leaves
        it to the size again.
    """
    own = None
    if name:
        to_own = np.linalg.inv(world_matrix(model_node))
        own = f"{rescaled_unit(parse_unit(name).mm_per_unit, to_own):.9g}"
    model_node.SetAttribute(CHOICE_ATTRIBUTE, own)
    for landmarks in linked_lists(model_node):
        if name and landmarks.detected is None:
            landmarks.set_unit(parse_unit(name).mm_per_unit)


def was_detected_in_other_unit(model_node, unit):
    """Tell whether landmarks of a scan were detected in another unit than it has by now.

    Parameters
    ----------
    model_node : vtkMRMLModelNode
        The scan.
    unit : Unit
        Its unit.

    Returns
    -------
    bool
        True if they should be detected again.
    """
    detected = [each for each in linked_lists(model_node) if each.detected is not None]
    return any(not _is_same(unit, _named(each.mm_per_world_unit)) for each in detected)


def inspect_mesh(mesh, unit):
    """Look for holes, loose pieces and inverted normals; takes time, so for a worker thread.

    Parameters
    ----------
    mesh : Mesh
        The surface.
    unit : Unit
        The unit of its numbers.

    Returns
    -------
    tuple of Finding
        What is odd about it.
    """
    return inspect_surface(prepare_surface(mesh, unit))


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
    chosen = _chosen_mm_per_unit(model_node)
    if chosen is not None:
        model_node.SetAttribute(CHOICE_ATTRIBUTE, f"{chosen / factor:.9g}")


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


def _chosen_mm_per_unit(model_node):
    """Read the choice; one that no number speaks for, as in a scene edited by hand, is none."""
    try:
        value = float(model_node.GetAttribute(CHOICE_ATTRIBUTE) or "nan")
    except ValueError:
        return None
    return value if 0.0 < value < math.inf else None


def _named(mm_per_unit):
    """Give the unit its name, if it has one."""
    named = [parse_unit(name) for name in UNIT_NAMES]
    own = Unit(f"{mm_per_unit:g} mm", mm_per_unit)
    return next((unit for unit in named if _is_same(unit, own)), own)


def _is_same(unit, other):
    return math.isclose(unit.mm_per_unit, other.mm_per_unit, rel_tol=_SAME_UNIT)
