# SPDX-License-Identifier: Apache-2.0
"""Effects of capture on a face: the six real scans beside generated ones of each preset.

Measures spacing, roughness and sharpness of the surface between brows and chin, in the face frame.
The range of the simulation should include the real scans; it is tuned here for nothing else.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

from benchmarks._data import add_common_options, generator_of, read_real_scans, settings_of
from benchmarks._report import Report
from palnet.detector import detect
from palnet.face.alignment import remove_scale
from palnet.model import read_model
from palnet.similarity import apply_similarity
from palnet.surface import parse_unit, prepare_surface
from palnet.synthesis import EVERY_PRESET, ScanGenerator

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from palnet.surface import Mesh

# Scans not used for training, calibration or testing.
FIRST_SEED = 3_900_000
N_SAMPLED = 400
# The smooth skin of forehead and cheeks, where roughness comes from the capture.
SMOOTH_PLACES_MM = ((0.0, 72.0), (-40.0, 5.0), (40.0, 5.0))
SMOOTH_RADIUS_MM = 14.0
FINE_MM, WIDE_MM = 5.0, 10.0


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_common_options(parser)
    parser.add_argument("--each", type=int, default=12, help="scans of each preset [%(default)s]")
    arguments = parser.parse_args()
    report = Report("real_capture", settings_of(arguments))
    rows: list[tuple[object, ...]] = []
    atlas = read_model(arguments.model).atlas
    for scan in read_real_scans(arguments.real):
        found = detect(scan.mesh, unit="mm", model=arguments.model)
        pose = remove_scale(found.face_from_scan, atlas)
        rows.append((scan.name, 1, *measure_capture(scan.mesh, pose)))
    model = generator_of(arguments.ict).model
    for name, preset in EVERY_PRESET.items():
        generator = ScanGenerator(model, (preset,))
        figures = [
            measure_capture(generator.draw(FIRST_SEED + k).to_mesh(), np.eye(4))
            for k in range(arguments.each)
        ]
        for label, share in (("low", 10), ("middle", 50), ("high", 90)):
            row = np.nanpercentile(np.array(figures), share, axis=0)
            rows.append((f"preset {name}, {label}", arguments.each, *row.tolist()))
    report.add_table(
        "The surface between brows and chin (presets: 10th, 50th and 90th percentile)",
        (
            *("scan", "scans", "spacing, mm", "5th", "95th"),
            *("roughness 5 mm, um", "roughness 10 mm, um", "sharpest bend, 1/mm", "shown %"),
        ),
        rows,
    )
    report.finish(arguments.output)


def measure_capture(mesh: Mesh, face_from_scan: NDArray[np.float64]) -> tuple[float, ...]:
    """Measure one scan in millimetres.

    Returns
    -------
    tuple of float
        Median, 5th and 95th percentile of the edges; median distance from a quadric within 5 and
        10 mm on smooth skin (micrometres); 95th percentile of the angle between normals 3 mm
        apart; share of the front of the face within 3 mm of the scan.
    """
    surface = prepare_surface(mesh, parse_unit("mm"))
    points = apply_similarity(face_from_scan, surface.points_mm)
    x, y, z = points.T
    core = (np.abs(x) < 58) & (y > -78) & (y < 75) & (z > 45)
    triangles = surface.triangles[core[surface.triangles].all(axis=1)]
    ends = triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
    edges = np.linalg.norm(points[ends[:, 0]] - points[ends[:, 1]], axis=1)
    spacing = (float(np.median(edges)), *np.percentile(edges, [5, 95]).tolist())
    tree = cKDTree(points)
    flat = np.flatnonzero(
        core & (np.min([np.hypot(x - a, y - b) for a, b in SMOOTH_PLACES_MM], 0) < SMOOTH_RADIUS_MM)
    )
    rng = np.random.default_rng(0)
    flat = rng.permutation(flat)[:N_SAMPLED]
    rough = [float(np.nanmedian([_residual(points, tree, k, r) for k in flat.tolist()])) * 1000
             for r in (FINE_MM, WIDE_MM)]  # fmt: skip
    directions = surface.normals @ face_from_scan[:3, :3].T
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    chosen = rng.permutation(np.flatnonzero(core))[:4000]
    _, near = tree.query(points[chosen] + [0, 3.0, 0])
    apart = np.linalg.norm(points[near] - points[chosen], axis=1)
    close = (apart > 1.5) & (apart < 5)
    turned = np.einsum("ij,ij->i", directions[chosen], directions[near])[close]
    bend = np.arccos(np.clip(turned, -1, 1)) / apart[close]
    grid = np.stack(np.meshgrid(np.arange(-50, 51, 4.0), np.arange(-70, 71, 4.0)), -1).reshape(
        -1, 2
    )
    shown = cKDTree(points[core][:, :2]).query(grid)[0] < 3.0
    return (*spacing, *rough, float(np.percentile(bend, 95)), 100 * float(shown.mean()))


def _residual(points: NDArray[np.float64], tree: cKDTree, row: int, radius_mm: float) -> float:
    """Root mean square distance of the neighbours from a quadric in z over x and y."""
    near = points[tree.query_ball_point(points[row], radius_mm)]
    if len(near) < 9:
        return float("nan")
    x, y, z = (near - points[row]).T
    design = np.column_stack([np.ones_like(x), x, y, x * x, y * y, x * y])
    rest = z - design @ np.linalg.lstsq(design, z, rcond=None)[0]
    return float(np.sqrt((rest**2).sum() / max(len(near) - 6, 1)))


if __name__ == "__main__":
    main()
