# SPDX-License-Identifier: Apache-2.0
"""Snapshots of a landmark list, for undo."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from palnet.landmarks import Status

    Warp = Callable[[NDArray[np.float64]], NDArray[np.float64]]

# Fewer points do not determine an affine; a person does not move more than half of them at once.
_FEWEST_POINTS = 5
# Tolerance for a common transform of all points, as a share of their extent.
_JOINT_TOLERANCE = 1e-5
# Coordinates are the same if they differ by less than this share of the largest: a transform that
# is the identity up to rounding leaves that.
SAME_SHARE = 1e-6


@dataclass(frozen=True, eq=False)
class ListState:
    """A snapshot that undo restores.

    Attributes
    ----------
    positions : ndarray of shape (n, 3)
        In the list's own coordinates, NaN where there is none.
    status : tuple of str
        Status per landmark, as in `palnet.LandmarkSet`.
    record : dict
        Record of the detection; its positions and pose are in the list's own coordinates too.
    absent : frozenset of int
        Missing landmarks that a person agreed are not visible on the scan.
    mm_per_unit : float
        Millimeters per unit of the list's own coordinates.
    errors_mm : tuple of float
        Expected errors, negative where unknown; not read where the record has those of a detection.
    """

    positions: NDArray[np.float64]
    status: tuple[Status, ...]
    record: dict[str, Any] = field(default_factory=dict)
    absent: frozenset[int] = frozenset()
    mm_per_unit: float = 1.0
    errors_mm: tuple[float, ...] = ()

    def with_status(self, indices: Iterable[int], status: Status) -> ListState:
        """Return a copy in which some landmarks have another status.

        Parameters
        ----------
        indices : iterable of int
            Indices of the landmarks.
        status : str
            The new status.

        Returns
        -------
        ListState
            The other landmarks are unchanged.
        """
        statuses = list(self.status)
        for index in indices:
            statuses[index] = status
        return replace(self, status=tuple(statuses))

    def taken_from(self, other: ListState, indices: Iterable[int]) -> ListState:
        """Return a copy with some landmarks taken from another state.

        Parameters
        ----------
        other : ListState
            The other state.
        indices : iterable of int
            Indices of the landmarks.

        Returns
        -------
        ListState
            The other landmarks are unchanged; those taken are not reviewed.
        """
        positions, statuses = self.positions.copy(), list(self.status)
        for index in indices:
            positions[index], statuses[index] = other.positions[index], other.status[index]
        absent = self.absent - frozenset(indices)
        return replace(self, positions=positions, status=tuple(statuses), absent=absent)

    def carried(self, matrix: NDArray[np.float64], warp: Warp | None = None) -> ListState:
        """Apply a transform of all points to positions and record.

        Parameters
        ----------
        matrix : ndarray of shape (4, 4)
            Affine, applied to column vectors from the left.
        warp : callable, optional
            Maps points to where they go, if the matrix is only an approximation.

        Returns
        -------
        ListState
            Moved positions and record; the unit follows a change of scale.
        """
        positions = _moved(self.positions, matrix, warp)
        return replace(self.with_memory_carried(matrix, warp), positions=positions)

    def with_memory_carried(
        self, matrix: NDArray[np.float64], warp: Warp | None = None
    ) -> ListState:
        """Apply a transform to record and unit only, as the points have already been moved.

        Parameters
        ----------
        matrix : ndarray of shape (4, 4)
            Affine, applied to column vectors from the left.
        warp : callable, optional
            As in `carried`.

        Returns
        -------
        ListState
            With unchanged positions.
        """
        unit = rescaled_unit(self.mm_per_unit, matrix)
        return replace(self, record=carry_record(self.record, matrix, warp), mm_per_unit=unit)

    def moved_in(self, other: ListState) -> list[int]:
        """Return the landmarks whose positions differ in another state.

        Parameters
        ----------
        other : ListState
            The other state.

        Returns
        -------
        list of int
            Landmarks that were moved, placed or removed.
        """
        both = np.nan_to_num(np.abs([self.positions, other.positions]))
        limit = SAME_SHARE * max(1.0, both.max(initial=0.0))
        same = (np.abs(self.positions - other.positions) <= limit) | (
            np.isnan(self.positions) & np.isnan(other.positions)
        )
        return [int(index) for index in np.flatnonzero(~same.all(axis=1))]

    def changed_in(self, other: ListState) -> list[int]:
        """Return the landmarks that differ in any way in another state.

        Parameters
        ----------
        other : ListState
            The other state.

        Returns
        -------
        list of int
            Landmarks whose position, status or agreement to be missing differs.
        """
        pairs = zip(self.status, other.status, strict=True)
        restated = {index for index, (mine, theirs) in enumerate(pairs) if mine != theirs}
        return sorted({*self.moved_in(other), *restated, *(self.absent ^ other.absent)})

    def is_same(self, other: ListState) -> bool:
        """Return whether another state is identical.

        Parameters
        ----------
        other : ListState
            The other state.

        Returns
        -------
        bool
            True if so.
        """
        is_alike = self.record == other.record and self.mm_per_unit == other.mm_per_unit
        return is_alike and not self.changed_in(other)

    def differs_in_unit_only(self, other: ListState) -> bool:
        """Return whether another state differs only in its unit, not in its numbers.

        Parameters
        ----------
        other : ListState
            The other state.

        Returns
        -------
        bool
            True if so.
        """
        is_other = self.mm_per_unit != other.mm_per_unit
        return is_other and replace(self, mm_per_unit=other.mm_per_unit).is_same(other)


def carry_record(
    record: dict[str, Any], matrix: NDArray[np.float64], warp: Warp | None = None
) -> dict[str, Any]:
    """Apply a transform of all points to the record of a detection.

    Parameters
    ----------
    record : dict
        As `ListState.record`.
    matrix : ndarray of shape (4, 4)
        Affine, applied to column vectors from the left.
    warp : callable, optional
        As in `ListState.carried`.

    Returns
    -------
    dict
        A new record.
    """
    carried = dict(record)
    if "detected" in record:
        rows = [row and _moved(np.array([row]), matrix, warp)[0] for row in record["detected"]]
        carried["detected"] = [row if row is None else row.tolist() for row in rows]
    if "face_from_list" in record:
        pose = np.array(record["face_from_list"]) @ np.linalg.inv(matrix)
        carried["face_from_list"] = pose.tolist()
    if "mm_per_unit" in record:
        carried["mm_per_unit"] = rescaled_unit(record["mm_per_unit"], matrix)
    return carried


def _moved(
    rows: NDArray[np.float64], matrix: NDArray[np.float64], warp: Warp | None
) -> NDArray[np.float64]:
    """Apply a matrix or warp to points, (n, 3)."""
    return rows @ matrix[:3, :3].T + matrix[:3, 3] if warp is None else warp(rows)


def rescaled_unit(mm_per_unit: float, matrix: NDArray[np.floating]) -> float:
    """Return the unit of transformed coordinates.

    Parameters
    ----------
    mm_per_unit : float
        Millimeters per unit before.
    matrix : ndarray of shape (4, 4)
        Affine.

    Returns
    -------
    float
        Millimeters per unit after, free of the rounding of the transform.
    """
    return float(f"{mm_per_unit / scale_of(matrix):.9g}")


def scale_of(matrix: NDArray[np.floating]) -> float:
    """Return the factor by which a transform scales lengths, averaged over directions.

    Parameters
    ----------
    matrix : ndarray of shape (4, 4)
        Affine.

    Returns
    -------
    float
        Cube root of its volume scale.
    """
    return float(np.cbrt(abs(np.linalg.det(matrix[:3, :3]))))


def joint_move(
    before: NDArray[np.float64], after: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    """Find the transform that took all points from one place to another.

    Hardening or inverting a transform moves all points at once; that is not a correction.

    Parameters
    ----------
    before, after : ndarray of shape (n, 3)
        Positions, NaN where there is none.

    Returns
    -------
    ndarray of shape (4, 4) or None
        None if the points did not move jointly, or hardly any did.
    """
    both = ~(np.isnan(before) | np.isnan(after)).any(axis=1)
    n_moved = int((before[both] != after[both]).any(axis=1).sum())
    if both.sum() < _FEWEST_POINTS or 2 * n_moved <= both.sum():
        return None
    source = np.column_stack([before[both], np.ones(int(both.sum()))])
    solution, _, rank, _ = np.linalg.lstsq(source, after[both], rcond=None)
    gaps = np.abs(source @ solution - after[both])
    extent = np.ptp(after[both], axis=0).max()
    if rank < 4 or gaps.max() > _JOINT_TOLERANCE * extent:  # affine in space
        return None
    matrix = np.eye(4)
    matrix[:3] = solution.T
    return matrix
