# SPDX-License-Identifier: Apache-2.0
"""Random people: identity, age-like shape, asymmetry and expression, all with exact landmarks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from palnet.synthesis.capture import compute_vertex_normals
from palnet.synthesis.conditions import add_scars, deform
from palnet.synthesis.extremes import find_label_weights
from palnet.synthesis.fields import bump, random_unit_vectors
from palnet.synthesis.lids import reshape_lids
from palnet.synthesis.morphable import WholeHead
from palnet.synthesis.widening import draw_regions, make_infantile, shrink_face

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from palnet.synthesis.morphable import MorphableModel

__all__ = ["Person", "draw_person"]

# Spread of the identity weights in standard deviations of the model, drawn for each person:
# patients of a clinic vary more than a light-stage sample of adults.
IDENTITY_SPREAD = (0.6, 1.25)
EXPRESSIVE_SHARE = 0.6
CHILD_SHARE = 0.3
# Closed eyes and open mouths are common in scans and are drawn separately.
CLOSED_EYES_SHARE = 0.2
BLINKS, CLOSED_FROM = ("eyeBlink_L", "eyeBlink_R"), 0.7
# As an eye closes from the first of these weights to the second, the visible end of its slit moves
# from the outer corner to the labelled end. Random expressions reach 0.6.
SLIT_FROM, SLIT_FULL = 0.6, 0.9
OPEN_MOUTH_SHARE = 0.15
# Real lips at rest differ from a model's neutral ones: pressed, rolled in, pouting, a faint smile.
LIPS_SHARE = 0.45
LIPS = (
    *("mouthPress_L", "mouthRollLower", "mouthRollUpper", "mouthPucker", "mouthFunnel"),
    *("mouthShrugLower", "mouthShrugUpper", "mouthSmile_L", "mouthFrown_L", "mouthStretch_L"),
    *("mouthDimple_L", "mouthLowerDown_L", "mouthUpperUp_L"),
)
# Whole heads are few, so each is varied by this much (standard deviation) of the difference between
# two others of its age, and in size.
HEAD_MIXING, HEAD_SIZE_SPREAD = 0.35, 0.06
# For people who vary more widely than their source: spread of the identity weights of each region,
# and share of infants if the source has none.
WIDE_SPREAD, INFANT_SHARE = (0.6, 1.5), 0.3
# Their eyes are closed more often, and their lids are reshaped (`palnet.synthesis.lids`).
WIDE_CLOSED_EYES_SHARE = 0.4
# anny's infants are smaller than real ones.
INFANT_GROWTH = (1.0, 1.25)


@dataclass(frozen=True, eq=False)
class Person:
    """One generated head before capture.

    Attributes
    ----------
    points_mm : ndarray of shape (n_fine, 3)
        The head on the fine points of the morphable model, in the face frame.
    size : float
        Size of the head as a share of a mean adult's.
    label_weights : sparse matrix of shape (n_landmarks, n_fine)
        The landmarks on the topology: ``label_weights @ points_mm``.
    is_covered : ndarray of shape (n_fine,)
        Points that no capture shows, behind lids that are one surface with what they cover.
    mouth_open : bool
        Whether the inner mouth is visible.
    may_have_beard : bool
        False for those known to be women or too young.
    description : dict
        Drawn parameters: childlike amount or the head's description, condition, expressions.
    """

    points_mm: NDArray[np.float32]
    size: float
    label_weights: sparse.csr_array
    is_covered: NDArray[np.bool_]
    mouth_open: bool
    may_have_beard: bool
    description: dict[str, object]

    @property
    def landmarks_mm(self) -> NDArray[np.float32]:
        """The landmarks on the skin, (n_landmarks, 3)."""
        return np.asarray(self.label_weights @ self.points_mm, dtype=np.float32)


def draw_person(model: MorphableModel, rng: np.random.Generator) -> Person:
    """Draw a random person.

    Parameters
    ----------
    model : MorphableModel
        The source of head shape.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    Person
        Head and landmarks.
    """
    # An unwidened source draws no number here, so that its people stay the same.
    is_wide = model.wide_share > 0 and rng.random() < model.wide_share
    draw_head = _choose_head if model.heads else _mix_head
    head = draw_head(model, rng, is_wide=is_wide)
    closed_share = WIDE_CLOSED_EYES_SHARE if is_wide else CLOSED_EYES_SHARE
    expressions = _draw_expressions(model, closed_share, rng)
    chosen = np.flatnonzero(expressions)
    acted = np.tensordot(expressions[chosen], model.expression_mm[chosen], axes=1)
    coarse, size, about = head.points_mm + np.float32(head.size) * acted, head.size, head.about
    if not model.heads:
        coarse, size, grown = _give_age(coarse, model.neutral_mm, rng, is_wide=is_wide)
        about = {**about, **grown}
    coarse, condition = deform(coarse, model.neutral_mm, size, rng)
    coarse = _warp(coarse, rng)
    points = np.asarray(model.refine @ coarse, dtype=np.float32)
    names = model.expression_names
    is_covered = np.zeros(len(points), dtype=bool)
    closed = bool(min(expressions[names.index(name)] for name in BLINKS) > CLOSED_FROM)
    if is_wide:
        points, is_covered, lids = reshape_lids(
            points,
            model.fine_template_mm,
            model.fine(model.is_eyeball),
            size,
            rng,
            closed=closed,
            slit_ends=[corner.point for corner in model.closed_corners],
        )
        about = {**about, **lids}
    normals = compute_vertex_normals(points, model.fine_triangles)
    points = add_scars(points, normals, model.fine_template_mm, rng)
    return Person(
        points_mm=points,
        size=size,
        label_weights=_move_closed_corners(
            find_label_weights(model.topology, points),
            model,
            expressions,
            sealed=closed and bool(about.get("lids_sealed")),
        ),
        is_covered=is_covered,
        mouth_open=bool(expressions[names.index("jawOpen")] > 0.1),
        may_have_beard=bool(about.get("may_have_beard", True)),
        description={
            **about,
            "condition": condition,
            "expressions": {names[i]: round(float(expressions[i]), 3) for i in chosen},
        },
    )


def _give_age(
    adult_mm: NDArray[np.float32],
    neutral_mm: NDArray[np.float32],
    rng: np.random.Generator,
    *,
    is_wide: bool,
) -> tuple[NDArray[np.float32], float, dict[str, object]]:
    """Apply the proportions of an age, as identity modes only cover adults."""
    if is_wide and rng.random() < INFANT_SHARE:
        head_mm, size, childlike = make_infantile(adult_mm, neutral_mm, rng)
        return head_mm, size, {"childlike": round(childlike, 3), "may_have_beard": False}
    head_mm, size, childlike = _grow(adult_mm, rng)
    return head_mm, size, {"childlike": round(childlike, 3)}


def _move_closed_corners(
    label_weights: sparse.csr_array,
    model: MorphableModel,
    expressions: NDArray[np.float32],
    *,
    sealed: bool,
) -> sparse.csr_array:
    """Move landmarks from under the upper lid towards the visible end of the slit."""
    moved = label_weights.tolil()
    for corner in model.closed_corners:
        weight = float(expressions[model.expression_names.index(corner.expression)])
        # Slits of sealed lids reach their ends, however much the source has closed the eye.
        share = 1.0 if sealed else np.clip((weight - SLIT_FROM) / (SLIT_FULL - SLIT_FROM), 0, 1)
        if share > 0:
            moved[[corner.landmark]] = (1 - share) * moved[[corner.landmark]]
            moved[corner.landmark, corner.point] += share
    return sparse.csr_array(moved)


def _mix_head(model: MorphableModel, rng: np.random.Generator, *, is_wide: bool) -> WholeHead:
    """Draw a random mixture of the identity modes, or one per region for a wide head."""

    def draw_weights(spreads: tuple[float, float]) -> tuple[NDArray[np.float32], float]:
        spread = rng.uniform(*spreads)
        weights = rng.normal(size=len(model.identity_mm)).astype(np.float32) * np.float32(spread)
        return weights, float(spread)

    if not is_wide:
        weights, spread = draw_weights(IDENTITY_SPREAD)
        points = model.neutral_mm + np.tensordot(weights, model.identity_mm, axes=1)
        return WholeHead(points, about={"identity_spread": round(spread, 3)})
    points = model.neutral_mm.astype(np.float32).copy()
    regions = draw_regions(model.neutral_mm, rng)
    for share in regions:
        weights, _ = draw_weights(WIDE_SPREAD)
        points += share[:, None] * np.tensordot(weights, model.identity_mm, axes=1)
    return WholeHead(points, about={"regions": len(regions)})


def _choose_head(model: MorphableModel, rng: np.random.Generator, *, is_wide: bool) -> WholeHead:
    """Choose one of the model's whole heads and mix it slightly with others of its age.

    The regions of a wide head come from several heads of one age.
    """
    number = int(rng.integers(len(model.heads)))
    head = model.heads[number]
    same_age = [h for h in model.heads if h.about.get("age_group") == head.about.get("age_group")]
    own, about = head.points_mm / np.float32(head.size), {"head": number, **head.about}
    if is_wide:
        regions = draw_regions(model.neutral_mm, rng)
        others = [same_age[int(k)] for k in rng.integers(len(same_age), size=len(regions) - 1)]
        parts = [own, *(other.points_mm / np.float32(other.size) for other in others)]
        own = np.einsum("rp,rpc->pc", regions, np.stack(parts))
        about["regions"] = len(regions)
    one, other = (same_age[int(k)] for k in rng.integers(len(same_age), size=2))
    share = np.float32(rng.normal(0, HEAD_MIXING))
    mixed = own + share * (one.points_mm / np.float32(one.size) - other.points_mm / other.size)
    grown = rng.uniform(*INFANT_GROWTH) if head.about.get("age_group") == "infant" else 1.0
    size = float(head.size * grown * np.exp(rng.normal(0, HEAD_SIZE_SPREAD)))
    points = np.asarray(np.float32(size) * mixed, dtype=np.float32)
    return WholeHead(points, size, about)


def _draw_expressions(
    model: MorphableModel, closed_share: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Draw weights of the expression modes, except for gaze and pupils."""
    names = model.expression_names
    weights = np.zeros(len(names), dtype=np.float32)
    usable = [i for i, n in enumerate(names) if not n.startswith(("eyeLook", "Pupil"))]
    if rng.random() < EXPRESSIVE_SHARE:
        for i in rng.choice(usable, size=rng.integers(1, 6), replace=False):
            _act(weights, names, names[i], rng.uniform(0, 0.5), rng)
    if rng.random() < LIPS_SHARE:
        for name in rng.choice(LIPS, size=rng.integers(1, 3), replace=False):
            _act(weights, names, str(name), rng.uniform(0.1, 0.8), rng)
    if rng.random() < closed_share:
        for name in BLINKS:
            weights[names.index(name)] = rng.uniform(CLOSED_FROM, 1.0)
    if rng.random() < OPEN_MOUTH_SHARE:
        weights[names.index("jawOpen")] = rng.uniform(0.1, 0.7)
    return weights


def _act(
    weights: NDArray[np.float32],
    names: tuple[str, ...],
    name: str,
    weight: float,
    rng: np.random.Generator,
) -> None:
    """Add an expression if the source has it, usually with its counterpart on the other side."""
    if name not in names:
        return
    weights[names.index(name)] = weight
    partner = name[:-1] + {"L": "R", "R": "L"}.get(name[-1], "")
    if partner in names and rng.random() < 0.7:
        weights[names.index(partner)] = weight * rng.uniform(0.7, 1.2)


def _grow(
    points_mm: NDArray[np.float32], rng: np.random.Generator
) -> tuple[NDArray[np.float32], float, float]:
    """Scale the head, make a share of them childlike, and return size and childlike amount.

    A child's cranium is nearly full-grown while jaw, nose and lower face are small: the face below
    the eyes is shortened and flattened by up to a fifth relative to the forehead, and the whole
    head is shrunk by up to a quarter.
    """
    childlike = float(rng.uniform(0.2, 1.0)) if rng.random() < CHILD_SHARE else 0.0
    grown = points_mm.astype(np.float32).copy()
    if childlike:
        shorter = childlike * rng.uniform(0.05, 0.2)
        flatter = childlike * rng.uniform(0.0, 0.12)
        shrink_face(grown, shorter, flatter, childlike * rng.uniform(-0.02, 0.06))
    size = rng.normal(1.0, 0.035) * (1 - 0.24 * childlike * rng.uniform(0.4, 1.0))
    size = float(np.clip(size, 0.74, 1.14))
    axes = rng.normal(1.0, 0.025, size=3)
    return (grown * (size * axes)).astype(np.float32), size, childlike


def _warp(points_mm: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Move surface and landmarks together by smooth bumps and a slow left-right twist."""
    warped = points_mm.copy()
    n_bumps = int(rng.integers(6, 16))
    centres = points_mm[rng.integers(0, len(points_mm), n_bumps)]
    for centre, direction in zip(centres, random_unit_vectors(rng, n_bumps), strict=True):
        sigma_mm = rng.uniform(12, 45)
        height_mm = rng.exponential(0.05) * sigma_mm * 0.5
        height_mm = min(height_mm, 0.12 * sigma_mm)
        warped += height_mm * bump(points_mm, centre, sigma_mm)[:, None] * direction
    shear = rng.normal(0, 0.012, size=(3, 3)).astype(np.float32)
    np.fill_diagonal(shear, 0)
    twist = rng.normal(0, 2e-4)
    warped[:, 0] += twist * warped[:, 1] * warped[:, 2] / 10
    return warped + warped @ shear.T
