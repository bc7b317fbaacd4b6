# SPDX-License-Identifier: Apache-2.0
"""Painted scans: color ends where the true landmarks say, and the scan itself stays as it was."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from benchmarks._paint import paint
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from palnet.exchange import read_landmarks
from palnet.samples import example_scan, example_truth
from palnet.scheme import load_scheme
from palnet.surface import read_mesh
from palnet.synthesis import GeneratedScan

SEEDS = range(2_900_000, 2_900_040)


@cache
def scan() -> GeneratedScan:
    """Read the bundled example, a generated scan in a frame of its own, as it was generated."""
    mesh = read_mesh(example_scan())
    truth = read_landmarks(example_truth()).positions.astype(np.float32)
    about = {"expressions": {}, "may_have_beard": False}
    points = mesh.points.astype(np.float32)
    return GeneratedScan(points, mesh.triangles, truth, np.isfinite(truth[:, 0]), about)


def acting(**expressions: float) -> GeneratedScan:
    """Return the example with the expressions that its description names."""
    return replace(scan(), description={"expressions": expressions, "may_have_beard": False})


def mark(code: str) -> np.ndarray:
    return scan().landmarks_mm[load_scheme().index_of(code)]


def color_at(colors, places) -> np.ndarray:
    """Return the mean color of the vertices next to these places."""
    _, vertices = cKDTree(scan().points_mm).query(np.atleast_2d(places))
    return colors[vertices].astype(float).mean(axis=0)


def redness(color) -> float:
    return float(color[0] / color[1])


@pytest.mark.parametrize(
    ("codes", "inwards"), [(("cph_r", "ls", "cph_l"), ("ls", "sto")), (("li",), ("li", "sto"))]
)
def test_lips_are_redder_than_skin_from_2_mm_within_their_outline_on(codes, inwards):
    towards = mark(inwards[1]) - mark(inwards[0])
    step_mm = 2 * towards / np.linalg.norm(towards)
    borders = np.array([mark(code) for code in codes])

    paintings = [paint(scan(), np.random.default_rng(seed)) for seed in SEEDS]

    redder = [
        redness(color_at(c, borders + step_mm)) - redness(color_at(c, borders - step_mm))
        for c in paintings
    ]
    # Some lips hardly differ from skin, and a vertex is no purer than its noise.
    assert np.median(redder) > 0.15
    assert np.mean(np.array(redder) > 0) >= 0.9
    assert min(redder) < 0.05


def test_painting_repeats_with_its_seed_and_only_with_it():
    first, again, other = (paint(scan(), np.random.default_rng(s)) for s in (1, 1, 2))

    assert first.dtype == np.uint8
    assert first.shape == scan().points_mm.shape
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_painting_changes_nothing_of_the_scan():
    painted = acting(eyeBlink_R=0.4, jawOpen=0.3)
    arrays = [painted.points_mm, painted.triangles, painted.landmarks_mm, painted.visible]
    before, about = [a.copy() for a in arrays], json.dumps(painted.description)

    paint(painted, np.random.default_rng(1))

    assert all(np.array_equal(a, b) for a, b in zip(arrays, before, strict=True))
    assert json.dumps(painted.description) == about


def test_painting_moves_with_the_scan():
    turn = Rotation.from_rotvec([0.4, -2.0, 1.1]).as_matrix()
    moved = replace(
        scan(),
        points_mm=(scan().points_mm @ turn.T + [50, -20, 90]).astype(np.float32),
        landmarks_mm=(scan().landmarks_mm @ turn.T + [50, -20, 90]).astype(np.float32),
    )

    here, there = (paint(s, np.random.default_rng(5)).astype(int) for s in (scan(), moved))

    assert np.quantile(np.abs(here - there), 0.999) <= 1


@pytest.mark.parametrize("side", ["r", "l"])
def test_white_of_an_eye_shows_where_it_is_open(side):
    inner, outer = mark(f"en_{side}"), mark(f"ex_{side}")
    rise = mark("n") - mark("sn")
    beside_iris = inner + 0.22 * (outer - inner) + 1.5 * rise / np.linalg.norm(rise)
    shut = acting(**{f"eyeBlink_{side.upper()}": 1.0})

    opened, closed = (
        np.mean([color_at(paint(s, np.random.default_rng(k)), beside_iris) for k in SEEDS], axis=0)
        for s in (scan(), shut)
    )

    assert redness(opened) < 1.1 < redness(closed)
    assert opened.min() > closed.min() + 20


def test_nostrils_are_darker_than_cheeks():
    inside = np.array([(mark(f"itn_{s}") + mark(f"stn_{s}")) / 2 for s in ("r", "l")])
    cheeks = np.array([mark("chk_r"), mark("chk_l")])

    for seed in SEEDS:
        colors = paint(scan(), np.random.default_rng(seed))
        assert color_at(colors, inside).mean() < 0.9 * color_at(colors, cheeks).mean()
