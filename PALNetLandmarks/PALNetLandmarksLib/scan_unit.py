# SPDX-License-Identifier: Apache-2.0
"""The unit of a scan's numbers, and who says it: the user, its landmarks, or its size."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

import numpy as np

from palnet.errors import PalnetError
from palnet.surface import (
    UNIT_NAMES,
    Unit,
    check_size,
    parse_unit,
    plausible_units,
)
from PALNetLandmarksLib.linking import lies_elsewhere, linked_lists
from PALNetLandmarksLib.list_state import rescaled_unit
from PALNetLandmarksLib.list_storage import says_unit
from PALNetLandmarksLib.models import mesh_from_model, world_matrix

# What the user has chosen: millimeters in a unit of the model's own numbers, and what tells whether
# these have been scaled since, as by a hardened transform.
CHOICE_ATTRIBUTE = "PALNet.Unit"

CHOSEN, OF_LANDMARKS, BY_SIZE = "chosen", "of its landmarks", "by size"

# Coordinates are single floats.
_SAME_LENGTH = 1e-4
# Units are 2.5 times apart at least; a hardened transform may have scaled a scan by a little.
_SAME_UNIT = 0.2


@dataclass(frozen=True)
class ScanUnit:
    """The unit of a scan's numbers where the user sees it, and who says so.

    Attributes
    ----------
    unit : Unit
        Of the scene's coordinates at the scan.
    source : {"chosen", "of its landmarks", "by size"}
        Who says so.
    others : tuple of str
        Names of other units that the size speaks for as well, if nothing else is known.
    """

    unit: Unit
    source: str
    others: tuple[str, ...] = ()


def find_unit(model_node, mesh, *, of_all_lists=True):
    """Tell the unit of a scan.

    Parameters
    ----------
    model_node : vtkMRMLModelNode
        The scan.
    mesh : Mesh
        Its surface in world coordinates.
    of_all_lists : bool
        Whether lists that were placed by hand tell it too, or those of a detection only.

    Returns
    -------
    ScanUnit
        As chosen; else as the newest list that lies on it has it; else millimeters where the size
        allows them, which Slicer takes all numbers for; else the likeliest.

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
    by_size = _usual_of(plausible)
    for landmarks in reversed(_lists_that_tell(model_node)):
        unit = _named(landmarks.mm_per_world_unit)
        if not (of_all_lists or landmarks.detected is not None) or not _fits(unit, plausible):
            continue
        # Whether the list lies on the scan takes its time, and tells nothing new of the usual unit.
        if _is_same(unit, by_size.unit) or not lies_elsewhere(landmarks, model_node):
            return ScanUnit(unit, OF_LANDMARKS)
    return by_size


def _usual_of(plausible):
    """Give the unit that Slicer takes all numbers for if it is among them, else the likeliest."""
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
        That of the scene's coordinates, whatever has scaled them since; None if none was chosen.
    """
    own = follow_choice(model_node)
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
    model_node.SetAttribute(CHOICE_ATTRIBUTE, None)
    if name:
        to_own = np.linalg.inv(world_matrix(model_node))
        keep_choice(model_node, rescaled_unit(parse_unit(name).mm_per_unit, to_own))
    try:
        found = find_unit(model_node, mesh_from_model(model_node), of_all_lists=False)
    except PalnetError:
        return  # it fits no face: the panel says so, and nothing follows it
    for landmarks in linked_lists(model_node):
        if landmarks.detected is None and not lies_elsewhere(landmarks, model_node):
            landmarks.set_unit(found.unit.mm_per_unit)


def adopt_unit(landmarks):
    """Give a list that was placed by hand the unit of its scan, where nothing speaks for its own.

    Parameters
    ----------
    landmarks : LandmarkList
        One that says no unit, or has no landmark yet, or whose scan has a chosen unit by now.
    """
    model = landmarks.model_node
    if model is None or landmarks.detected is not None:
        return
    chosen, own = chosen_unit(model), _named(landmarks.mm_per_world_unit)
    is_settled = says_unit(landmarks.node) and not np.isnan(landmarks.positions).all()
    if is_settled and (chosen is None or _is_same(chosen, own)):
        return
    try:
        found = find_unit(model, mesh_from_model(model))
    except PalnetError:
        return  # the chosen one fits no face
    is_new = not says_unit(landmarks.node) or not _is_same(found.unit, own)
    if is_new and not lies_elsewhere(landmarks, model):
        landmarks.set_unit(found.unit.mm_per_unit)


def has_lists_in_other_unit(model_node, unit):
    """Tell whether landmarks of a scan are in another unit than it has by now.

    Parameters
    ----------
    model_node : vtkMRMLModelNode
        The scan.
    unit : Unit
        Its unit.

    Returns
    -------
    bool
        True if their lengths are not those of the scan.
    """
    units = [_named(each.mm_per_world_unit) for each in _lists_that_tell(model_node)]
    return any(not _is_same(unit, each) for each in units)


def _lists_that_tell(model_node):
    """Give the lists of a model that hold landmarks and say their unit."""
    return [
        each
        for each in linked_lists(model_node)
        if says_unit(each.node) and not np.isnan(each.positions).all()
    ]


def _fits(unit, plausible):
    return any(_is_same(unit, other) for other in plausible)


def keep_choice(model_node, mm_per_unit):
    """Keep the choice for the model's own numbers as they are now.

    Parameters
    ----------
    model_node : vtkMRMLModelNode
        The scan.
    mm_per_unit : float
        Millimeters in one unit of them.
    """
    note = {"mm_per_unit": float(f"{mm_per_unit:.7g}"), "lengths": _lengths_of(model_node)}
    text = json.dumps(note)
    if model_node.GetAttribute(CHOICE_ATTRIBUTE) != text:
        model_node.SetAttribute(CHOICE_ATTRIBUTE, text)


def follow_choice(model_node):
    """Read the choice, and keep it in step with the model's own numbers as they are now.

    Parameters
    ----------
    model_node : vtkMRMLModelNode
        The scan.

    Returns
    -------
    float or None
        Millimeters in one unit of them; None if none was chosen.
    """
    try:
        note = json.loads(model_node.GetAttribute(CHOICE_ATTRIBUTE) or "{}")
        value, lengths = float(note["mm_per_unit"]), np.array(note["lengths"], dtype=float)
    except (ValueError, TypeError, KeyError):
        return None  # nobody chose, or the scene was edited by hand
    if not 0.0 < value < math.inf:
        return None
    own = value / _grown_by(lengths, np.array(_lengths_of(model_node)))
    keep_choice(model_node, own)
    return own


def _lengths_of(model_node):
    """Measure the model between some of its points, which no rotation changes."""
    poly = model_node.GetPolyData()
    n_points = 0 if poly is None else poly.GetNumberOfPoints()
    if not n_points:
        return []
    points = [np.array(poly.GetPoint(n_points * part // 4)) for part in range(4)]
    pairs = ((0, 1), (0, 2), (1, 3))
    return [n_points, *(float(np.linalg.norm(points[a] - points[b])) for a, b in pairs)]


def _grown_by(before, after):
    """Tell by what factor a transform has scaled all lengths; 1 where the points are others.

    A filter that smooths moves points by a little, each by another factor.
    """
    if len(before) != len(after) or not len(before) or before[0] != after[0]:
        return 1.0
    factors = after[1:] / np.maximum(before[1:], np.finfo(float).tiny)
    factor = float(np.exp(np.log(np.maximum(factors, np.finfo(float).tiny)).mean()))
    is_uniform = bool((abs(factors / factor - 1) < _SAME_LENGTH).all())
    is_of_a_unit = abs(math.log(factor)) > math.log1p(_SAME_UNIT)
    return factor if is_uniform or is_of_a_unit else 1.0


def _named(mm_per_unit):
    """Give the unit its name, if it has one."""
    named = [parse_unit(name) for name in UNIT_NAMES]
    fits = (u for u in named if math.isclose(u.mm_per_unit, mm_per_unit, rel_tol=_SAME_LENGTH))
    return next(fits, Unit(f"{mm_per_unit:g} mm", mm_per_unit))


def _is_same(unit, other):
    """Whether two are one unit, but for a slight scaling."""
    return math.isclose(unit.mm_per_unit, other.mm_per_unit, rel_tol=_SAME_UNIT)
