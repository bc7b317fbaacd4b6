# SPDX-License-Identifier: Apache-2.0
"""Point list of 3D Slicer (markups JSON, schema 1.0.3).

Expected errors, status and unit are stored as measurements of the list, because Slicer keeps those
when it saves the list again, unlike other additions. A scheme that does not come with palnet is
stored in the description of another measurement, since its definitions are nowhere else. A checksum
of each position shows which points were moved in Slicer without our module.
"""

from __future__ import annotations

import json
import re
import warnings
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from palnet._stored import listing, parse_json, quote
from palnet.exchange._format import (
    LARGEST,
    OTHER_NAMES,
    SPACE_OF_SYSTEM,
    Format,
    FormatWarning,
    read_one,
    write_one,
)
from palnet.exchange._numbers import number_fields
from palnet.landmarks import OTHER_AXES, PLACED, LandmarkSet
from palnet.scheme import (
    DEFAULT_SCHEME,
    list_schemes,
    load_scheme,
    scheme_from_dict,
    scheme_to_dict,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from palnet.exchange._format import Reading
    from palnet.landmarks import Frame, Space, Status
    from palnet.scheme import LandmarkDefinition, Scheme

__all__ = [
    "CHECK_NAME",
    "ERROR_NAME",
    "MRK_JSON",
    "SCHEME_NAME",
    "STATUS_CODES",
    "STATUS_NAME",
    "UNIT_NAME",
    "UNKNOWN_ERROR",
    "check_positions",
    "find_moved",
]

_SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/"
    "Schema/markups-schema-v1.0.3.json#"
)
_ACCEPTED_SCHEMA = re.compile(r".*markups-schema-v1\.[0-9]+\.[0-9]+\.json#*", re.IGNORECASE)

# Rows of a point's orientation, as Slicer writes them; Morpho (R) takes that of the first point for
# the matrix from the file's axes to RAS.
_ORIENTATION = {
    "LPS": "[-1.0, -0.0, -0.0, -0.0, -1.0, -0.0, 0.0, 0.0, 1.0]",
    "RAS": "[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]",
}
# What Morpho writes for a missing point, which it nevertheless calls defined.
_NA = ["NA", "NA", "NA"]
_MM_PER_CODE = {"mm": 1.0, "um": 1e-3, "cm": 10.0, "m": 1000.0}

# Measurements of a list, in files and in the scene; a status is stored as its index in the codes.
ERROR_NAME = "expected error"
STATUS_NAME = "landmark status"
UNIT_NAME = "millimeters per unit"
SCHEME_NAME = "palnet scheme"
CHECK_NAME = "position check"
STATUS_CODES: tuple[Status, ...] = (
    "undefined",
    "missing",
    "detected",
    "corrected",
    "confirmed",
)
# JSON has no NaN: a negative error means "unknown".
UNKNOWN_ERROR = -1.0
# Checksum of a position in RAS, written with six decimals like the position.
_CHECK_WEIGHTS = np.array([1.0, 2**0.5, 3**0.5])
_CHECK_SHARE = 5e-6
_TO_RAS = {"RAS": np.ones(3), "LPS": OTHER_AXES}

# Dots and labels of no class of expected error: spheres and pictures show these in color.
GLYPH_MM, TEXT_SCALE = 1.8, 2.2
POINT_COLOR, ACTIVE_COLOR = (0.13, 0.13, 0.13), (0.8, 0.47, 0.65)
_DISPLAY = {
    "visibility": True,
    "opacity": 1.0,
    "color": POINT_COLOR,
    "selectedColor": POINT_COLOR,
    "activeColor": ACTIVE_COLOR,
    "propertiesLabelVisibility": False,
    "pointLabelsVisibility": True,
    "textScale": TEXT_SCALE,
    "glyphType": "Sphere3D",
    "useGlyphScale": False,
    "snapMode": "toVisibleSurface",
}


def write_mrk_json(landmarks: LandmarkSet) -> str:
    """Write the list, one control point per line.

    Convention: Slicer takes the numbers of a mesh file for millimetres along the axes named in its
    header, or LPS if there are none. The frame "file" is therefore written with the file's own
    numbers, those axes, and the unit "mm" that Slicer assumes; the true unit is a measurement.
    """
    points = ",\n".join(
        "    " + _point_text(landmarks, index, definition)
        for index, definition in enumerate(landmarks.scheme.landmarks)
    )
    own = {
        "scheme": landmarks.scheme.name,
        "specimen": landmarks.specimen,
        "frame": landmarks.frame,
    }
    display = {**_DISPLAY, "glyphSize": GLYPH_MM / landmarks.mm_per_unit}
    return (
        f'{{"@schema": "{_SCHEMA}",\n'
        f' "markups": [{{\n'
        f'   "type": "Fiducial",\n'
        f'   "coordinateSystem": "{landmarks.space}",\n'
        f'   "coordinateUnits": "mm",\n'
        f'   "locked": false,\n'
        f'   "fixedNumberOfControlPoints": true,\n'
        f'   "labelFormat": "%N-%d",\n'
        f'   "lastUsedControlPointNumber": {len(landmarks)},\n'
        f'   "palnet": {_json(own)},\n'
        f'   "controlPoints": [\n{points}\n   ],\n'
        f'   "measurements": [\n{_measurements_text(landmarks)}\n   ],\n'
        f'   "display": {_json(display)}\n'
        f" }}]\n}}\n"
    )


def read_mrk_json(reading: Reading) -> LandmarkSet:
    """Read the first list of the file, whether palnet, Slicer or another program wrote it."""
    markup = _read_markup(reading)
    own = markup.get("palnet", {})
    own = own if isinstance(own, dict) else {}
    scheme = reading.scheme or _read_scheme(reading, markup, own)
    labels = _codes_of(reading, markup, scheme)
    positions = _read_positions(reading, markup, scheme, labels)
    carried = _carried_scheme(markup)
    reading.check_scheme(str(own.get("scheme", "")) if carried is None else carried.name)
    measurements = _read_measurements(reading, markup, scheme, labels)
    errors = measurements.get(ERROR_NAME, np.full(len(scheme), UNKNOWN_ERROR))
    space, frame, mm_per_unit = _read_frame(reading, markup, own)
    said = measurements.get(STATUS_NAME, np.full(len(scheme), -1.0))
    status = _read_status(positions, _find_missing(markup, scheme, labels), said)
    # An expected error is valid only for the point as it was when it had its status.
    is_same = said == [STATUS_CODES.index(entry) for entry in status]
    errors = np.where(is_same, errors, UNKNOWN_ERROR)
    if CHECK_NAME in measurements:
        moved = find_moved(positions * _TO_RAS[space], measurements[CHECK_NAME])
        status = tuple("corrected" if m else s for m, s in zip(moved, status, strict=True))
        errors = np.where(moved, UNKNOWN_ERROR, errors)
    if frame != "file":
        positions, mm_per_unit = positions * mm_per_unit, 1.0
    return LandmarkSet(
        scheme=scheme,
        positions=positions,
        status=status,
        expected_error_mm=np.where(errors < 0, np.nan, errors),
        mm_per_unit=mm_per_unit,
        frame=frame,
        specimen=_read_specimen(reading, own),
        space=space,
    )


def check_positions(ras: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return checksums of positions, (n, 3), in RAS and the file's unit; 0 without a position."""
    checks: NDArray[np.float64] = np.nan_to_num(ras @ _CHECK_WEIGHTS)
    return checks


def find_moved(ras: NDArray[np.float64], checks: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which points have moved since their checksums were computed.

    If more than half have moved at once, a transform was hardened and none was corrected.
    """
    placed = ~np.isnan(ras).any(axis=1)
    limit = _CHECK_SHARE * max(1.0, np.abs(ras[placed]).max(initial=0.0))
    # A point placed since then is recognized by a status that does not match.
    moved: NDArray[np.bool_] = placed & (np.abs(check_positions(ras) - checks) > limit)
    moved &= checks != 0
    are_few = 2 * moved.sum() <= placed.sum()
    return moved if are_few else np.zeros_like(moved)


MRK_JSON = Format(
    "mrk.json",
    ".mrk.json",
    "point list of 3D Slicer",
    write_one(write_mrk_json),
    read_one(read_mrk_json),
    holds_axes=True,
    holds_unit=True,
    specimen_names="any",
)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _numbers_text(values: NDArray[np.float64]) -> str:
    """Write in fixed notation: Slicer reads exponents, some other readers of its files do not."""
    return f"[{number_fields(values, ', ')}]"


def _point_text(landmarks: LandmarkSet, index: int, definition: LandmarkDefinition) -> str:
    placed = landmarks.status[index] in PLACED
    position = _numbers_text(landmarks.positions[index]) if placed else '""'
    return (
        f'{{"id": "{index + 1}", {_label_text(definition)}, "associatedNodeID": "", '
        f'"position": {position}, "orientation": {_ORIENTATION[landmarks.space]}, '
        f'"selected": true, "locked": false, "visibility": true, '
        f'"positionStatus": "{"defined" if placed else "undefined"}"}}'
    )


@lru_cache(maxsize=1024)
def _label_text(definition: LandmarkDefinition) -> str:
    """Write the text that is the same in every file; escaping it is slower than the numbers."""
    return f'"label": {_json(definition.code)}, "description": {_json(definition.definition)}'


def _measurements_text(landmarks: LandmarkSet) -> str:
    errors = landmarks.expected_error_mm
    known = errors[~np.isnan(errors)]
    mean = f'"value": {known.mean():.6f}, ' if known.size else ""
    codes = np.array([float(STATUS_CODES.index(status)) for status in landmarks.status])
    meaning = ", ".join(f"{value} {status}" for value, status in enumerate(STATUS_CODES))
    ras = landmarks.positions.round(6) * _TO_RAS[landmarks.space]  # as written
    own = () if landmarks.scheme.is_shipped else (_scheme_text(landmarks.scheme),)
    return ",\n".join(
        (
            f'    {{"name": "{ERROR_NAME}", "enabled": true, {mean}"units": "mm", '
            '"description": "Expected distance to the true position; -1 where unknown", '
            '"printFormat": "%-#4.3g%s", '
            f'"controlPointValues": {_numbers_text(np.nan_to_num(errors, nan=UNKNOWN_ERROR))}}}',
            f'    {{"name": "{STATUS_NAME}", "enabled": false, "description": "{meaning}", '
            f'"controlPointValues": {_numbers_text(codes)}}}',
            f'    {{"name": "{UNIT_NAME}", "enabled": false, '
            f'"value": {float(landmarks.mm_per_unit)!r}, '
            '"description": "Millimeters in one unit of the positions in this file"}',
            f'    {{"name": "{CHECK_NAME}", "enabled": false, '
            '"description": "R + 1.414214 A + 1.732051 S of each position as written", '
            f'"controlPointValues": {_numbers_text(check_positions(ras))}}}',
            *own,
        )
    )


def _scheme_text(scheme: Scheme) -> str:
    content = _json(scheme_to_dict(scheme))
    return f'    {{"name": "{SCHEME_NAME}", "enabled": false, "description": {_json(content)}}}'


def _read_markup(reading: Reading) -> dict[str, Any]:
    """Parse the file and return its point list."""
    try:
        content = parse_json(reading.text)
    except json.JSONDecodeError as err:
        raise reading.error(err.lineno, f"is not JSON ({err.msg}). Save the list again.") from err
    except ValueError as err:
        # A number with thousands of digits, or thousands of nested brackets.
        raise reading.error(None, f"is damaged JSON ({err}). Save the list again.") from err
    schema = content.get("@schema") if isinstance(content, dict) else None
    if not isinstance(schema, str) or not _ACCEPTED_SCHEMA.fullmatch(schema):
        raise reading.error(
            None, f"expected a markups file of schema 1.x; got schema {schema!r:.60}."
        )
    markups = content.get("markups")
    if not _is_objects(markups) or len(markups) != 1:
        n_lists = len(markups) if isinstance(markups, list) else 0
        problem = f"expected one point list; got {n_lists}. Save each list in its own file."
        raise reading.error(None, problem)
    kind = markups[0].get("type")
    if kind != "Fiducial":
        raise reading.error(None, f"expected a point list (Fiducial); got {kind!r:.60}.")
    return markups[0]


def _read_scheme(reading: Reading, markup: dict[str, Any], own: dict[str, Any]) -> Scheme:
    """Return the scheme stored in the file, else the shipped one that it names; never a path."""
    carried = _measurement(markup, SCHEME_NAME).get("description")
    if carried is not None:
        try:
            return scheme_from_dict(parse_json(str(carried)))
        except ValueError as err:
            problem = f"its landmark scheme is damaged ({err}). Give the scheme of the landmarks."
            raise reading.error(None, problem) from err
    name = own.get("scheme", DEFAULT_SCHEME)
    if name not in list_schemes():
        problem = (
            f"its scheme {name!r:.60} is not one of {', '.join(list_schemes())}. "
            "Give its JSON file (--scheme, or scheme= in Python)."
        )
        raise reading.error(None, problem)
    return load_scheme(name)


def _carried_scheme(markup: dict[str, Any]) -> Scheme | None:
    """Return the scheme stored in the file; None if there is none, or it is damaged."""
    carried = _measurement(markup, SCHEME_NAME).get("description")
    try:
        return scheme_from_dict(parse_json(str(carried)))
    except ValueError:
        return None


def _read_positions(
    reading: Reading, markup: dict[str, Any], scheme: Scheme, labels: list[str]
) -> NDArray[np.float64]:
    points = _control_points(markup)
    lines = _find_lines(reading, len(points))
    if sorted(labels) != sorted(scheme.codes):
        wrong = sorted(set(labels) ^ set(scheme.codes)) or ["names that appear twice"]
        problem = (
            f"control points must be the {len(scheme)} landmarks of scheme {scheme.name!r}; "
            f"got {len(labels)} that differ in {listing(wrong)}. {OTHER_NAMES}"
        )
        pairs = zip(lines, labels, scheme.codes, strict=False)
        reading.doubt(next((line for line, got, code in pairs if got != code), None), problem)
    named = zip(lines, labels, points, strict=True)
    return reading.place_by_name(
        scheme,
        ((line, label, _read_position(reading, line, point)) for line, label, point in named),
    )


def _control_points(markup: dict[str, Any]) -> list[dict[str, Any]]:
    points = markup.get("controlPoints")
    return points if _is_objects(points) else []


def _codes_of(reading: Reading, markup: dict[str, Any], scheme: Scheme) -> list[str]:
    """Return the landmark of each control point, even if its label was changed.

    A list with a stored scheme went through our module, so its other points are in their places.
    """
    labels = [str(point.get("label")) for point in _control_points(markup)]
    carried = _carried_scheme(markup)
    if carried is None or carried.codes != scheme.codes or len(labels) != len(scheme):
        return labels
    codes = [
        code if label not in scheme.codes and code not in labels else label
        for label, code in zip(labels, scheme.codes, strict=True)
    ]
    for label, code in zip(labels, codes, strict=True):
        if label != code:
            text = (
                f"control point {quote(label)} is taken for {code}, since it is at that place in "
                "the list."
            )
            warnings.warn(f"{reading.where(None)}: {text}", FormatWarning, stacklevel=2)
    return codes


def _find_lines(reading: Reading, n_points: int) -> list[int | None]:
    """Find the line of each control point, if every point has exactly one label."""
    lines: list[int | None] = [
        line
        for line, text in enumerate(reading.lines, 1)
        for _ in range(text.count('"label":') + text.count('"label" :'))
    ]
    return lines if len(lines) == n_points else [None] * n_points


def _read_position(reading: Reading, line: int | None, point: dict[str, Any]) -> list[float]:
    """Read one position; NaN for a point that is not defined, never zero."""
    if point.get("positionStatus", "defined") != "defined" or point.get("position") == _NA:
        return [np.nan] * 3
    position = _as_numbers(point.get("position"), 3)
    if position is None:
        problem = (
            f"position of control point {point.get('label')!r:.60} must be three numbers; got "
            f"{point.get('position')!r:.60}. Set its positionStatus to undefined if it has none."
        )
        reading.doubt(line, problem)
    return position or [np.nan] * 3


def _read_measurements(
    reading: Reading, markup: dict[str, Any], scheme: Scheme, labels: list[str]
) -> dict[str, NDArray[np.float64]]:
    """Read our own measurements' values per control point, in the order of the scheme.

    They are stored in the file's order of control points. `UNKNOWN_ERROR`, which is no valid status
    either, is used for a landmark with no control point, or several.
    """
    found = {}
    for name in (ERROR_NAME, STATUS_NAME, CHECK_NAME):
        values = _measurement(markup, name).get("controlPointValues")
        if values is None:
            continue
        numbers = _as_numbers(values, len(labels))
        if numbers is None:
            reading.doubt(None, f"measurement {name!r} must hold {len(labels)} numbers.")
            continue
        found[name] = np.array(
            [
                numbers[labels.index(code)] if labels.count(code) == 1 else UNKNOWN_ERROR
                for code in scheme.codes
            ]
        )
    return found


def _read_frame(
    reading: Reading, markup: dict[str, Any], own: dict[str, Any]
) -> tuple[Space, Frame, float]:
    """Read axes, frame and unit; without our own entry, the frame is anatomical unless asked."""
    system = str(markup.get("coordinateSystem", "LPS"))
    if system not in SPACE_OF_SYSTEM:
        raise reading.error(None, f"coordinateSystem must be LPS or RAS; got {system!r:.60}.")
    space = SPACE_OF_SYSTEM[system]
    is_of_file = own.get("frame", reading.frame) == "file"
    frame: Frame = "file" if is_of_file else space
    if reading.frame not in (None, frame):
        reading.doubt(None, f"is in frame {frame}; you asked for {reading.frame}. Leave that out.")
    return space, frame, _read_unit(reading, markup)


def _read_unit(reading: Reading, markup: dict[str, Any]) -> float:
    """Read the unit from our measurement, else from the entry that Slicer itself ignores.

    Slicer writes "mm" there regardless of the scan's unit, so the requested unit takes precedence.
    """
    units = markup.get("coordinateUnits", "mm")
    code = str(units[0] if isinstance(units, list) and units else units)
    if code not in _MM_PER_CODE:
        raise reading.error(None, f"coordinateUnits must be one of {', '.join(_MM_PER_CODE)}.")
    numbers = _as_numbers([_measurement(markup, UNIT_NAME).get("value")], 1)
    if numbers is not None and numbers[0] > 0:
        return numbers[0]
    if code == "mm" and reading.mm_per_unit is not None:
        return reading.mm_per_unit
    return _MM_PER_CODE[code]


def _find_missing(markup: dict[str, Any], scheme: Scheme, labels: list[str]) -> list[bool]:
    """Tell which landmarks Slicer calls missing; palnet itself writes these as undefined."""
    points = zip(labels, _control_points(markup), strict=True)
    missing = {label for label, point in points if point.get("positionStatus") == "missing"}
    return [code in missing for code in scheme.codes]


def _read_status(
    positions: NDArray[np.float64], missing: list[bool], values: NDArray[np.float64]
) -> tuple[Status, ...]:
    """Use the file's status where consistent; points of unknown origin were placed by a person."""
    statuses: list[Status] = []
    for row, is_missing, value in zip(positions, missing, values, strict=True):
        placed = not np.isnan(row).any()
        status: Status = "corrected" if placed else "missing" if is_missing else "undefined"
        if 0 <= value < len(STATUS_CODES) and not is_missing:
            said = STATUS_CODES[int(value)]
            status = said if (said in PLACED) == placed else status
        statuses.append(status)
    return tuple(statuses)


def _read_specimen(reading: Reading, own: dict[str, Any]) -> str:
    specimen = own.get("specimen")
    if isinstance(specimen, str) and specimen:
        return reading.check_specimen(specimen)
    return reading.specimen


def _measurement(markup: dict[str, Any], name: str) -> dict[str, Any]:
    """Find a measurement by its name; empty if the list has none."""
    measurements = markup.get("measurements")
    for measurement in measurements if _is_objects(measurements) else ():
        if measurement.get("name") == name:
            return measurement
    return {}


def _is_objects(values: object) -> TypeGuard[list[dict[str, Any]]]:
    return isinstance(values, list) and all(isinstance(value, dict) for value in values)


def _as_numbers(values: object, count: int) -> list[float] | None:
    """Return the values if they are the expected number of finite numbers."""
    if not isinstance(values, list) or len(values) != count:
        return None
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    # Comparison is false for NaN, and JSON may hold integers too large for a float.
    if len(numbers) != count or not all(abs(v) <= LARGEST for v in numbers):
        return None
    return [float(v) for v in numbers]
