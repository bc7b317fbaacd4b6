# SPDX-License-Identifier: Apache-2.0
"""One state of a list of landmarks, which an undo brings back."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

# Fewer points than these fix no transform; a person does not move more than half of them at once.
_FEWEST_POINTS = 5
# How exactly a common transform has to explain where points went, as a share of their extent.
_JOINT_TOLERANCE = 1e-5
# Coordinates that differ by less, as a share of the largest, are the same: what a transform that
# does nothing but for rounding leaves.
SAME_SHARE = 1e-6


@dataclass(frozen=True, eq=False)
class ListState:
    """What an undo brings back.

    Attributes
    ----------
    positions : ndarray of shape (n, 3)
        The list's own coordinates, NaN where there is none.
    status : tuple of str
        Status per landmark, as in `palnet.LandmarkSet`.
    record : dict
        What is remembered of the detection; positions and pose in it are the list's own too.
    absent : frozenset of int
        Missing landmarks of which a person has agreed that the scan does not show them.
    mm_per_unit : float
        Millimeters in one unit of the list's own coordinates.
    errors_mm : tuple of float
        Expected errors, negative where unknown; not read where the record has those of a detection.
    """

    positions: np.ndarray
    status: tuple[str, ...]
    record: dict = field(default_factory=dict)
    absent: frozenset[int] = frozenset()
    mm_per_unit: float = 1.0
    errors_mm: tuple[float, ...] = ()

    def with_status(self, indices, status):
        """Give some landmarks a status.

        Parameters
        ----------
        indices : iterable of int
            Which landmarks.
        status : str
            Their status.

        Returns
        -------
        ListState
            The other landmarks as they are.
        """
        statuses = list(self.status)
        for index in indices:
            statuses[index] = status
        return replace(self, status=tuple(statuses))

    def taken_from(self, other, indices):
        """Take some landmarks from another state.

        Parameters
        ----------
        other : ListState
            Where from.
        indices : iterable of int
            Which landmarks.

        Returns
        -------
        ListState
            The other landmarks as they are; nobody has seen those taken.
        """
        positions, statuses = self.positions.copy(), list(self.status)
        for index in indices:
            positions[index], statuses[index] = other.positions[index], other.status[index]
        absent = self.absent - frozenset(indices)
        return replace(self, positions=positions, status=tuple(statuses), absent=absent)

    def carried(self, matrix, warp=None):
        """Carry everything along with a transform of all points.

        Parameters
        ----------
        matrix : ndarray of shape (4, 4)
            Affine, applied to column vectors from the left.
        warp : callable, optional
            Gives for points where they go, if the matrix tells that only roughly.

        Returns
        -------
        ListState
            Moved positions and record; the unit follows a change of scale.
        """
        positions = _moved(self.positions, matrix, warp)
        return replace(self.with_memory_carried(matrix, warp), positions=positions)

    def with_memory_carried(self, matrix, warp=None):
        """Carry record and unit along with a transform that has moved the points already.

        Parameters
        ----------
        matrix : ndarray of shape (4, 4)
            Affine, applied to column vectors from the left.
        warp : callable, optional
            As in `carried`.

        Returns
        -------
        ListState
            The positions as they are.
        """
        unit = rescaled_unit(self.mm_per_unit, matrix)
        return replace(self, record=carry_record(self.record, matrix, warp), mm_per_unit=unit)

    def moved_in(self, other):
        """Tell which landmarks lie elsewhere in another state.

        Parameters
        ----------
        other : ListState
            The other state.

        Returns
        -------
        list of int
            Which were moved, placed or taken away.
        """
        both = np.nan_to_num(np.abs([self.positions, other.positions]))
        limit = SAME_SHARE * max(1.0, both.max(initial=0.0))
        same = (np.abs(self.positions - other.positions) <= limit) | (
            np.isnan(self.positions) & np.isnan(other.positions)
        )
        return [int(index) for index in np.flatnonzero(~same.all(axis=1))]

    def changed_in(self, other):
        """Tell which landmarks are anything else in another state.

        Parameters
        ----------
        other : ListState
            The other state.

        Returns
        -------
        list of int
            Those of another position, another status, or agreed upon in one of the two only.
        """
        pairs = zip(self.status, other.status, strict=True)
        restated = {index for index, (mine, theirs) in enumerate(pairs) if mine != theirs}
        return sorted({*self.moved_in(other), *restated, *(self.absent ^ other.absent)})

    def is_same(self, other):
        """Tell whether another state is the same in everything.

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

    def differs_in_unit_only(self, other):
        """Tell whether another state is this one with another unit of the same numbers.

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


def carry_record(record, matrix, warp=None):
    """Carry what is remembered of a detection along with a transform of all points.

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


def _moved(rows, matrix, warp):
    """Give for points, (n, 3), where they go."""
    return rows @ matrix[:3, :3].T + matrix[:3, 3] if warp is None else warp(rows)


def rescaled_unit(mm_per_unit, matrix):
    """Give the unit of the coordinates that a transform makes of others.

    Parameters
    ----------
    mm_per_unit : float
        Millimeters in one unit before.
    matrix : ndarray of shape (4, 4)
        Affine.

    Returns
    -------
    float
        Millimeters in one unit after, without the rounding of the transform.
    """
    return float(f"{mm_per_unit / scale_of(matrix):.9g}")


def scale_of(matrix):
    """Tell by how much a transform scales lengths, on average over the directions.

    Parameters
    ----------
    matrix : ndarray of shape (4, 4)
        Affine.

    Returns
    -------
    float
        The cube root of what it does to volumes.
    """
    return float(np.cbrt(abs(np.linalg.det(matrix[:3, :3]))))


def joint_move(before, after):
    """Find the transform that took all points from one place to another.

    Whoever hardens or inverts a transform moves all points at once; that corrects no landmark.

    Parameters
    ----------
    before, after : ndarray of shape (n, 3)
        Positions, NaN where there is none.

    Returns
    -------
    ndarray of shape (4, 4) or None
        None if the points did not move as one, or hardly any did.
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
