# SPDX-License-Identifier: Apache-2.0
"""Fixtures shared by several test files."""

from __future__ import annotations

import json
import shutil
import sys

import numpy as np
import pytest
from hypothesis import settings

from palnet.landmarks import LandmarkSet
from palnet.scheme import load_scheme

# A slow or busy machine is no failure.
settings.register_profile("palnet", deadline=None)
settings.load_profile("palnet")

# On Windows, torchrun needs a component that torch is built without there (2.13).
collect_ignore = ["unit/training/test_parallel.py"] if sys.platform == "win32" else []


@pytest.fixture
def the_scheme():
    return load_scheme("palnet50")


@pytest.fixture
def a_small_scheme_file(tmp_path):
    """A lab's own scheme with three landmarks."""
    content = {
        "scheme": "lab3",
        "landmarks": [
            {"code": "tip", "name": "Tip", "side": "midline", "definition": "Foremost point."},
            {"code": "eye_r", "name": "Eye", "side": "right", "definition": "Right eye, outside."},
            {"code": "eye_l", "name": "Eye", "side": "left", "definition": "Left eye, outside."},
        ],
        "distances": [{"a": "eye_r", "b": "eye_l"}],
        "angles": [{"a": "eye_r", "vertex": "tip", "c": "eye_l"}],
    }
    path = tmp_path / "lab3.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


@pytest.fixture
def a_small_scheme(a_small_scheme_file):
    return load_scheme(a_small_scheme_file)


@pytest.fixture
def a_landmark_set(the_scheme):
    """All statuses, in a file in meters with RAS axes."""
    rng = np.random.default_rng(7)
    positions = rng.normal(size=(len(the_scheme), 3)) * 0.08
    errors = rng.uniform(0.4, 6.0, len(the_scheme))
    status = ["detected"] * len(the_scheme)
    for index, other in ((2, "missing"), (5, "undefined"), (8, "corrected"), (9, "confirmed")):
        status[index] = other
    positions[[2, 5]] = np.nan
    errors[[2, 5, 8]] = np.nan
    return LandmarkSet(
        the_scheme, positions, tuple(status), errors, 1000.0, "file", "case_001", "RAS"
    )


@pytest.fixture
def a_head_file(tmp_path):
    """A head-sized ellipsoid as an OBJ file, in millimeters."""
    return write_ellipsoid(tmp_path / "head.obj")


@pytest.fixture
def a_folder_of_scans(a_head_file, tmp_path):
    """Two heads, a scan without a face, an invalid mesh file, and a file that is not a scan."""
    folder = tmp_path / "scans"
    folder.mkdir()
    for name in ("anna.obj", "bo.obj", "no_face.obj"):
        shutil.copy(a_head_file, folder / name)
    (folder / "broken.obj").write_text("this is no mesh\n", encoding="utf-8")
    (folder / "notes.txt").write_text("nothing\n", encoding="utf-8")
    return folder


def write_ellipsoid(path, n_rings=24, n_sectors=32):
    """Write rings of vertices from pole to pole, joined by outward-facing triangles."""
    polar = np.linspace(0.05, np.pi - 0.05, n_rings)[:, None]
    around = np.linspace(0, 2 * np.pi, n_sectors, endpoint=False)[None, :]
    x = 75 * np.sin(polar) * np.cos(around)
    y = 110 * np.cos(polar) + 0 * around
    z = -95 * np.sin(polar) * np.sin(around)
    points = np.stack([x, y, z], axis=-1).reshape(-1, 3)
    lines = [f"v {px:.4f} {py:.4f} {pz:.4f}" for px, py, pz in points]
    for ring in range(n_rings - 1):
        for sector in range(n_sectors):
            a = ring * n_sectors + sector + 1
            b = ring * n_sectors + (sector + 1) % n_sectors + 1
            lines.append(f"f {a} {a + n_sectors} {b + n_sectors} {b}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
