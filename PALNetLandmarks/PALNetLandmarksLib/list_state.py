# SPDX-License-Identifier: Apache-2.0
"""One state of a list of landmarks, which an undo brings back."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True, eq=False)
class ListState:
    """What an undo brings back.

    Attributes
    ----------
    positions : ndarray of shape (n, 3)
        The list's own coordinates, NaN where there is none.
    status : tuple of str
        Status per landmark, as in `palnet.LandmarkSet`.
    absent : frozenset of int
        Missing landmarks of which a person has agreed that the scan does not show them.
    """

    positions: np.ndarray
    status: tuple[str, ...]
    absent: frozenset[int] = frozenset()

    def replaced(self, **changes):
        """Give a copy with other fields.

        Parameters
        ----------
        **changes
            Fields and their values.

        Returns
        -------
        ListState
            The copy.
        """
        return replace(self, **changes)

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
        return ListState(positions, tuple(statuses), absent)

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
        same = (self.positions == other.positions) | (
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
