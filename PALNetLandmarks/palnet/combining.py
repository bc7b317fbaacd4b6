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

    from palnet.fitting import FoundFace
    from palnet.model import Model
    from palnet.photo import PhotoOpinion
    from palnet.placing import Placement
    from palnet.surface import Mesh

__all__ = ["Combined", "combine_with_color"]

# How far the network for photographs is off on average, in millimetres of the face frame, for the
# landmarks that it is asked about. Lips and corners of the eyes are seen by their color. What else
# it knows is not at the same place on the face (subnasale, the outer corners of the eyes, whose
# point lies 2 to 4 mm inward), or is seen better by shape (pronasale).
PHOTO_ERROR_MM = {
    "en_r": 1.8,
    "en_l": 1.8,
    "ls": 1.2,
    "sto": 1.2,
    "li": 1.2,
    "cph_r": 1.2,
    "cph_l": 1.2,
    "ch_r": 1.5,
    "ch_l": 1.5,
}
# If half of the landmarks that both know are farther apart, the colors do not show this face: they
# may stand for something else, such as distances, or the texture is that of another scan.
MOST_APART_MM = 5.0


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

    A model that was trained on annotated scans of a lab follows its annotators, of whom the network
    for photographs knows nothing, and is not combined.

    Parameters
    ----------
    placement : Placement
        What was placed by shape.
    found : FoundFace
        The face.
    mesh : Mesh
        The scan as it is in its file.
    model : Model
        What placed it.

    Returns
    -------
    Combined
        Landmarks that are not placed stay so.
    """
    if mesh.colors is None or not model.calibration.is_for_unseen_source:
        return Combined(placement)
    in_mm = np.diag([*[found.surface.unit.mm_per_unit] * 3, 1.0])
    colors = color_surface(found.face, mesh, found.face_from_scan @ in_mm)
    opinion = None if colors is None else look_at_face(found.face, colors)
    if opinion is None:
        return Combined(placement, (), {"used": False, "reason": "no face in the pictures"})
    return _combine(placement, found, opinion, model)


def _combine(
    placement: Placement, found: FoundFace, opinion: PhotoOpinion, model: Model
) -> Combined:
    """Combine, if both see the same face."""
    codes = model.scheme.codes
    known = [number for number, code in enumerate(opinion.codes) if code in codes]
    rows = np.array([codes.index(opinion.codes[number]) for number in known], dtype=np.int64)
    shape_mm = apply_similarity(found.face_from_scan, placement.positions_mm[rows])
    color_mm = opinion.positions_mm[known]
    apart_mm = np.linalg.norm(color_mm - shape_mm, axis=1)
    is_shown = placement.is_placed[rows] & np.isfinite(apart_mm)
    middle_mm = float(np.median(apart_mm[is_shown])) if is_shown.any() else np.inf
    if middle_mm > MOST_APART_MM:
        text = (
            "the colors of the scan do not show this face where its shape does, so landmarks are "
            "placed by shape alone. Check whether the texture belongs to the scan."
        )
        record = {"used": False, "reason": "shape and color contradict each other"}
        return Combined(placement, (Finding("color", text),), record)
    is_asked = is_shown & np.isin(rows, [codes.index(c) for c in PHOTO_ERROR_MM if c in codes])
    asked = rows[is_asked]
    scale = similarity_scale(found.face_from_scan)
    errors_mm = (
        placement.expected_error_mm[asked] * scale,
        np.array([PHOTO_ERROR_MM[codes[row]] for row in asked]),
    )
    joint_mm, expected_mm = _weigh((shape_mm[is_asked], color_mm[is_asked]), errors_mm)
    on_skin_mm = project_onto_triangles(found.face, joint_mm).points_mm
    positions_mm = placement.positions_mm.copy()
    positions_mm[asked] = apply_similarity(invert_similarity(found.face_from_scan), on_skin_mm)
    expected_error_mm = placement.expected_error_mm.copy()
    expected_error_mm[asked] = expected_mm / scale
    combined = replace(placement, positions_mm=positions_mm, expected_error_mm=expected_error_mm)
    record = {
        "used": True,
        "network_sha256": opinion.network_sha256,
        "pictures": opinion.n_pictures,
        "landmarks": [codes[row] for row in asked],
        "apart_mm": [round(float(apart), 2) for apart in apart_mm[is_asked] / scale],
    }
    return Combined(combined, (), record)


def _weigh(
    points_mm: tuple[NDArray[np.float64], NDArray[np.float64]],
    errors_mm: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Average two measurements of each point by their errors; return it and its error."""
    (first, second), (first_mm, second_mm) = points_mm, errors_mm
    together = first_mm**2 + second_mm**2
    weight = first_mm**2 / together
    apart_mm = np.linalg.norm(second - first, axis=1)
    ratio = np.maximum(1.0, apart_mm / np.sqrt(together))
    return first + weight[:, None] * (second - first), first_mm * second_mm / np.sqrt(
        together
    ) * ratio
