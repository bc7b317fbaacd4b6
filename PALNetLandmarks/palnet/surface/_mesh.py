# SPDX-License-Identifier: Apache-2.0
"""A mesh as stored in its file: the file's own numbers, numbering and frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeVar, get_args

import numpy as np

from palnet._checks import check_finite, check_points, check_triangles
from palnet._frozen import Frozen, frozen
from palnet._numbers import to_numbers
from palnet.errors import MeshError
from palnet.landmarks import Space
from palnet.surface._vectors import count_within

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import ArrayLike, NDArray

__all__ = ["Finding", "Mesh", "ParsedMesh", "fan_triangles", "strip_triangles"]

_Index = TypeVar("_Index", np.int32, np.int64)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about the quality of a mesh that its user may want to know.

    Parameters
    ----------
    code : str
        Short name for programs, such as "holes" or "loose_pieces".
    message : str
        The same in plain words, with numbers.
    """

    code: str
    message: str


@dataclass(frozen=True, eq=False, slots=True)
class Mesh(Frozen):
    """The content of a mesh file, unchanged.

    Convention: coordinates are the file's own numbers in the file's own unit, which is not known
    here; `space` names the anatomical frame in which 3D Slicer would read them.

    Parameters
    ----------
    points : array_like of shape (n_points, 3)
        Vertex coordinates; kept as a read-only array, as all are.
    triangles : array_like of shape (n_triangles, 3)
        Vertex indices, counted from 0.
    name : str
        The file's stem, or "mesh".
    space : {"LPS", "RAS"}
        Frame given in the file's header; "LPS" if none, as in Slicer.
    findings : tuple of Finding
        What was noticed while reading.
    colors : ndarray of shape (n_points, 3), optional
        Red, green and blue of each vertex, 0 to 255 (sRGB); None if the scan has no color.

    Raises
    ------
    MeshError
        If the arrays are not as described above.
    """

    points: NDArray[np.float64]
    triangles: NDArray[np.int32]
    name: str = "mesh"
    space: Space = "LPS"
    findings: tuple[Finding, ...] = ()
    colors: NDArray[np.uint8] | None = None

    if TYPE_CHECKING:  # what is taken, which is more than what is kept

        def __init__(
            self,
            points: ArrayLike,
            triangles: ArrayLike,
            name: str = "mesh",
            space: Space = "LPS",
            findings: Iterable[Finding] = (),
            colors: NDArray[np.uint8] | None = None,
        ) -> None: ...

    def __post_init__(self) -> None:
        """Check the arrays and keep read-only ones."""
        try:
            self._check_and_freeze()
        except ValueError as err:
            raise MeshError(str(err)) from err

    def _check_and_freeze(self) -> None:
        if self.space not in get_args(Space) or not isinstance(self.name, str):
            msg = f"space must be LPS or RAS, name a text; got {self.space!r} and {self.name!r}."
            raise ValueError(msg)
        object.__setattr__(self, "findings", tuple(self.findings))
        object.__setattr__(self, "points", frozen(to_numbers(self.points, name="points")))
        check_points(self.points, name="points")
        check_finite(self.points, name="points")
        if np.ma.is_masked(self.triangles):
            msg = "triangles must not be masked; leave out the masked ones: np.ma.compress_rows."
            raise ValueError(msg)
        triangles = np.asarray(self.triangles)
        check_triangles(triangles, len(self.points), name="triangles")
        object.__setattr__(self, "triangles", frozen(triangles, np.int32))
        if self.colors is not None:
            colors = np.asarray(self.colors)
            if colors.dtype != np.uint8 or colors.shape != self.points.shape:
                msg = (
                    "colors must be 8-bit integers (uint8), red, green and blue for each of the "
                    f"{len(self.points)} points; got {colors.dtype} of shape {colors.shape}."
                )
                raise ValueError(msg)
            object.__setattr__(self, "colors", frozen(colors, np.uint8))

    def __repr__(self) -> str:
        colored = "without color" if self.colors is None else "with color"
        return (
            f"<Mesh {self.name!r}: {len(self.points)} points, {len(self.triangles)} triangles, "
            f"{colored}, {self.space}>"
        )


class ParsedMesh(NamedTuple):
    """Result of a format's parser, for `read_mesh`."""

    points: NDArray[np.float64]
    triangles: NDArray[np.int32] | NDArray[np.int64]
    header: str = ""
    findings: tuple[Finding, ...] = ()


def fan_triangles(corners: NDArray[_Index], counts: NDArray[np.int64]) -> NDArray[_Index]:
    """Split polygons, given as concatenated corners and corner counts, into triangle fans.

    One with fewer than three corners becomes a triangle without an area, which is counted and left
    out with the others of that kind when the surface is prepared.
    """
    if len(counts) == 0:
        return np.zeros((0, 3), dtype=corners.dtype)
    if (counts == 3).all():
        return corners.reshape(-1, 3)
    n_fans = np.maximum(counts - 2, np.minimum(counts, 1))
    first = np.repeat(np.cumsum(counts) - counts, n_fans)
    last = first + np.repeat(counts, n_fans) - 1
    step = first + count_within(n_fans)
    return np.stack(
        [corners[first], corners[np.minimum(step + 1, last)], corners[np.minimum(step + 2, last)]],
        axis=1,
    )


def strip_triangles(corners: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Split strips into triangles, reversing every second one."""
    n_each = np.maximum(counts - 2, 0)
    step = count_within(n_each)
    at = np.repeat(np.cumsum(counts) - counts, n_each) + step
    odd = step % 2
    return np.stack([corners[at], corners[at + 1 + odd], corners[at + 2 - odd]], axis=1)
