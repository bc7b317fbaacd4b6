# SPDX-License-Identifier: Apache-2.0
"""Picked points of MeshLab."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.parsers import expat
from xml.sax.saxutils import quoteattr

import numpy as np

from palnet._stored import quote
from palnet.errors import FormatError
from palnet.exchange._format import Format, read_one, write_one

if TYPE_CHECKING:
    from collections.abc import Iterator

    from palnet.exchange._format import Reading
    from palnet.landmarks import LandmarkSet
    from palnet.scheme import Scheme

    Points = list[tuple[int, dict[str, str]]]

__all__ = ["PP"]

_ROOT = "PickedPoints"


def write_pp(landmarks: LandmarkSet) -> str:
    """Write one point per line, its name in upper case, because Morpho deletes lower-case letters.

    A landmark without position is inactive with "nan" coordinates, which no reader takes for 0,0,0.
    """
    names = _upper_codes(landmarks.scheme)
    rows = (
        f' <point x="{x:.6f}" y="{y:.6f}" z="{z:.6f}" active="{int(x == x)}" name="{name}"/>\n'
        for name, (x, y, z) in zip(names, landmarks.positions.tolist(), strict=True)
    )
    return (
        f"<!DOCTYPE {_ROOT}>\n<{_ROOT}>\n"
        ' <DocumentData>\n  <DateTime date="" time=""/>\n  <User name=""/>\n'
        f'  <DataFileName name={quoteattr(landmarks.specimen)}/>\n  <templateName name=""/>\n'
        f" </DocumentData>\n{''.join(rows)}</{_ROOT}>\n"
    )


def read_pp(reading: Reading) -> LandmarkSet:
    """Read active points by name, in upper or lower case, or all by their numbers."""
    scheme = reading.scheme_of_codes
    points = _parse(reading)
    by_name = dict(zip(_upper_codes(scheme), scheme.codes, strict=True))
    names = [attributes.get("name", "") for _, attributes in points]
    if all(name.isdigit() and name not in by_name for name in names):
        by_name = _by_number(reading, names, scheme)
    positions = reading.place_by_name(scheme, _read_points(reading, points, by_name))
    return reading.make_landmarks(scheme, positions, reading.specimen)


def _by_number(reading: Reading, names: list[str], scheme: Scheme) -> dict[str, str]:
    """Map point numbers, from 0 or 1, to landmarks; they must be complete, each exactly once."""
    for first in (0, 1):
        by_number = {str(number): code for number, code in enumerate(scheme.codes, first)}
        if sorted(names) == sorted(by_number):
            return by_number
    n = len(scheme)
    problem = f"expected points 0 to {n - 1} or 1 to {n}, or the names of landmarks"
    raise reading.error(None, f"{problem}; got {len(names)} others. Name the points.")


PP = Format(
    "pp",
    ".pp",
    "picked points of MeshLab",
    write_one(write_pp),
    read_one(read_pp),
    specimen_names="none",
)


def _upper_codes(scheme: Scheme) -> list[str]:
    names = [code.upper() for code in scheme.codes]
    if len(set(names)) != len(names):
        msg = (
            f"scheme {scheme.name!r} has codes that differ in upper and lower case only, which a "
            "pp file cannot hold. Choose another format."
        )
        raise FormatError(msg)
    return names


def _parse(reading: Reading) -> Points:
    """Find the points with their lines."""
    points: Points = []
    elements: list[str] = []

    def start(name: str, attributes: dict[str, str]) -> None:
        elements.append(name)
        if name == "point":
            points.append((parser.CurrentLineNumber, attributes))

    def refuse(*_: object) -> None:
        # MeshLab declares none, and they could expand a small file to gigabytes.
        raise reading.error(parser.CurrentLineNumber, "must not declare entities.")

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    parser.EntityDeclHandler = refuse
    try:
        parser.Parse(reading.text, True)
    except expat.ExpatError as err:
        problem = f"is not XML ({expat.ErrorString(err.code)}). Save the points again."
        raise reading.error(err.lineno, problem) from err
    if elements[0] != _ROOT:
        raise reading.error(None, f"expected <{_ROOT}>; got <{elements[0]}>.")
    return points


def _read_points(
    reading: Reading, points: Points, by_name: dict[str, str]
) -> Iterator[tuple[int, str, list[float]]]:
    for line, attributes in points:
        name, active = attributes.get("name", ""), attributes.get("active")
        code = by_name.get(name.upper(), name)
        if active not in ("0", "1"):
            reading.doubt(line, f"active must be 0 or 1; got {active!r:.60}.")
        fields = [attributes.get(axis, "") for axis in "xyz"]
        is_placed = active == "1"
        if is_placed and not all(fields):
            reading.doubt(line, f"point {quote(name)} must have x, y and z.")
            is_placed = False
        yield line, code, reading.read_point(line, fields) if is_placed else [np.nan] * 3
