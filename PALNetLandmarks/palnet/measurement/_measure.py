# SPDX-License-Identifier: Apache-2.0
"""Take all measurements of a plan from one set of landmarks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from palnet._frozen import Frozen, frozen_copy
from palnet.landmarks import check_landmark_set
from palnet.measurement._arc import Arc, length
from palnet.measurement._asymmetry import measure_asymmetry
from palnet.measurement._definitions import check_plan, plan_for
from palnet.measurement._formulas import FORMULAS, find_lost_length, propagate_error
from palnet.measurement._section import SectionError
from palnet.surface import Mesh

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from palnet.landmarks import LandmarkSet
    from palnet.measurement._definitions import Kind, MeasurementDefinition, MeasurementPlan

__all__ = ["ASYMMETRY_SOURCES", "Measurement", "measure"]

_ASYMMETRY_SOURCE = "Mardia 2000"
# Asymmetry is measured with every plan, so its source is always listed.
ASYMMETRY_SOURCES = {
    _ASYMMETRY_SOURCE: "Mardia KV, Bookstein FL, Moreton IJ. Statistical assessment of bilateral "
    "symmetry of shapes. Biometrika 2000, 87, 285-300, doi 10.1093/biomet/87.2.285."
}


@dataclass(frozen=True, eq=False, slots=True)
class Measurement(Frozen):
    """One measured value, or the reason why there is none.

    Attributes
    ----------
    code, name : str
        Short label and clinical name.
    kind : {"distance", "angle", "index", "arc", "asymmetry"}
        Kind of measurement.
    value : float
        The value in `unit`, NaN if it could not be measured.
    unit : {"mm", "deg", "%"}
        Unit of value and expected error.
    expected_error : float
        Expected absolute error of the value; NaN if the landmarks' errors are unknown. For
        asymmetry: the value that a perfectly symmetric face would show.
    landmarks : tuple of str
        Codes of the landmarks used.
    source : str
        Short name of the publication that defines it.
    reason : str
        Why there is no value; empty if there is one.
    polyline : ndarray of shape (n_corners, 3)
        The line to draw, in the landmarks' coordinates: straight from landmark to landmark, or
        along the skin for an arc; empty if there is nothing to draw.
    """

    code: str
    name: str
    kind: Kind
    value: float
    unit: str
    expected_error: float
    landmarks: tuple[str, ...]
    source: str
    reason: str
    polyline: NDArray[np.float64] = field(repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "polyline", frozen_copy(self.polyline))
        if bool(self.reason) != bool(np.isnan(self.value)):
            msg = f"{self.code!r} must have a value or a reason; got {self.value}, {self.reason!r}."
            raise ValueError(msg)

    @property
    def is_measured(self) -> bool:
        """Whether there is a value."""
        return not self.reason


def measure(
    landmarks: LandmarkSet,
    surface: Mesh | None = None,
    plan: MeasurementPlan | None = None,
) -> tuple[Measurement, ...]:
    """Take all measurements of a plan, then the asymmetry of each pair, the midline and overall.

    Convention: values are in millimetres, degrees and percent, independent of the frame and unit of
    the landmarks; `polyline` is in the landmarks' coordinates.

    Parameters
    ----------
    landmarks : LandmarkSet
        The landmarks of one scan.
    surface : Mesh, optional
        The scan in the coordinates of the landmarks, as `match_scan` returns it; without it, arcs
        have no value.
    plan : MeasurementPlan, optional
        What to measure; by default `plan_for` the landmarks' scheme.

    Returns
    -------
    tuple of Measurement
        One entry per measurement; those that could not be taken have a reason.

    Raises
    ------
    ValueError
        If `landmarks` is no landmark set, `surface` no mesh or `plan` no plan, such as a detection,
        or only the path or the name of one.
    """
    _check_kinds(landmarks, surface, plan)
    chosen = plan or plan_for(landmarks.scheme)
    taken = [_take(definition, landmarks, surface) for definition in chosen.definitions]
    return (*taken, *_asymmetries(landmarks))


def _check_kinds(landmarks: object, surface: object, plan: object) -> None:
    """Require what has been loaded, in the coordinates of the landmarks."""
    check_landmark_set(landmarks, name="landmarks")
    if surface is not None and not isinstance(surface, Mesh):
        msg = (
            f"surface must be a palnet.Mesh; got {type(surface).__name__}. Read it with read_mesh, "
            "then give it to match_scan."
        )
        raise ValueError(msg)
    if plan is not None:
        check_plan(plan)


def _take(
    definition: MeasurementDefinition, landmarks: LandmarkSet, surface: Mesh | None
) -> Measurement:
    unknown = [code for code in definition.landmarks if code not in landmarks.scheme.codes]
    if unknown:
        absent = ", ".join(dict.fromkeys(unknown))
        return _blank(definition, f"scheme {landmarks.scheme.name!r} has no landmark: {absent}")
    missing = _missing(definition.landmarks, landmarks)
    if missing:
        return _blank(definition, f"landmark missing: {', '.join(missing)}")
    rows = [landmarks.scheme.index_of(code) for code in definition.landmarks]
    points_mm, errors_mm = landmarks.positions_mm[rows], landmarks.expected_error_mm[rows]
    if definition.kind == "arc":
        return _take_arc(definition, landmarks, surface, points_mm, errors_mm)
    formula = FORMULAS[definition.kind]
    value = formula(points_mm)
    if not np.isfinite(value):
        return _blank(definition, "two of its landmarks lie in one place")
    lost = find_lost_length(definition.kind, points_mm, errors_mm, rows)
    if lost is not None:
        return _blank(definition, "divides by {:.1f} mm, expected error {:.1f} mm".format(*lost))
    error = propagate_error(formula, points_mm, errors_mm, rows)
    return _filled(definition, value, error, landmarks.positions[rows])


def _take_arc(
    definition: MeasurementDefinition,
    landmarks: LandmarkSet,
    surface: Mesh | None,
    points_mm: NDArray[np.float64],
    errors_mm: NDArray[np.float64],
) -> Measurement:
    if surface is None:
        return _blank(definition, "needs the scan; none was given")
    if not len(surface.triangles):
        return _blank(definition, "the scan has points and no triangles")
    scale = landmarks.mm_per_unit
    arc = Arc(points_mm, surface.points * scale, surface.triangles)
    try:
        way_mm = arc.trace()
    except SectionError as err:
        return _blank(definition, str(err))
    return _filled(definition, length(way_mm), arc.expected_error(errors_mm), way_mm / scale)


def _asymmetries(landmarks: LandmarkSet) -> list[Measurement]:
    scheme = landmarks.scheme
    values = measure_asymmetry(landmarks.positions_mm, scheme.mirror)
    errors_mm = landmarks.expected_error_mm
    entries, used, errors = [], [], []
    for row, partner in enumerate(scheme.mirror):
        if partner < row:
            continue  # the other landmark of a pair has the same value
        codes = tuple(dict.fromkeys((scheme.codes[row], scheme.codes[partner])))
        # Mean length of the noise of the difference, which a symmetric face would show.
        pair = errors_mm[row] if partner == row else np.hypot(errors_mm[row], errors_mm[partner])
        entries.append(_asymmetry(codes, values[row], float(pair), landmarks))
        if np.isfinite(values[row]):
            used.extend([row] if partner == row else [row, int(partner)])
            errors.extend([float(pair)] * (1 if partner == row else 2))
    if not used:
        return entries
    codes = tuple(scheme.codes[row] for row in sorted(used))
    mean, error = float(values[used].mean()), float(np.mean(errors))
    overall = Measurement(
        "asymmetry", "Asymmetry, mean of all landmarks", "asymmetry", mean, "mm", error,
        codes, _ASYMMETRY_SOURCE, "", np.zeros((0, 3)),
    )  # fmt: skip
    return [overall, *entries]


def _asymmetry(
    codes: tuple[str, ...], value: float, error: float, landmarks: LandmarkSet
) -> Measurement:
    scheme = landmarks.scheme
    name = f"Asymmetry of {scheme.landmarks[scheme.index_of(codes[0])].name}"
    missing = _missing(codes, landmarks)
    reason = f"landmark missing: {', '.join(missing)}" if missing else ""
    if not missing and np.isnan(value):
        reason = (
            "too few landmarks with a counterpart are placed: it takes three with a pair, or four"
        )
    rows = [scheme.index_of(code) for code in codes]
    line = landmarks.positions[rows] if len(rows) == 2 and not reason else np.zeros((0, 3))
    return Measurement(
        f"asymmetry:{'-'.join(codes)}", name, "asymmetry", float(value), "mm",
        float("nan") if reason else error, codes, _ASYMMETRY_SOURCE, reason, line,
    )  # fmt: skip


def _missing(codes: tuple[str, ...], landmarks: LandmarkSet) -> list[str]:
    """List the codes without a position."""
    placed = {
        code
        for code, is_placed in zip(landmarks.scheme.codes, landmarks.is_placed, strict=True)
        if is_placed
    }
    return [code for code in dict.fromkeys(codes) if code not in placed]


def _filled(
    definition: MeasurementDefinition, value: float, error: float, line: NDArray[np.float64]
) -> Measurement:
    return Measurement(
        definition.code, definition.name, definition.kind, value, definition.unit, error,
        definition.landmarks, definition.source, "", line,
    )  # fmt: skip


def _blank(definition: MeasurementDefinition, reason: str) -> Measurement:
    nan = float("nan")
    return Measurement(
        definition.code, definition.name, definition.kind, nan, definition.unit, nan,
        definition.landmarks, definition.source, reason, np.zeros((0, 3)),
    )  # fmt: skip
