# SPDX-License-Identifier: Apache-2.0
"""Findings in plain words: what was found in a mesh and repaired."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from palnet.surface._mesh import Finding
from palnet.surface._vectors import bounds
from palnet.surface._winding import EdgeCounts, boundary_edges

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from palnet.surface._surface import Surface

__all__ = [
    "MINOR_FINDINGS",
    "describe_cleaning",
    "describe_edges",
    "describe_neighbor",
    "describe_pieces",
    "describe_strays",
    "inspect_surface",
]

NEIGHBOR_SHARE = 0.5
"""A second face has at least this share of the area of the largest piece."""

MINOR_FINDINGS = frozenset(
    {
        "duplicate_triangles",
        "inconsistent_winding",
        "inward_normals",
        "non_manifold",
        "unreferenced_vertices",
    }
)
"""Faults that nearly every scan has and a detection copes with: nothing for the user to do."""

MOST = 0.9
"""A mirror image faces inward with at least this share of its triangles."""


def describe_cleaning(n_unused: int, n_dropped: int) -> list[Finding]:
    """Say what was dropped."""
    findings = []
    if n_unused:
        text = f"Vertices without a triangle, left out: {n_unused}."
        findings.append(Finding("unreferenced_vertices", text))
    if n_dropped:
        text = f"Triangles repeated or without an area, left out: {n_dropped}."
        findings.append(Finding("duplicate_triangles", text))
    return findings


def describe_strays(n_stray: int) -> list[Finding]:
    """Say how many triangles lead to stray vertices."""
    text = f"Triangles many times as long as the scan, left out: {n_stray}."
    return [Finding("stray_triangles", text)]


def describe_edges(edges: EdgeCounts, turned: tuple[int, int], n_triangles: int) -> list[Finding]:
    """Say how the triangles meet and which were reversed."""
    findings = []
    if edges.n_boundary:
        text = f"The surface is open; edges with one triangle only: {edges.n_boundary}."
        findings.append(Finding("holes", text))
    if edges.n_non_manifold:
        text = f"Edges shared by more than two triangles: {edges.n_non_manifold}."
        findings.append(Finding("non_manifold", text))
    if edges.n_clashing:
        text = f"Triangles wound against their neighbors, turned: {turned[0]}."
        findings.append(Finding("inconsistent_winding", text))
    if turned[1] >= MOST * n_triangles and turned[0] <= (1 - MOST) * n_triangles:
        text = (
            "The triangles face inward, as in a mirror image. If the scan was mirrored when it was "
            "exported or converted, left and right are exchanged: compare it with a photograph."
        )
        findings.append(Finding("inside_out", text))
    elif turned[1]:
        text = f"Triangles wound inward, turned outward: {turned[1]}."
        findings.append(Finding("inward_normals", text))
    return findings


def describe_pieces(piece: NDArray[np.int32], areas: NDArray[np.float64]) -> list[Finding]:
    """Say into how many pieces the surface is divided."""
    totals = np.bincount(piece, weights=areas)
    if len(totals) < 2:
        return []
    share = 100.0 * (1.0 - float(totals.max() / totals.sum()))
    text = f"Loose pieces besides the largest: {len(totals) - 1}, with {share:.2g} % of the area."
    return [Finding("loose_pieces", text)]


def describe_neighbor(
    points: NDArray[np.float64],
    triangles: NDArray[np.int32],
    piece: NDArray[np.int32],
    areas: NDArray[np.float64],
) -> list[Finding]:
    """Say that a loose piece about as large as the largest lies beside it: it may be a face, too.

    Clothes and the layers of one head lie around or within each other.
    """
    totals = np.bincount(piece, weights=areas)
    second, first = np.argsort(totals)[-2:] if len(totals) > 1 else (0, 0)
    if first == second or totals[second] < NEIGHBOR_SHARE * totals[first]:
        return []
    low, high = np.array(
        [bounds(points[triangles[piece == number].ravel()]) for number in (first, second)]
    ).swapaxes(0, 1)
    middle = (low + high) / 2
    is_within = (low <= middle[::-1]) & (middle[::-1] <= high)
    if is_within.all(axis=1).any():
        return []
    text = (
        "A loose piece beside the largest is about as large. If each shows a face, only one of the "
        "two gets landmarks: look which, or cut the scan apart."
    )
    return [Finding("second_body", text)]


def inspect_surface(surface: Surface) -> tuple[Finding, ...]:
    """Add findings that are slow to compute: the number of holes and the length of their rims.

    Parameters
    ----------
    surface : Surface
        The surface.

    Returns
    -------
    tuple of Finding
        The surface's own findings, with details for "holes".
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    n_points = len(surface.points_mm)
    edges = boundary_edges(surface.triangles)
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
        f"The surface is open; rims: {len(rims)}, together {rims.sum():.0f} mm, the longest "
        f"{rims[0]:.0f} mm."
    )
    return (*others, Finding("holes", text))
