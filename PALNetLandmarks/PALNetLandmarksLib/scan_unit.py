# SPDX-License-Identifier: Apache-2.0
"""The unit of a scan, and its source: the user, the landmarks or the size."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from slicer.i18n import tr as _

from palnet.errors import PalnetError, UnitError
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
from PALNetLandmarksLib.models import check_model_node, mesh_from_model, size_mm, world_matrix

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import slicer
    from numpy.typing import NDArray

    from palnet.surface import Mesh
    from PALNetLandmarksLib.landmark_list import LandmarkList

# The user's choice: millimeters per unit of the model's own coordinates, and data to detect later
# scaling of these, as by a hardened transform.
CHOICE_ATTRIBUTE = "PALNet.Unit"

Source = Literal["chosen", "of its landmarks", "by size"]
CHOSEN: Source = "chosen"
OF_LANDMARKS: Source = "of its landmarks"
BY_SIZE: Source = "by size"

# Coordinates are single-precision floats.
_SAME_LENGTH = 1e-4
# Units differ by a factor of at least 2.5; a hardened transform may have scaled a scan slightly.
_SAME_UNIT = 0.2


@dataclass(frozen=True)
class ScanUnit:
    """The unit of a scan in world coordinates, and its source.

    Attributes
    ----------
    unit : Unit
        Unit of the world coordinates.
    source : {"chosen", "of its landmarks", "by size"}
        Source of the unit.
    others : tuple of str
        Names of other units that the size would fit, if nothing else is known.
    """

    unit: Unit
    source: Source
    others: tuple[str, ...] = ()


def find_unit(
    model_node: slicer.vtkMRMLModelNode, mesh: Mesh, *, of_all_lists: bool = True
) -> ScanUnit:
    """Find the unit of a scan.

    Parameters
    ----------
    model_node : vtkMRMLModelNode
        The scan.
    mesh : Mesh
        Its surface in world coordinates.
    of_all_lists : bool
        Whether to use lists that were placed by hand, not only detected ones.

    Returns
    -------
    ScanUnit
        As chosen; else that of the newest list that lies on the scan; else millimeters, Slicer's
        convention, if the size fits; else the most likely one.

    Raises
    ------
    UnitError
        If the size fits no unit, or not the chosen one.
    """
    chosen = chosen_unit(model_node)
    try:
        if chosen is not None:
            check_size(mesh, chosen)
            return ScanUnit(chosen, CHOSEN)
        plausible = plausible_units(mesh)
    except UnitError as err:
        raise misfit(mesh, chosen) from err
    by_size = _usual_of(plausible)
    for landmarks in reversed(_lists_that_tell(model_node)):
        unit = _named(landmarks.mm_per_world_unit)
        if not (of_all_lists or landmarks.detected is not None) or not _fits(unit, plausible):
            continue
        # This takes time, and is of no use if the unit is the usual one.
        if _is_same(unit, by_size.unit) or not lies_elsewhere(landmarks, model_node):
            return ScanUnit(unit, OF_LANDMARKS)
    return by_size


def misfit(mesh: Mesh, chosen: Unit | None) -> UnitError:
    """Say that a scan has not the size of a face; the panel offers no unit by its millimeters.

    Parameters
    ----------
    mesh : Mesh
        Its surface in world coordinates.
    chosen : Unit or None
        The unit that the user chose.

    Returns
    -------
    UnitError
        With what to do in Slicer.
    """
    lengths = size_mm(mesh, chosen or Unit("", 1.0))
    size = " x ".join(f"{length:,.0f}" if length >= 10 else f"{length:.2g}" for length in lengths)
    if chosen is not None:
        text = _(
            "Read in {unit}, the scan measures {size} mm, which is no face, head or bust. Choose "
            "another unit, or Automatic."
        )
        return UnitError(text.format(unit=chosen.in_words, size=size))
    text = _(
        "The scan measures {size} units, which is no face, head or bust in any unit on offer. If "
        "it is one, scale it to millimeters in the module Transforms."
    )
    return UnitError(text.format(size=size))


def _usual_of(plausible: Sequence[Unit]) -> ScanUnit:
    """Return millimeters, Slicer's convention, if plausible, else the most likely unit."""
    millimeters = [unit for unit in plausible if unit.mm_per_unit == 1.0]
    if millimeters:
        return ScanUnit(millimeters[0], BY_SIZE)
    return ScanUnit(plausible[0], BY_SIZE, tuple(unit.name for unit in plausible[1:]))


def chosen_unit(model_node: slicer.vtkMRMLModelNode) -> Unit | None:
    """Return the unit that the user chose for a scan.

    Parameters
    ----------
    model_node : vtkMRMLModelNode
        The scan.

    Returns
    -------
    Unit or None
        In world coordinates, whatever scaled them since; None if none was chosen.
    """
    own = follow_choice(model_node)
    return None if own is None else _named(rescaled_unit(own, world_matrix(model_node)))


def choose_unit(model_node: slicer.vtkMRMLModelNode, name: str) -> None:
    """Set the unit of a scan; it is stored with the model and saved with the scene.

    Lists that were placed by hand on the scan follow; detected landmarks keep the unit of their
    detection.

    Parameters
    ----------
    model_node : vtkMRMLModelNode
        The scan.
    name : str
        A name in `palnet.surface.UNIT_NAMES`, for the world coordinates; empty infers it from the
        size again.

    Raises
    ------
    UnitError
        If there is no such unit; the former choice stays.
    TypeError, ValueError
        If the node is not a model node, or in no scene.
    """
    check_model_node(model_node)
    given = parse_unit(name) if name else None
    model_node.SetAttribute(CHOICE_ATTRIBUTE, None)
    if given is not None:
        to_own = np.linalg.inv(world_matrix(model_node))
        keep_choice(model_node, rescaled_unit(given.mm_per_unit, to_own))
    try:
        found = find_unit(model_node, mesh_from_model(model_node), of_all_lists=False)
    except PalnetError:
        return  # it fits no face: the panel reports it, and no list follows
    for landmarks in linked_lists(model_node):
        if landmarks.detected is None and not lies_elsewhere(landmarks, model_node):
            landmarks.set_unit(found.unit.mm_per_unit)


def adopt_unit(landmarks: LandmarkList) -> None:
    """Give a manually placed list the unit of its scan, if it has no better one.

    Parameters
    ----------
    landmarks : LandmarkList
        A list without a unit or without landmarks, or one whose scan has a chosen unit.
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
        return  # the chosen unit fits no face
    is_new = not says_unit(landmarks.node) or not _is_same(found.unit, own)
    if is_new and not lies_elsewhere(landmarks, model):
        landmarks.set_unit(found.unit.mm_per_unit)


def has_lists_in_other_unit(model_node: slicer.vtkMRMLModelNode, unit: Unit) -> bool:
    """Return whether a scan has landmarks in a unit other than its current one.

    Parameters
    ----------
    model_node : vtkMRMLModelNode
        The scan.
    unit : Unit
        Its unit.

    Returns
    -------
    bool
        True if their lengths do not match those of the scan.
    """
    units = [_named(each.mm_per_world_unit) for each in _lists_that_tell(model_node)]
    return any(not _is_same(unit, each) for each in units)


def _lists_that_tell(model_node: slicer.vtkMRMLModelNode) -> list[LandmarkList]:
    """Return the lists of a model that have landmarks and a stated unit."""
    return [
        each
        for each in linked_lists(model_node)
        if says_unit(each.node) and not np.isnan(each.positions).all()
    ]


def _fits(unit: Unit, plausible: Iterable[Unit]) -> bool:
    return any(_is_same(unit, other) for other in plausible)


def keep_choice(model_node: slicer.vtkMRMLModelNode, mm_per_unit: float) -> None:
    """Store the choice for the model's own coordinates as they are now.

    Parameters
    ----------
    model_node : vtkMRMLModelNode
        The scan.
    mm_per_unit : float
        Millimeters per unit of them.
    """
    note = {"mm_per_unit": float(f"{mm_per_unit:.7g}"), "lengths": _lengths_of(model_node)}
    text = json.dumps(note)
    if model_node.GetAttribute(CHOICE_ATTRIBUTE) != text:
        model_node.SetAttribute(CHOICE_ATTRIBUTE, text)


def follow_choice(model_node: slicer.vtkMRMLModelNode) -> float | None:
    """Read the choice and adapt it to the model's own coordinates as they are now.

    Parameters
    ----------
    model_node : vtkMRMLModelNode
        The scan.

    Returns
    -------
    float or None
        Millimeters per unit of them; None if none was chosen.
    """
    try:
        note = json.loads(model_node.GetAttribute(CHOICE_ATTRIBUTE) or "{}")
        value, lengths = float(note["mm_per_unit"]), np.array(note["lengths"], dtype=float)
    except (ValueError, TypeError, KeyError):
        return None  # no choice, or the scene was edited by hand
    if not 0.0 < value < math.inf:
        return None
    own = value / _grown_by(lengths, np.array(_lengths_of(model_node)))
    keep_choice(model_node, own)
    return own


def _lengths_of(model_node: slicer.vtkMRMLModelNode) -> list[float]:
    """Measure distances between some points of the model, which no rotation changes."""
    poly = model_node.GetPolyData()
    n_points = 0 if poly is None else poly.GetNumberOfPoints()
    if not n_points:
        return []
    points = [np.array(poly.GetPoint(n_points * part // 4)) for part in range(4)]
    pairs = ((0, 1), (0, 2), (1, 3))
    return [n_points, *(float(np.linalg.norm(points[a] - points[b])) for a, b in pairs)]


def _grown_by(before: NDArray[np.float64], after: NDArray[np.float64]) -> float:
    """Return the factor by which a transform scaled all lengths; 1 for other points.

    A smoothing filter changes lengths slightly, each by a different factor.
    """
    if len(before) != len(after) or not len(before) or before[0] != after[0]:
        return 1.0
    factors = after[1:] / np.maximum(before[1:], np.finfo(float).tiny)
    factor = float(np.exp(np.log(np.maximum(factors, np.finfo(float).tiny)).mean()))
    is_uniform = bool((abs(factors / factor - 1) < _SAME_LENGTH).all())
    is_of_a_unit = abs(math.log(factor)) > math.log1p(_SAME_UNIT)
    return factor if is_uniform or is_of_a_unit else 1.0


def _named(mm_per_unit: float) -> Unit:
    """Return the unit with its name, if it has one."""
    named = [parse_unit(name) for name in UNIT_NAMES]
    fits = (u for u in named if math.isclose(u.mm_per_unit, mm_per_unit, rel_tol=_SAME_LENGTH))
    return next(fits, Unit(f"{mm_per_unit:g} mm", mm_per_unit))


def _is_same(unit: Unit, other: Unit) -> bool:
    """Return whether two units are the same, up to a slight scaling."""
    return math.isclose(unit.mm_per_unit, other.mm_per_unit, rel_tol=_SAME_UNIT)
