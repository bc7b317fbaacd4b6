# SPDX-License-Identifier: Apache-2.0
"""A closer look at a surface: its holes, counted and measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from palnet.surface._mesh import Finding
from palnet.surface._winding import boundary_edges

if TYPE_CHECKING:
    from palnet.surface._prepare import Surface

__all__ = ["inspect_surface"]


def inspect_surface(surface: Surface) -> tuple[Finding, ...]:
    """Add what takes time to find out: the number of holes and the length of their rims.

    Parameters
    ----------
    surface : Surface
        The surface.

    Returns
    -------
    tuple of Finding
        The surface's own findings, with "holes" in detail.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    n_points = len(surface.points_mm)
    edges = boundary_edges(surface.triangles, n_points)
    others = tuple(each for each in surface.findings if each.code != "holes")
    if not len(edges):
        return others
    links = coo_matrix(
        (np.ones(len(edges), dtype=np.int8), (edges[:, 0], edges[:, 1])), shape=(n_points, n_points)
    )
    label = connected_components(links, directed=False)[1][edges[:, 0]]
    points = surface.points_mm
    lengths = np.linalg.norm(points[edges[:, 1]] - points[edges[:, 0]], axis=1)
    rims = np.bincount(label, weights=lengths)
    rims = np.sort(rims[np.bincount(label) > 0])[::-1]
    text = (
        f"The surface is open: {len(rims)} rims, the longest {rims[0]:.0f} mm round, "
        f"all together {rims.sum():.0f} mm."
    )
    return (*others, Finding("holes", text))
