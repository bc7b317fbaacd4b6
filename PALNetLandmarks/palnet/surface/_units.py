# SPDX-License-Identifier: Apache-2.0
"""Units of length: by name, by number, or inferred from the size of a head."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from palnet.errors import UnitError
from palnet.surface._canonical import drop_unused
from palnet.surface._vectors import norms

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from palnet.surface._mesh import Mesh

__all__ = [
    "UNIT_NAMES",
    "Unit",
    "bulk_diameter",
    "check_size",
    "check_unit",
    "parse_unit",
    "plausible_units",
]

MM_PER_UNIT = {"um": 1e-3, "mm": 1.0, "cm": 10.0, "m": 1000.0, "in": 25.4}

WORDS = {
    "um": "micrometers",
    "mm": "millimeters",
    "cm": "centimeters",
    "m": "meters",
    "in": "inches",
}

UNIT_NAMES = tuple(MM_PER_UNIT)
"""The named units."""

BULK_SHARE = 0.75
"""Share of the vertices, nearest to the middle, whose extent counts as the size: a quarter may be
far away in loose pieces."""

MIN_DIAMETER_MM = 55.0
"""Lower limit in millimetres: infants' faces, cropped as tightly as they are still found, measure
64 to 89; an adult's 166."""

MAX_DIAMETER_MM = 900.0
"""Upper limit in millimetres: a large adult with shoulders 0.55 m wide measures 396."""

TYPICAL_DIAMETER_MM = 240.0
"""Typical size of a head scan; of two possible units the one nearer to it is tried first."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of length.

    Parameters
    ----------
    name : str
        "um", "mm", "cm", "m", "in", or a length such as "50 mm".
    mm_per_unit : float
        Millimetres in one unit.
    """

    name: str
    mm_per_unit: float

    def __post_init__(self) -> None:
        """Require a finite length above 0."""
        if not (math.isfinite(self.mm_per_unit) and self.mm_per_unit > 0):
            msg = f"mm_per_unit must be positive and finite; got {self.mm_per_unit}."
            raise UnitError(msg)

    @property
    def in_words(self) -> str:
        """The unit in the plural, such as "inches" or "units of 50 mm"."""
        return WORDS.get(self.name, f"units of {self.name}")


def parse_unit(text: str | float) -> Unit:
    """Parse a unit's name or the number of millimetres in it.

    Parameters
    ----------
    text : str or float
        "um", "mm", "cm", "m", "in", or a positive number of millimetres such as "50" or 50.

    Returns
    -------
    Unit
        The unit.

    Raises
    ------
    UnitError
        If the text is neither.

    Examples
    --------
    >>> parse_unit("cm").mm_per_unit
    10.0
    >>> parse_unit("50")
    Unit(name='50 mm', mm_per_unit=50.0)
    """
    word = str(text).strip().lower()
    if word in MM_PER_UNIT:
        return Unit(word, MM_PER_UNIT[word])
    try:
        value = float(word.removesuffix("mm"))
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        names = ", ".join(UNIT_NAMES)
        msg = f"a unit is one of {names}, or the millimeters in it, such as 50; got {text!r}."
        raise UnitError(msg)
    named = {length: unit for unit, length in MM_PER_UNIT.items()}
    return Unit(named.get(value, f"{value:g} mm"), value)


def check_unit(unit: object) -> None:
    """Require a unit, not its name, which `parse_unit` takes."""
    if not isinstance(unit, Unit):
        msg = f"unit must be a palnet.surface.Unit; got {unit!r:.40}. Make it: parse_unit(unit)."
        raise UnitError(msg)


def check_size(mesh: Mesh, unit: Unit) -> None:
    """Require that, in a given unit, a mesh has the size of a scan of a face, a head or a bust.

    Parameters
    ----------
    mesh : Mesh
        The mesh in the file's own numbers.
    unit : Unit
        The unit the user specified.

    Raises
    ------
    UnitError
        If it is far too small or too large, or `unit` is no `Unit`, such as only the name of one.
    """
    check_unit(unit)
    size_mm = _bulk_diameter(mesh) * unit.mm_per_unit
    if not MIN_DIAMETER_MM <= size_mm <= MAX_DIAMETER_MM:
        msg = (
            f"read in {unit.in_words}, the scan measures {_in_words(size_mm)} mm across, which is "
            f"no face, head or bust ({MIN_DIAMETER_MM:g} to {MAX_DIAMETER_MM:g} mm). Give another "
            f"unit ({', '.join(UNIT_NAMES)}, or the millimeters in one, such as 50), or leave it "
            "out."
        )
        raise UnitError(msg)


def plausible_units(mesh: Mesh) -> tuple[Unit, ...]:
    """List the units in which a mesh has the size of a scan of a face, a head or a bust.

    The size is twice the distance from the median vertex within which 75 % of the vertices lie,
    so that loose pieces far away are ignored.

    Parameters
    ----------
    mesh : Mesh
        The mesh in the file's own numbers.

    Returns
    -------
    tuple of Unit
        At least one; the most likely first. Centimetres and inches overlap, and millimetres and
        centimetres from 55 to 90 units.

    Raises
    ------
    UnitError
        If the size fits no named unit.
    """
    size = _bulk_diameter(mesh)
    fitting = [
        Unit(name, factor)
        for name, factor in MM_PER_UNIT.items()
        if MIN_DIAMETER_MM <= size * factor <= MAX_DIAMETER_MM
    ]
    if not fitting:
        msg = (
            f"the scan measures {_in_words(size)} units across, which is no face, head or bust "
            f"({MIN_DIAMETER_MM:g} to {MAX_DIAMETER_MM:g} mm) in {', '.join(UNIT_NAMES)}. "
            "If it is one, scale it, or give the millimeters in a unit as its unit, such as 50."
        )
        raise UnitError(msg)
    return tuple(
        sorted(fitting, key=lambda u: abs(math.log(size * u.mm_per_unit / TYPICAL_DIAMETER_MM)))
    )


def _in_words(size: float) -> str:
    """Write a size without an exponent, however large it is."""
    return f"{size:,.0f}" if size >= 1000 else f"{size:.4g}"


def _bulk_diameter(mesh: Mesh) -> float:
    """Return twice the radius that holds most of the vertices in use."""
    return bulk_diameter(drop_unused(mesh.points, mesh.triangles)[0])


def bulk_diameter(points: NDArray[np.float64]) -> float:
    """Return twice the distance from the median point within which 75 % of the points lie.

    In the points' own numbers; 0 if there are no points.
    """
    if not len(points):
        return 0.0
    middle = [_quantile(np.ascontiguousarray(points[:, axis]), 0.5) for axis in range(3)]
    return 2.0 * _quantile(norms(points - np.array(middle)), BULK_SHARE)


def _quantile(values: NDArray[np.float64], share: float) -> float:
    """Return the value below which a share of the others lie, without sorting them all."""
    rank = int(share * (len(values) - 1))
    return float(np.partition(values, rank)[rank])
