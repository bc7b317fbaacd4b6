# SPDX-License-Identifier: Apache-2.0
"""The bundled scan cut down to a part of the face."""

from __future__ import annotations

from functools import cache

import numpy as np

from palnet.exchange import read_landmarks
from palnet.model import read_model
from palnet.samples import example_scan, example_truth
from palnet.similarity import fit_similarity
from palnet.surface import Mesh, parse_unit, prepare_surface, read_mesh


def cut_example(share, factors=(1.0, 1.0, 1.0)):
    """The bundled scan scaled and cut to a share of its height, its truth, and what of it shows."""
    scheme, mesh = read_model().scheme, read_mesh(example_scan())
    points = mesh.points * factors
    truth = read_landmarks(example_truth()).positions * factors
    nasion, subnasale, gnathion = (truth[scheme.index_of(code)] for code in ("n", "sn", "gn"))
    radius = share * np.linalg.norm(nasion - gnathion)
    is_near = np.linalg.norm(points - subnasale, axis=1) < radius
    kept = mesh.triangles[is_near[mesh.triangles].all(axis=1)]
    is_shown = np.linalg.norm(truth - subnasale, axis=1) < radius - 3
    return Mesh(points, kept, name="cut"), truth, is_shown


@cache
def lay_cut_example():
    """Cut the bundled scan to 0.7 of the face's height: its surface, its truth and its pose."""
    cut, truth, _ = cut_example(0.7)
    surface = prepare_surface(cut, parse_unit("mm"))
    return surface, truth, fit_similarity(truth, read_model().atlas.landmark_mean_mm)
