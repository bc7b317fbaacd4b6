# SPDX-License-Identifier: Apache-2.0
"""Landmark schemes: which landmarks there are, read from JSON and never hard-coded."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import asdict, dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from palnet._files import to_path
from palnet._frozen import frozen_copy
from palnet._stored import check_keys, check_text, read_json, read_rows, read_text
from palnet.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

__all__ = [
    "DEFAULT_SCHEME",
    "SCHEME_FILE",
    "Angle",
    "Distance",
    "LandmarkDefinition",
    "Scheme",
    "check_scheme",
    "list_schemes",
    "load_scheme",
]

Side = Literal["left", "right", "midline"]

DEFAULT_SCHEME = "palnet50"
SCHEME_FILE = "scheme.json"
"""File name of a lab's own scheme in a run folder."""

_FOLDER = Path(__file__).parent / "schemes"
_SIDES = ("left", "right", "midline")
# Some formats separate codes by comma, space or tab, so codes must not contain these.
_CODE_PATTERN = re.compile(r"[A-Za-z0-9_.-]+")
_OTHER_SUFFIX = {"_r": "_l", "_l": "_r"}
# SlicerMorph treats a point with this description as a sliding semilandmark.
_RESERVED_DEFINITION = "Semi"


@dataclass(frozen=True, slots=True)
class LandmarkDefinition:
    """One landmark of a scheme.

    Attributes
    ----------
    code : str
        Short label, unique in the scheme ("ex_r").
    name : str
        Anatomical name ("Exocanthion").
    side : {"left", "right", "midline"}
        The subject's own side.
    definition : str
        Where on the face it lies, in one sentence.
    intra_observer_mm : float or None
        Mean distance between two passes of one observer, if known.
    mirror : str or None
        Code of the landmark on the other side, if it does not follow from the suffixes
        ``_r`` and ``_l``.
    """

    code: str
    name: str
    side: Side
    definition: str
    intra_observer_mm: float | None = None
    mirror: str | None = None

    def __post_init__(self) -> None:
        self._check_code()
        for name in ("name", "definition"):
            check_text(getattr(self, name), f"{name} of landmark {self.code!r}")
        _keep_repeatability(self, "intra_observer_mm")
        if self.side not in _SIDES:
            msg = f"side of {self.code!r} must be one of {', '.join(_SIDES)}; got {self.side!r}."
            raise FormatError(msg)
        if self.definition == _RESERVED_DEFINITION:
            msg = (
                f"definition of {self.code!r} must not be {_RESERVED_DEFINITION!r}: SlicerMorph "
                "reads that word as a mark for semilandmarks. Describe where the landmark lies."
            )
            raise FormatError(msg)

    def _check_code(self) -> None:
        code: object = self.code
        if not (isinstance(code, str) and _CODE_PATTERN.fullmatch(code)):
            msg = f"code may hold letters, digits, '_', '.' and '-' only; got {self.code!r}."
            raise FormatError(msg)


@dataclass(frozen=True, slots=True)
class Distance:
    """A distance between two landmarks, given by their codes."""

    a: str
    b: str
    intra_observer_mm: float | None = None

    def __post_init__(self) -> None:
        _keep_repeatability(self, "intra_observer_mm")


@dataclass(frozen=True, slots=True)
class Angle:
    """An angle at `vertex` between the directions to `a` and `c`, given by their codes."""

    a: str
    vertex: str
    c: str
    intra_observer_deg: float | None = None

    def __post_init__(self) -> None:
        _keep_repeatability(self, "intra_observer_deg")


# What each part of a scheme holds.
_PARTS = {"landmarks": LandmarkDefinition, "distances": Distance, "angles": Angle}


@dataclass(frozen=True)
class Scheme:
    """An ordered list of landmarks and the measurements between them.

    Attributes
    ----------
    name : str
        Name of the scheme ("palnet50").
    landmarks : tuple of LandmarkDefinition
        The landmarks, in the row order of every array of this scheme.
    distances : tuple of Distance
        Distances usually reported for this scheme.
    angles : tuple of Angle
        Angles usually reported for this scheme.
    source : str
        Where names, order and definitions come from.
    """

    name: str
    landmarks: tuple[LandmarkDefinition, ...]
    distances: tuple[Distance, ...] = ()
    angles: tuple[Angle, ...] = ()
    source: str = ""

    if TYPE_CHECKING:  # what is taken, which is more than what is kept

        def __init__(
            self,
            name: str,
            landmarks: Iterable[LandmarkDefinition],
            distances: Iterable[Distance] = (),
            angles: Iterable[Angle] = (),
            source: str = "",
        ) -> None: ...

    def __post_init__(self) -> None:
        check_text(self.name, "name of a scheme")
        if self.source:
            check_text(self.source, f"source of scheme {self.name!r}")
        for name, kind in _PARTS.items():
            object.__setattr__(self, name, tuple(getattr(self, name)))
            self._check_kind(name, kind)
        if not self.landmarks:
            msg = f"scheme {self.name!r} must hold at least one landmark; got none."
            raise FormatError(msg)
        _check_unique(self.codes)
        for distance in self.distances:
            self._check_codes("distance", (distance.a, distance.b))
        for angle in self.angles:
            self._check_codes("angle", (angle.a, angle.vertex, angle.c))
        self._check_mirror()

    def __len__(self) -> int:
        return len(self.landmarks)

    def __repr__(self) -> str:
        return f"<Scheme {self.name!r}: {len(self)} landmarks>"

    @property
    def is_shipped(self) -> bool:
        """Whether it is identical to a shipped scheme, so that its name identifies it."""
        return self.name in list_schemes() and load_scheme(self.name) == self

    @cached_property
    def codes(self) -> tuple[str, ...]:
        """Codes of all landmarks, in order."""
        return tuple(landmark.code for landmark in self.landmarks)

    @cached_property
    def mirror(self) -> NDArray[np.intp]:
        """Index of each landmark's counterpart on the other side; its own for midline landmarks.

        Convention: ``positions[scheme.mirror]`` of a face mirrored left to right has each landmark
        in its own row again. ``mirror[mirror[k]] == k``.
        """
        return frozen_copy([self.index_of(self._mirror_code(m)) for m in self.landmarks], np.intp)

    def index_of(self, code: str) -> int:
        """Return the row of the landmark with this code.

        Parameters
        ----------
        code : str
            Code of a landmark.

        Returns
        -------
        int
            Its index, from 0.

        Raises
        ------
        KeyError
            If the scheme has no such landmark.
        """
        try:
            return self._index_by_code[code]
        except KeyError:
            msg = f"scheme {self.name!r} has no landmark {code!r}; it has {', '.join(self.codes)}."
            raise KeyError(msg) from None

    @cached_property
    def _index_by_code(self) -> dict[str, int]:
        return {code: index for index, code in enumerate(self.codes)}

    def _mirror_code(self, landmark: LandmarkDefinition) -> str:
        """Return the counterpart's code: as in the scheme, else by suffix; itself if midline."""
        if landmark.mirror is not None:
            return landmark.mirror
        if landmark.side == "midline":
            return landmark.code
        stem, suffix = landmark.code[:-2], landmark.code[-2:]
        return stem + _OTHER_SUFFIX.get(suffix, suffix)

    def _check_kind(self, name: str, kind: type) -> None:
        for entry in getattr(self, name):
            if not isinstance(entry, kind):
                msg = (
                    f"{name} of scheme {self.name!r} must be of palnet.scheme.{kind.__name__}; "
                    f"got {entry!r:.60}."
                )
                raise FormatError(msg)

    def _check_codes(self, what: str, codes: tuple[str, ...]) -> None:
        unknown = [code for code in codes if code not in self._index_by_code]
        if unknown:
            msg = (
                f"{what} {'-'.join(codes)} of scheme {self.name!r} uses unknown landmarks: "
                f"{', '.join(unknown)}. Add them to the landmarks or correct the code."
            )
            raise FormatError(msg)
        if len(set(codes)) < len(codes):
            msg = (
                f"{what} {'-'.join(codes)} of scheme {self.name!r} must be between different "
                "landmarks. Correct the code, or remove it."
            )
            raise FormatError(msg)

    def _check_mirror(self) -> None:
        """Require that mirroring twice is the identity and swaps the sides."""
        opposite = {"left": "right", "right": "left", "midline": "midline"}
        for landmark in self.landmarks:
            code = self._mirror_code(landmark)
            index = self._index_by_code.get(code)
            other = None if index is None else self.landmarks[index]
            if (
                other is None
                or other.side != opposite[landmark.side]
                or self._mirror_code(other) != landmark.code
            ):
                msg = (
                    f"landmark {landmark.code!r} ({landmark.side}) needs one counterpart on the "
                    f"other side; got {code!r}. Name it by 'mirror' or by the suffixes _r and _l."
                )
                raise FormatError(msg)


@cache
def list_schemes() -> tuple[str, ...]:
    """List the names of the schemes that ship with palnet.

    Returns
    -------
    tuple of str
        Names for `load_scheme`.

    Examples
    --------
    >>> "palnet50" in list_schemes()
    True
    """
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.json")))


def load_scheme(name_or_path: str | os.PathLike[str] = DEFAULT_SCHEME) -> Scheme:
    """Load a scheme that ships with palnet, or a lab's own from a JSON file.

    Parameters
    ----------
    name_or_path : str or path
        Name of a shipped scheme, or path of a file ending in ``.json``.

    Returns
    -------
    Scheme
        The validated scheme.

    Raises
    ------
    FormatError
        If there is no such scheme or the file is not a valid one.

    Examples
    --------
    >>> scheme = load_scheme("palnet50")
    >>> scheme.codes[:3], scheme.index_of("prn")
    (('tr', 'g', 'n'), 3)
    """
    path = to_path(name_or_path, name="name_or_path", error=FormatError)
    text = os.fspath(name_or_path)
    if text in list_schemes():
        return _load_shipped(text)
    if not text.endswith(".json"):
        msg = (
            f"unknown landmark scheme {text!r}; expected one of {', '.join(list_schemes())} "
            "or the path of a .json file."
        )
        raise FormatError(msg)
    return _read_scheme(path)


@cache
def _load_shipped(name: str) -> Scheme:
    return _read_scheme(_FOLDER / f"{name}.json")


def _read_scheme(path: Path) -> Scheme:
    return read_json(path, scheme_from_dict, "Give the file of a landmark scheme.")


def check_scheme(scheme: object) -> None:
    """Require a scheme, not its name, which `read_landmarks` takes too."""
    if not isinstance(scheme, Scheme):
        msg = f"scheme must be a Scheme; got {scheme!r:.60}. Load it: palnet.load_scheme(name)."
        raise ValueError(msg)


def scheme_to_dict(scheme: Scheme) -> dict[str, Any]:
    """Convert a scheme to the content of a scheme file, to embed it in another file.

    Parameters
    ----------
    scheme : Scheme
        The scheme.

    Returns
    -------
    dict
        Content that `scheme_from_dict` accepts.
    """

    def rows(entries: tuple[Any, ...]) -> list[dict[str, Any]]:
        return [{k: v for k, v in asdict(entry).items() if v is not None} for entry in entries]

    content = {"scheme": scheme.name, "landmarks": rows(scheme.landmarks)}
    content |= {"distances": rows(scheme.distances), "angles": rows(scheme.angles)}
    return content | ({"source": scheme.source} if scheme.source else {})


def scheme_from_dict(content: Any) -> Scheme:
    """Build a scheme from the content of a scheme file, and validate it.

    Parameters
    ----------
    content : dict
        Parsed JSON.

    Returns
    -------
    Scheme
        The validated scheme.

    Raises
    ------
    FormatError
        If the content is not a valid scheme.
    """
    check_keys(content, "the file", {"scheme", "landmarks"}, {"source", "distances", "angles"})
    return Scheme(
        name=read_text(content, "scheme", "the file"),
        landmarks=read_rows(content, "landmarks", _parse_landmark),
        distances=read_rows(content, "distances", _parse_distance),
        angles=read_rows(content, "angles", _parse_angle),
        source=read_text(content, "source", "the file") if "source" in content else "",
    )


def _parse_landmark(row: Any, where: str) -> LandmarkDefinition:
    check_keys(row, where, {"code", "name", "side", "definition"}, {"intra_observer_mm", "mirror"})
    return LandmarkDefinition(
        code=read_text(row, "code", where),
        name=read_text(row, "name", where),
        side=read_text(row, "side", where),  # type: ignore[arg-type]  # checked by the class
        definition=read_text(row, "definition", where),
        intra_observer_mm=_number(row, "intra_observer_mm", where),
        mirror=read_text(row, "mirror", where) if row.get("mirror") is not None else None,
    )


def _parse_distance(row: Any, where: str) -> Distance:
    check_keys(row, where, {"a", "b"}, {"intra_observer_mm"})
    repeatability = _number(row, "intra_observer_mm", where)
    return Distance(read_text(row, "a", where), read_text(row, "b", where), repeatability)


def _parse_angle(row: Any, where: str) -> Angle:
    check_keys(row, where, {"a", "vertex", "c"}, {"intra_observer_deg"})
    a, vertex, c = (read_text(row, key, where) for key in ("a", "vertex", "c"))
    return Angle(a, vertex, c, _number(row, "intra_observer_deg", where))


def _number(row: dict[str, Any], key: str, where: str) -> float | None:
    return _to_repeatability(row.get(key), f"{key!r} of {where}")


def _to_repeatability(value: Any, name: str) -> float | None:
    if value is None:
        return None
    # JSON has no numbers of numpy's own types, as of a table's column.
    number = value.item() if isinstance(value, np.generic) else value
    is_number = isinstance(number, int | float) and not isinstance(number, bool)
    if not is_number or not 0 <= number <= sys.float_info.max:
        msg = f"{name} must be a finite number of at least 0; got {value!r:.40}."
        raise FormatError(msg)
    return float(number)


def _keep_repeatability(entry: LandmarkDefinition | Distance | Angle, name: str) -> None:
    """Require a number of at least 0, or None."""
    value = _to_repeatability(getattr(entry, name), name)
    object.__setattr__(entry, name, value)


def _check_unique(codes: tuple[str, ...]) -> None:
    repeated = sorted({code for code in codes if codes.count(code) > 1})
    if repeated:
        msg = f"landmark codes must be unique; got more than one of {', '.join(repeated)}."
        raise FormatError(msg)
