# SPDX-License-Identifier: Apache-2.0
"""A small morphable head generated in code, so that no test needs a data file.

An ellipsoid with size and position of the real model's mean head, with nose, brow ridge, eye
sockets, a mouth groove, a chin and two ears, exactly symmetric; eyeballs and an inner mouth; a few
modes of identity and expression. Its layout is that of the packed ICT-FaceKit file.
"""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from palnet.scheme import Angle, Distance, LandmarkDefinition, Scheme
from palnet.surface import PointCloud
from palnet.synthesis import MorphableModel, ScanGenerator
from palnet.synthesis.morphable import loop_subdivision

if TYPE_CHECKING:
    from pathlib import Path

    from palnet.face.atlas import FaceAtlas

N_RINGS, N_SECTORS = 30, 48
CENTRE_MM = np.array([0.0, 10.0, 0.0])
RADII_MM = np.array([74.0, 112.0, 105.0])
# Skin points in front of this belong to the part "face".
FACE_FROM_MM = 20.0

# Where to look for the landmarks of the right side and the midline on the skin.
TARGETS_MM = {
    "n": (0.0, 44.0, 107.0),
    "prn": (0.0, 2.0, 131.0),
    "sn": (0.0, -13.0, 110.0),
    "sto": (0.0, -33.0, 104.0),
    "gn": (0.0, -78.0, 90.0),
    "ex_r": (-45.0, 34.0, 86.0),
    "en_r": (-18.0, 33.0, 92.0),
    "ch_r": (-25.0, -35.0, 96.0),
    "t_r": (-76.0, 11.0, 12.0),
}
EXPRESSIONS = (
    "PupilDilate_L",
    "browDown_L",
    "browDown_R",
    "cheekPuff_L",
    "cheekPuff_R",
    "eyeBlink_L",
    "eyeBlink_R",
    "eyeLookUp_L",
    "jawOpen",
    "mouthPucker",
    "mouthSmile_L",
    "mouthSmile_R",
)


@cache
def toy_scheme() -> Scheme:
    """Make a scheme of five midline landmarks and four on each side, with measurements."""
    codes = [c for c in TARGETS_MM if not c.endswith("_r")]
    codes += [c for c in TARGETS_MM if c.endswith("_r")]
    codes += [c.replace("_r", "_l") for c in TARGETS_MM if c.endswith("_r")]
    side = {"_r": "right", "_l": "left"}
    return Scheme(
        "toy13",
        tuple(
            LandmarkDefinition(code, code.upper(), side.get(code[-2:], "midline"), "On the toy.")
            for code in codes
        ),
        (Distance("ex_r", "ex_l"), Distance("n", "sn")),
        (Angle("n", "prn", "sn"),),
    )


@cache
def toy_arrays() -> dict[str, np.ndarray]:
    """Make the arrays of a packed model file."""
    skin, skin_triangles = _make_skin()
    parts = {"face": skin[skin[:, 2] > FACE_FROM_MM]}
    order = np.argsort(skin[:, 2] <= FACE_FROM_MM, kind="stable")
    parts["head_and_neck"] = skin[order[len(parts["face"]) :]]
    triangles = [np.argsort(order)[skin_triangles]]
    first = len(skin)
    for name, (centre, radii) in {
        "eyeball_left": ((31.0, 34.0, 76.0), (12.0, 12.0, 12.0)),
        "eyeball_right": ((-31.0, 34.0, 76.0), (12.0, 12.0, 12.0)),
        "mouth_socket": ((0.0, -33.0, 78.0), (22.0, 8.0, 20.0)),
        "gums_and_tongue": ((0.0, -37.0, 78.0), (14.0, 3.0, 14.0)),
        "teeth": ((0.0, -30.0, 80.0), (16.0, 3.0, 14.0)),
        "eyelashes": ((0.0, 34.0, 100.0), (40.0, 1.0, 1.0)),
    }.items():
        points, part_triangles = _make_ellipsoid(6, 8, np.array(centre), np.array(radii))
        parts[name] = points
        triangles.append(part_triangles + first)
        first += len(points)
    stops = np.cumsum([len(points) for points in parts.values()])
    neutral = np.concatenate(list(parts.values())).astype(np.float32)
    return {
        "neutral_mm": neutral,
        "triangles": np.concatenate(triangles).astype(np.int32),
        "identity_mm": _identity_modes(neutral),
        "expression_mm": np.stack([_expression(name, neutral) for name in EXPRESSIONS]),
        "expression_names": np.array(EXPRESSIONS),
        "part_names": np.array(list(parts)),
        "part_ranges": np.stack([np.r_[0, stops[:-1]], stops], axis=1),
    }


def toy_labels() -> dict[str, int]:
    """Return the vertex of each landmark, exactly symmetric."""
    arrays = toy_arrays()
    n_skin = int(arrays["part_ranges"][1, 1])
    skin = arrays["neutral_mm"][:n_skin]
    middle = np.flatnonzero(np.abs(skin[:, 0]) < 1e-3)
    vertex_of = {}
    for code, target in TARGETS_MM.items():
        allowed = np.arange(n_skin) if code.endswith("_r") else middle
        vertex = int(allowed[np.linalg.norm(skin[allowed] - target, axis=1).argmin()])
        vertex_of[code] = vertex
        if code.endswith("_r"):
            mirrored = skin[vertex] * [-1, 1, 1]
            other = np.linalg.norm(skin - mirrored, axis=1).argmin()
            vertex_of[code.replace("_r", "_l")] = int(other)
    return vertex_of


def write_toy_files(folder: Path) -> Path:
    """Write the packed model and its labels; the labels are in `folder`."""
    path = folder / "toy.npz"
    np.savez(path, **toy_arrays())
    labels = {"vertex_of": toy_labels()}
    name = f"ict_facekit.{toy_scheme().name}.json"
    (folder / name).write_text(json.dumps(labels), encoding="utf-8")
    return path


@cache
def toy_model() -> MorphableModel:
    """Make the model that reading the packed file gives, directly; eyelashes are dropped."""
    arrays = toy_arrays()
    ranges = dict(zip(arrays["part_names"].tolist(), arrays["part_ranges"].tolist(), strict=True))
    n_kept = ranges["eyelashes"][0]
    triangles = arrays["triangles"][(arrays["triangles"] < n_kept).all(axis=1)]
    index = np.arange(n_kept)
    mouth = (index >= ranges["mouth_socket"][0]) & (index < ranges["teeth"][1])
    eyes = (index >= ranges["eyeball_left"][0]) & (index < ranges["eyeball_right"][1])
    refine, fine_triangles = loop_subdivision(triangles, n_kept)
    labels = toy_labels()
    return MorphableModel(
        name="toy",
        neutral_mm=arrays["neutral_mm"][:n_kept],
        identity_mm=arrays["identity_mm"][:, :n_kept],
        expression_mm=arrays["expression_mm"][:, :n_kept],
        expression_names=EXPRESSIONS,
        triangles=triangles,
        is_mouth=mouth,
        is_eyeball=eyes,
        refine=refine,
        fine_triangles=fine_triangles,
        landmark_points=np.array([labels[code] for code in toy_scheme().codes]),
    )


@cache
def toy_generator() -> ScanGenerator:
    """Make a generator of toy scans with every capture preset."""
    return ScanGenerator(toy_model())


@cache
def toy_atlas() -> FaceAtlas:
    """Make an atlas of 80 toy people with 16 modes."""
    from palnet.training.generated.atlas import build_atlas

    return build_atlas([toy_model()], n_people=80, n_modes=16, n_points=1200, seed=5)


def smooth_bulge(radii_mm: tuple[float, float, float]) -> PointCloud:
    """Return points and normals of an ellipsoid whose front is where a face's is."""
    unit = np.random.default_rng(1).normal(size=(6000, 3))
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    normals = unit / radii_mm
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return PointCloud(unit * radii_mm + np.array([0, 10, 105 - radii_mm[2]]), normals)


def _make_skin() -> tuple[np.ndarray, np.ndarray]:
    """Make the outer surface: an ellipsoid with denser rings in front, and its features."""
    points, triangles = _make_ellipsoid(N_RINGS, N_SECTORS, CENTRE_MM, RADII_MM, front=1.5)
    x, y, z = points.T
    side = np.abs(x)
    front = z > 0
    ridge = np.clip((44 - y) / 42, 0, 1)
    points[:, 2] += front * (
        26 * ridge * _hill(x / 9) * _hill((y - np.clip(y, 2, 44)) / 9)
        + 6 * _hill((side - 24) / 18) * _hill((y - 52) / 8)
        - 9 * _hill((side - 31) / 11) * _hill((y - 34) / 9)
        - 5 * _hill(x / 18) * _hill((y + 33) / 4)
        + 5 * _hill(x / 20) * (_hill((y + 25) / 4) + _hill((y + 42) / 4))
        + 22 * _hill(x / 26) * _hill((y + 68) / 16)
    )
    points[:, 0] += np.sign(x) * 15 * _hill((y - 10) / 20) * _hill((z + 3) / 11) * (side > 40)
    return points, triangles


def _make_ellipsoid(
    n_rings: int, n_sectors: int, centre: np.ndarray, radii: np.ndarray, front: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Make rings around the depth axis between two poles, wound outward, exactly symmetric in x."""
    share = np.arange(1, n_rings + 1) / (n_rings + 1)
    polar = np.pi * share**front
    half = np.pi * np.arange(n_sectors // 2 + 1) / (n_sectors // 2)
    sine, cosine = np.sin(half), np.cos(half)
    sine[[0, -1]] = 0.0
    sine, cosine = np.r_[sine, -sine[-2:0:-1]], np.r_[cosine, cosine[-2:0:-1]]
    ring = np.stack(np.broadcast_arrays(sine[None], cosine[None], 0.0), axis=2)
    unit = ring * np.sin(polar)[:, None, None]
    unit[..., 2] = np.cos(polar)[:, None]
    poles = np.array([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]])
    points = centre + np.concatenate([unit.reshape(-1, 3), poles]) * radii
    index = np.arange(n_rings * n_sectors).reshape(n_rings, n_sectors)
    following = np.roll(index, -1, axis=1)
    a, b, c, d = (q.ravel() for q in (index[:-1], index[1:], following[1:], following[:-1]))
    front_pole, back_pole = n_rings * n_sectors + np.arange(2)
    caps = [
        np.stack([np.full(n_sectors, front_pole), following[0], index[0]], axis=1),
        np.stack([np.full(n_sectors, back_pole), index[-1], following[-1]], axis=1),
    ]
    sides = [np.stack([a, d, c], axis=1), np.stack([a, c, b], axis=1)]
    triangles = np.concatenate([*sides, *caps])
    # The sectors run clockwise seen from the front: flip every triangle outward.
    return points, triangles[:, ::-1] if _points_inward(points, triangles) else triangles


def _points_inward(points: np.ndarray, triangles: np.ndarray) -> bool:
    a, b, c = (points[triangles[:, k]] - points.mean(axis=0) for k in range(3))
    return bool((np.cross(a, b) * c).sum() < 0)


def _hill(values: np.ndarray) -> np.ndarray:
    return np.exp(-0.5 * values**2)


def _identity_modes(points: np.ndarray) -> np.ndarray:
    """Make nine smooth modes of one standard deviation each; the last one is asymmetric."""
    x, y, z = points.T.astype(np.float64)
    none = np.zeros_like(x)
    front = np.clip((z - 20) / 60, 0, 1)
    nose = _hill(x / 14) * front
    modes = [
        (0.04 * x, none, none),
        (none, 0.035 * (y - 20), none),
        (none, none, 0.04 * z),
        (none, none, 3.0 * nose * _hill((y - 10) / 16)),
        (none, -2.5 * nose * _hill((y - 2) / 14), none),
        (0.05 * x * _hill((y + 50) / 28), none, none),
        (none, -2.5 * _hill((y + 75) / 25) * front, 2.0 * _hill((y + 70) / 22) * front),
        (none, none, 2.5 * _hill((y - 75) / 25) * front),
        (1.5 * _hill((y + 20) / 40) * front, none, 1.0 * np.sin(x / 40) * front),
    ]
    return np.stack([np.stack(mode, axis=1) for mode in modes]).astype(np.float32)


def _expression(name: str, points: np.ndarray) -> np.ndarray:
    """Make one expression mode, for weights from 0 to 1."""
    x, y, z = points.T.astype(np.float64)
    front = np.clip((z - 20) / 40, 0, 1)
    sign = {"L": 1.0, "R": -1.0}.get(name[-1], 0.0) if name[-2] == "_" else 0.0
    one_side = np.clip(0.5 + sign * x / 20, 0, 1) if sign else 1.0
    eye = _hill((np.abs(x) - 31) / 14)
    mouth = _hill(x / 24) * _hill((y + 33) / 10)
    moved = np.zeros(points.shape)
    if name.startswith("browDown"):
        moved[:, 1] = -5 * eye * _hill((y - 52) / 9)
    elif name.startswith("cheekPuff"):
        moved[:, 2] = 7 * _hill((np.abs(x) - 42) / 14) * _hill((y + 25) / 16)
    elif name.startswith("eyeBlink"):
        moved[:, 2] = 4 * eye * _hill((y - 36) / 6)
    elif name == "jawOpen":
        moved[:, 1] = -22 * np.clip(-(y + 33) / 20, 0, 1) * (y > -95)
    elif name == "mouthPucker":
        moved[:, 2] = 5 * mouth
    elif name.startswith("mouthSmile"):
        corner = _hill((np.abs(x) - 25) / 10) * _hill((y + 34) / 9)
        moved[:, 0], moved[:, 1] = 5 * np.sign(x) * corner, 5 * corner
    return (moved * (front * one_side)[:, None]).astype(np.float32)
