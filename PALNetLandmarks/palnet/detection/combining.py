# SPDX-License-Identifier: Apache-2.0
"""Where shape and color of a scan both show a landmark, combine what they say."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from palnet.photo import color_surface, look_at_face
from palnet.similarity import apply_similarity, invert_similarity, similarity_scale
from palnet.surface import Finding, project_onto_triangles

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from palnet.detection.fitting import FoundFace
    from palnet.detection.placing import Placement
    from palnet.model import Model
    from palnet.photo import PhotoOpinion
    from palnet.surface import Mesh

__all__ = ["COLOR_NOT_ASKED", "Combined", "combine_with_color"]

COLOR_NOT_ASKED: dict[str, object] = {"used": False, "reason": "not asked for"}
"""What is recorded of the color of a scan if it was not to be used."""


class _Seen(NamedTuple):
    """What the network for photographs knows about a landmark, in mm of the face frame.

    Attributes
    ----------
    beside_mm : tuple of float
        Where its point lies as seen from ours: to the subject's left, up, to the front.
    error_mm : float
        How far it is off on average after that is subtracted.
    """

    beside_mm: tuple[float, float, float]
    error_mm: float

    def mirrored(self) -> _Seen:
        """Return the same for the other side."""
        left, up, front = self.beside_mm
        return self._replace(beside_mm=(-left, up, front))


# By `python -m benchmarks.fit_color` on 300 painted development people, half of each source; the
# two sources agree to 0.6 mm. Not asked about: subnasale and the outer corners of the eyes, whose
# points lie elsewhere (2 to 4 mm inward), stomion, which is not found where the mouth is open, and
# pronasale, which shape shows better.
_RIGHT_AND_MIDLINE = {
    "en_r": _Seen((0.90, -0.75, 0.74), 1.3),
    "ls": _Seen((0.0, -0.62, -0.05), 1.3),
    "li": _Seen((0.0, -0.81, -0.62), 1.5),
    "cph_r": _Seen((0.19, 0.48, -0.12), 1.5),
    "ch_r": _Seen((0.87, 0.41, 0.40), 1.5),
}
SEEN_BY_COLOR = _RIGHT_AND_MIDLINE | {
    f"{code[:-2]}_l": seen.mirrored()
    for code, seen in _RIGHT_AND_MIDLINE.items()
    if code.endswith("_r")
}
"""The landmarks that color shows, by their codes."""

# If half of the landmarks are farther apart, the colors do not show this face: they may stand for
# something else, such as distances, or the texture is that of another scan.
MOST_APART_MM = 5.0
# If most lie to one side by more than this, the texture is not where it belongs. It is 2.6 mm at
# most on the painted people, whose colors are in their places (`benchmarks.fit_color`).
MOST_SHIFTED_MM = 3.5
# A single landmark that is farther away was seen on something else, such as a strand of hair: one
# in two hundred on the painted people.
ANOTHER_MM = 10.0


class Combined(NamedTuple):
    """A placement after the colors of the scan have been considered.

    Attributes
    ----------
    placement : Placement
        The combined positions and expected errors; as it was if there was nothing to combine.
    findings : tuple of Finding
        Finding "color" if shape and color contradict each other.
    record : dict, optional
        What was seen, for the provenance; None if the scan has no color.
    """

    placement: Placement
    findings: tuple[Finding, ...] = ()
    record: dict[str, object] | None = None


def combine_with_color(
    placement: Placement, found: FoundFace, mesh: Mesh, model: Model
) -> Combined:
    """Ask the network for photographs about lips and eyes, and combine its answers.

    Each is weighted by its expected error. Where the two lie farther apart than these errors allow,
    the expected error of the result is larger by the same factor (Birge 1932, doi
    10.1103/PhysRev.40.207).

    Parameters
    ----------
    placement : Placement
        What was placed by shape.
    found : FoundFace
        The face.
    mesh : Mesh
        The scan as it is in its file.
    model : Model
        What placed it; nothing is combined if it does not use color.

    Returns
    -------
    Combined
        Landmarks that are not placed stay so.
    """
    if mesh.colors is None or not model.uses_color:
        return Combined(placement)
    in_mm = np.diag([*[found.surface.unit.mm_per_unit] * 3, 1.0])
    colors = color_surface(found.face, mesh, found.face_from_scan @ in_mm)
    opinion = None if colors is None else look_at_face(found.face, colors)
    if opinion is None:
        return Combined(placement, (), _unused("no face in the pictures"))
    return _combine(placement, found, opinion, model)


def _unused(reason: str) -> dict[str, object]:
    """Record why the colors were not used."""
    return {"used": False, "reason": reason}


class _Pairs(NamedTuple):
    """The landmarks that both show: rows of the scheme, and their places in the face frame."""

    rows: NDArray[np.int64]
    shape_mm: NDArray[np.float64]
    color_mm: NDArray[np.float64]


def _combine(
    placement: Placement, found: FoundFace, opinion: PhotoOpinion, model: Model
) -> Combined:
    """Combine, if both see the same face."""
    codes = model.scheme.codes
    both = _pair(placement, found, opinion, codes)
    if not len(both.rows):
        return Combined(placement, (), _unused("the colors show none of the landmarks"))
    if _contradict(both):
        text = (
            "The colors of the scan do not show this face where its shape does, so landmarks are "
            "placed by shape alone. Check whether the texture belongs to the scan."
        )
        record = _unused("shape and color contradict each other")
        return Combined(placement, (Finding("color", text),), record)
    return _average(placement, found, opinion, codes, both)


def _pair(
    placement: Placement, found: FoundFace, opinion: PhotoOpinion, codes: tuple[str, ...]
) -> _Pairs:
    """Collect what both say about the landmarks that color shows."""
    asked = [code for code in SEEN_BY_COLOR if code in codes]
    rows = np.array([codes.index(code) for code in asked], dtype=np.int64)
    shape_mm = apply_similarity(found.face_from_scan, placement.positions_mm[rows])
    beside_mm = np.array([SEEN_BY_COLOR[code].beside_mm for code in asked]).reshape(-1, 3)
    color_mm = opinion.positions_mm[[opinion.codes.index(code) for code in asked]] - beside_mm
    is_shown = placement.is_placed[rows] & np.isfinite(color_mm).all(axis=1)
    return _Pairs(rows[is_shown], shape_mm[is_shown], color_mm[is_shown])


def _contradict(both: _Pairs) -> bool:
    """Whether shape and color cannot be of one face, in one place."""
    apart_mm = both.color_mm - both.shape_mm
    median_mm = np.median(np.linalg.norm(apart_mm, axis=1))
    shift_mm = np.linalg.norm(np.median(apart_mm, axis=0))
    return bool(median_mm > MOST_APART_MM or shift_mm > MOST_SHIFTED_MM)


def _average(
    placement: Placement,
    found: FoundFace,
    opinion: PhotoOpinion,
    codes: tuple[str, ...],
    both: _Pairs,
) -> Combined:
    """Average what both say."""
    scale = similarity_scale(found.face_from_scan)
    apart_mm = np.linalg.norm(both.color_mm - both.shape_mm, axis=1)
    is_used = apart_mm < ANOTHER_MM
    used = both.rows[is_used]
    errors_mm = (
        placement.expected_error_mm[used] * scale,
        np.array([SEEN_BY_COLOR[codes[row]].error_mm for row in used]),
    )
    joint_mm, joint_error_mm = _weigh(both.shape_mm[is_used], both.color_mm[is_used], errors_mm)
    on_skin_mm = project_onto_triangles(found.face, joint_mm).points_mm
    positions_mm, expected_mm = placement.positions_mm.copy(), placement.expected_error_mm.copy()
    positions_mm[used] = apply_similarity(invert_similarity(found.face_from_scan), on_skin_mm)
    expected_mm[used] = joint_error_mm / scale
    record = {
        "used": True,
        "network_sha256": opinion.network_sha256,
        "pictures": opinion.n_pictures,
        "apart_mm": {
            codes[row]: round(float(apart), 2)
            for row, apart in zip(used, apart_mm[is_used] / scale, strict=True)
        },
    }
    combined = replace(placement, positions_mm=positions_mm, expected_error_mm=expected_mm)
    return Combined(combined, (), record)


def _weigh(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    errors_mm: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Average two measurements of each point by their errors; return it and its error."""
    first_mm, second_mm = errors_mm
    together_mm = np.hypot(first_mm, second_mm)
    weight = (first_mm / together_mm) ** 2
    apart_mm = np.linalg.norm(second - first, axis=1)
    ratio = np.maximum(1.0, apart_mm / together_mm)
    joint_mm = first_mm * second_mm / together_mm * ratio
    return first + weight[:, None] * (second - first), joint_mm
