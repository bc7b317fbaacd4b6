# SPDX-License-Identifier: Apache-2.0
"""A set of placed landmarks: position, expected error, status, frame and unit."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from palnet._checks import check_length, check_points
from palnet._frozen import Frozen, frozen_copy
from palnet._numbers import to_numbers
from palnet.scheme import Scheme, check_scheme

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "FRAMES",
    "OTHER_AXES",
    "PLACED",
    "STATUSES",
    "Frame",
    "LandmarkSet",
    "Space",
    "Status",
    "check_landmark_set",
    "printable_name",
]

Status = Literal["detected", "corrected", "confirmed", "missing", "undefined"]
Space = Literal["LPS", "RAS"]
Frame = Literal["file", "LPS", "RAS"]

STATUSES: tuple[Status, ...] = get_args(Status)
FRAMES: tuple[Frame, ...] = get_args(Frame)
# Converts LPS to RAS, and back.
OTHER_AXES = np.array([-1.0, -1.0, 1.0])
OTHER_AXES.flags.writeable = False
# The statuses of a landmark with a position; the others never have one.
PLACED: tuple[Status, ...] = ("detected", "corrected", "confirmed")


def printable_name(name: str) -> str:
    r"""Make a specimen name from a file name, which may contain almost any character.

    Parameters
    ----------
    name : str
        Any text, such as a file name with a full-width space or a byte that is not UTF-8.

    Returns
    -------
    str
        The text with ``_`` for every unprintable character and accented letters composed:
        unlike other systems, macOS decomposes them in file names.

    Examples
    --------
    >>> printable_name("Anna\tB")
    'Anna_B'
    """
    composed = unicodedata.normalize("NFC", name)
    return "".join(c if c.isprintable() else "_" for c in composed)


@dataclass(frozen=True, eq=False, slots=True)
class LandmarkSet(Frozen):
    """The landmarks of one scan.

    Convention: rows are in the order of the scheme. In the frame ``"file"`` positions are the
    numbers of the scan file, and `mm_per_unit` converts them to millimetres; `space` says how those
    axes are read anatomically by 3D Slicer (LPS: +x left, +y posterior, +z superior). In the
    frames ``"LPS"`` and ``"RAS"`` positions are millimetres.

    Attributes
    ----------
    scheme : Scheme
        Which landmarks these are.
    positions : ndarray of shape (n_landmarks, 3)
        Positions in `frame`, NaN where there is none.
    status : tuple of str
        ``"detected"``, ``"corrected"`` or ``"confirmed"`` with a position; ``"missing"`` (not on
        this scan) or ``"undefined"`` (not placed yet) without.
    expected_error_mm : ndarray of shape (n_landmarks,)
        Expected distance from the true position, NaN where unknown.
    mm_per_unit : float
        Millimetres in one unit of the positions.
    frame : {"file", "LPS", "RAS"}
        The frame of the positions.
    specimen : str
        Name of the scan, as shown in tables.
    space : {"LPS", "RAS"}
        The anatomical axes that the scan file's numbers stand for.
    """

    scheme: Scheme
    positions: NDArray[np.float64]
    status: tuple[Status, ...]
    expected_error_mm: NDArray[np.float64]
    mm_per_unit: float
    frame: Frame
    specimen: str
    space: Space = "LPS"

    if TYPE_CHECKING:  # what is taken, which is more than what is kept

        def __init__(  # noqa: PLR0913  # one for each attribute
            self,
            scheme: Scheme,
            positions: ArrayLike,
            status: Iterable[Status],
            expected_error_mm: ArrayLike,
            mm_per_unit: float,
            frame: Frame,
            specimen: str,
            space: Space = "LPS",
        ) -> None: ...

    def __post_init__(self) -> None:
        for name in ("positions", "expected_error_mm"):
            values = to_numbers(getattr(self, name), name=name)
            object.__setattr__(self, name, frozen_copy(values))
        object.__setattr__(self, "status", tuple(self.status))
        check_scheme(self.scheme)
        self._check_shapes()
        self._check_status()
        self._check_frame()

    def __len__(self) -> int:
        return len(self.scheme)

    def __repr__(self) -> str:
        return (
            f"<LandmarkSet {self.specimen!r}: {self.is_placed.sum()} of {len(self)} landmarks of "
            f"{self.scheme.name} placed, frame {self.frame}, {self.mm_per_unit:g} mm per unit>"
        )

    @property
    def is_placed(self) -> NDArray[np.bool_]:
        """Which landmarks have a position, of shape (n_landmarks,)."""
        return np.array([status in PLACED for status in self.status])

    @property
    def is_at_origin(self) -> NDArray[np.bool_]:
        """Which have the position 0, 0, 0, which some programs use for missing: (n_landmarks,)."""
        return self.is_placed & ~self.positions.any(axis=1)

    @property
    def is_unreviewed(self) -> bool:
        """Whether all are as a detection placed them: with its errors, none of them confirmed."""
        detected = np.array([status == "detected" for status in self.status])
        is_own = detected & np.isfinite(self.expected_error_mm)
        return bool(self.is_placed.any() and is_own[self.is_placed].all())

    @property
    def positions_mm(self) -> NDArray[np.float64]:
        """Positions in millimetres along the axes of `frame`, of shape (n_landmarks, 3)."""
        return self.positions * self.mm_per_unit

    def to_frame(self, frame: Frame) -> LandmarkSet:
        """Convert the positions to another frame.

        Convention: to ``"LPS"`` or ``"RAS"`` the result is in millimetres; the two differ by the
        sign of x and y. The file's own frame cannot be recovered from them.

        Parameters
        ----------
        frame : {"file", "LPS", "RAS"}
            The frame to convert to.

        Returns
        -------
        LandmarkSet
            The same landmarks; this set itself if it is in that frame already.

        Raises
        ------
        ValueError
            If the frame is unknown, or is ``"file"`` and this set is in another.
        """
        if frame not in FRAMES:
            msg = f"frame must be one of {', '.join(FRAMES)}; got {frame!r}."
            raise ValueError(msg)
        if frame == self.frame:
            return self
        if frame == "file":
            msg = (
                f"frame 'file' cannot be reached from {self.frame!r}: unit and axes of the file "
                "are no longer known. Use the set as it was detected or read."
            )
            raise ValueError(msg)
        signs = 1.0 if frame == self.space else OTHER_AXES
        positions = self.positions_mm * signs
        return replace(self, positions=positions, mm_per_unit=1.0, frame=frame, space=frame)

    def to_scheme(self, scheme: Scheme) -> LandmarkSet:
        """Convert to another scheme, matching landmarks by code.

        Parameters
        ----------
        scheme : Scheme
            The scheme to convert to.

        Returns
        -------
        LandmarkSet
            The same positions in the other scheme's order; landmarks that this set's scheme does
            not have are undefined.

        Raises
        ------
        ValueError
            If it is no `Scheme`, such as only the name of one.
        """
        check_scheme(scheme)
        if self.scheme.codes == scheme.codes:
            return self if self.scheme == scheme else replace(self, scheme=scheme)
        known = {code: row for row, code in enumerate(self.scheme.codes)}
        rows = [known.get(code) for code in scheme.codes]
        nowhere = np.full(3, np.nan)
        return replace(
            self,
            scheme=scheme,
            positions=np.array([nowhere if r is None else self.positions[r] for r in rows]),
            status=tuple("undefined" if r is None else self.status[r] for r in rows),
            expected_error_mm=np.array(
                [np.nan if r is None else self.expected_error_mm[r] for r in rows]
            ),
        )

    def _check_shapes(self) -> None:
        n_landmarks = len(self.scheme)
        check_points(self.positions, name="positions")
        for name, got in (
            ("positions", len(self.positions)),
            ("status", len(self.status)),
            ("expected_error_mm", self.expected_error_mm.size),
        ):
            if got != n_landmarks:
                msg = (
                    f"{name} must hold {n_landmarks} landmarks, as scheme {self.scheme.name!r} "
                    f"does; got {got}."
                )
                raise ValueError(msg)
        errors = self.expected_error_mm
        if errors.shape != (n_landmarks,) or (errors < 0).any() or np.isinf(errors).any():
            msg = (
                f"expected_error_mm must have shape ({n_landmarks},) and be at least 0, or NaN "
                f"where unknown; got shape {errors.shape}."
            )
            raise ValueError(msg)

    def _check_status(self) -> None:
        for status in self.status:
            if status not in STATUSES:
                msg = f"status must be one of {', '.join(STATUSES)}; got {status!r}."
                raise ValueError(msg)
        for code, status, row in zip(self.scheme.codes, self.status, self.positions, strict=True):
            if status in PLACED and not np.isfinite(row).all():
                msg = f"landmark {code!r} is {status} and must have a position; got {row}."
                raise ValueError(msg)
            if status not in PLACED and not np.isnan(row).all():
                msg = f"landmark {code!r} is {status} and its position must be NaN; got {row}."
                raise ValueError(msg)

    def _check_frame(self) -> None:
        if self.frame not in FRAMES or self.space not in get_args(Space):
            msg = (
                f"frame must be one of {', '.join(FRAMES)} and space LPS or RAS; "
                f"got {self.frame!r} and {self.space!r}."
            )
            raise ValueError(msg)
        check_length(self.mm_per_unit, name="mm_per_unit")
        # JSON has no numbers of numpy's own types, as of a table's column.
        object.__setattr__(self, "mm_per_unit", float(self.mm_per_unit))
        if self.frame != "file" and (self.mm_per_unit != 1.0 or self.space != self.frame):
            msg = (
                f"positions in frame {self.frame!r} are millimeters along {self.frame} axes; "
                f"got mm_per_unit {self.mm_per_unit} and space {self.space!r}. "
                "Use frame 'file', or to_frame."
            )
            raise ValueError(msg)
        is_text = isinstance(self.specimen, str)
        if not (is_text and self.specimen and self.specimen.isprintable()):
            msg = f"specimen must be a name on one line; got {self.specimen!r}."
            raise ValueError(msg)


def check_landmark_set(value: object, *, name: str, error: type[ValueError] = ValueError) -> None:
    """Require a set of landmarks, not the detection that holds it, or a file's name."""
    if not isinstance(value, LandmarkSet):
        msg = (
            f"{name} must be a LandmarkSet; got {type(value).__name__}. Of a detection, give its "
            "landmarks (detection.landmarks); of a file, read them (palnet.read_landmarks)."
        )
        raise error(msg)
