# SPDX-License-Identifier: Apache-2.0
"""Skin from simulated computed tomography, by the distance between its slices.

A generated head without hair is filled with soft tissue and put through a simple scanner: blur
within the slices, a mean over the thickness of each slice, noise. The skin is then cut out as in
3D Slicer: a threshold, and a closed surface of the binary segment with its default smoothing. The
simulation has no bones, airways, metal, headrest or movement.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from benchmarks._data import (
    Task,
    add_common_options,
    add_people_options,
    draw_placement,
    generator_of,
    settings_of,
    tasks_in_turn,
)
from benchmarks._people import detection_errors
from benchmarks._pool import run_tasks
from benchmarks._report import Report
from benchmarks._volumes import extract_skin
from palnet.model import read_model
from palnet.scheme import load_scheme
from palnet.surface import Mesh, drop_unused, parse_unit, prepare_surface, sample_surface
from palnet.surface._winding import boundary_edges
from palnet.synthesis.people import draw_person

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from palnet.synthesis.people import Person

# Seeds used only by this benchmark and, otherwise captured, by `benchmarks.color`.
FIRST_SEED = 3_450_000
VOXEL_MM = 0.5
# Slices lie along Y, from the neck to the crown; each is the mean of this many layers of voxels.
LAYERS = (1, 2, 5, 10)
# Width of the blur within a slice, and noise, both usual for soft tissue.
BLUR_MM, NOISE_HU = 0.8, 15.0
AIR_HU, TISSUE_HU, THRESHOLD_HU = -1000.0, 40.0, -300.0
# What Slicer's default smoothing factor of 0.5 means.
ROUNDS, PASS_BAND = 40, 0.01
# The volume begins this far below the chin of an adult, or just above the rim of a generated neck.
NECK_MM, ABOVE_RIM_MM = 40.0, 3.0
MARGIN_MM, SAMPLED_EVERY_MM = 6.0, 0.35
# Between lids and eyeball there are gaps: a ball this much larger than the eyeball and farther back
# fills the socket.
LARGER_MM, FARTHER_BACK_MM = 2.0, 4.0
# A wall around the sampled skin this thick (in voxels) has no gaps, so that air does not flow in.
WALL = 2


@dataclass(frozen=True, eq=False)
class Result:
    """Result of one surface: errors and expected errors in millimetres, None if refused."""

    n_points: int
    errors_mm: NDArray[np.float64] | None
    expected_mm: NDArray[np.float64] | None


def measure(task: Task) -> list[Result]:
    """Detect on the skin of one person, itself and from slices of every thickness."""
    generator, rng = generator_of(task.path), np.random.default_rng(task.seed)
    person = draw_person(generator.model, rng)
    # With the inner mouth even if it is closed, or air would flow in between the lips.
    outside = generator.outer_triangles(replace(person, mouth_open=True))
    points, triangles = drop_unused(person.points_mm, outside)
    skin = Mesh(points.astype(np.float64), triangles, name=str(task.seed))
    eyeball = person.points_mm[generator.model.fine(generator.model.is_eyeball)]
    eyes = [eyeball[eyeball[:, 0] < 0.0], eyeball[eyeball[:, 0] > 0.0]]
    tissue, origin_mm = fill_head(skin, find_floor(skin, person), eyes)
    meshes = [skin, *(record(tissue, origin_mm, n_layers, rng) for n_layers in LAYERS)]
    results = []
    for mesh in meshes:
        placement = draw_placement(rng, unit="mm")
        found = detection_errors(mesh, placement, person.landmarks_mm, task.model)
        results.append(Result(len(mesh.points), *found))
    return results


def find_floor(skin: Mesh, person: Person) -> float:
    """Return the height in mm at which the volume of a person begins."""
    chin_mm = float(person.landmarks_mm[load_scheme().index_of("gn"), 1])
    heights_mm = skin.points[boundary_edges(skin.triangles).ravel(), 1]
    rim_mm = heights_mm[heights_mm < chin_mm].max(initial=-np.inf)
    return max(chin_mm - NECK_MM * person.size, float(rim_mm) + ABOVE_RIM_MM)


def fill_head(
    skin: Mesh, floor_mm: float, eyes_mm: Sequence[NDArray[np.floating]] = ()
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Fill a head with tissue.

    Parameters
    ----------
    skin : Mesh
        In millimetres, +X left, +Y up, +Z front, outward; open at the neck and around the eyes.
    floor_mm : float
        Height at which the volume begins, above the opening of the neck.
    eyes_mm : sequence of ndarray of shape (n_points, 3)
        Points of each eyeball.

    Returns
    -------
    tissue : ndarray of shape (n_x, n_y, n_z)
        Share of each voxel of `VOXEL_MM` that is not air, 0 to 1.
    origin_mm : ndarray of shape (3,)
        Centre of the first voxel.
    """
    cloud = sample_surface(prepare_surface(skin, parse_unit("mm")), SAMPLED_EVERY_MM)
    low_mm, high_mm = cloud.points_mm.min(axis=0), cloud.points_mm.max(axis=0)
    low_mm[1] = floor_mm
    origin_mm = low_mm - MARGIN_MM
    shape = np.ceil((high_mm + MARGIN_MM - origin_mm) / VOXEL_MM).astype(int) + 1
    voxels = np.rint((cloud.points_mm - origin_mm) / VOXEL_MM).astype(int)
    wall = np.zeros(shape, dtype=bool)
    wall[tuple(voxels[voxels[:, 1] >= 0].T)] = True
    wall = ndimage.binary_dilation(wall, iterations=WALL)
    for eye_mm in eyes_mm:
        centre_mm = eye_mm.mean(axis=0)
        radius_mm = np.linalg.norm(eye_mm - centre_mm, axis=1).mean() + LARGER_MM
        behind_mm = centre_mm - (0.0, 0.0, FARTHER_BACK_MM)
        wall |= _make_ball((behind_mm - origin_mm) / VOXEL_MM, radius_mm / VOXEL_MM, wall.shape)
    n_below = round(MARGIN_MM / VOXEL_MM)
    wall[:, :n_below] = True
    regions, _ = ndimage.label(~wall)
    air = regions == regions[0, -1, 0]
    if air[tuple((shape - 1) // 2)]:
        msg = f"{skin.name}: air flows into the head; its skin has other openings than the neck."
        raise RuntimeError(msg)
    # The skin lies inside the wall: there, shares come from the distance to the nearest sample.
    near = ndimage.binary_dilation(air, iterations=2 * WALL) & ~air
    near[:, :n_below] = False
    places = np.argwhere(near)
    at_mm = origin_mm + places * VOXEL_MM
    _, nearest = cKDTree(cloud.points_mm).query(at_mm)
    above_mm = ((at_mm - cloud.points_mm[nearest]) * cloud.normals[nearest]).sum(axis=1)
    tissue = (~air).astype(np.float32)
    tissue[tuple(places.T)] = np.clip(0.5 - above_mm / VOXEL_MM, 0.0, 1.0)
    tissue[:, :n_below] = 0.0
    return tissue, origin_mm


def _make_ball(
    centre: NDArray[np.floating], radius: float, shape: tuple[int, ...]
) -> NDArray[np.bool_]:
    """Mark the voxels of a grid that lie in a ball; centre and radius are in voxels."""
    squares = [(np.arange(n) - middle) ** 2 for n, middle in zip(shape, centre, strict=True)]
    x2, y2, z2 = np.ix_(*squares)
    return np.asarray(x2 + y2 + z2 < radius**2)


def record(
    tissue: NDArray[np.float32],
    origin_mm: NDArray[np.float64],
    n_layers: int,
    rng: np.random.Generator,
) -> Mesh:
    """Record a filled head in slices of `n_layers` voxels and cut its skin out."""
    sigma = BLUR_MM / np.sqrt(8 * np.log(2)) / VOXEL_MM
    blurred = ndimage.gaussian_filter(tissue, (sigma, 0.0, sigma))
    n_slices = blurred.shape[1] // n_layers
    whole = blurred[:, : n_slices * n_layers]
    slices = whole.reshape(whole.shape[0], n_slices, n_layers, -1).mean(axis=2)
    values = AIR_HU + (TISSUE_HU - AIR_HU) * slices
    values += NOISE_HU * rng.standard_normal(values.shape, dtype=np.float32)
    spacing_mm = (VOXEL_MM, n_layers * VOXEL_MM, VOXEL_MM)
    first_mm = origin_mm + np.array([0.0, (n_layers - 1) / 2 * VOXEL_MM, 0.0])
    return extract_skin(
        values > THRESHOLD_HU,
        0.5,
        name="tomography",
        pass_band=PASS_BAND,
        rounds=ROUNDS,
        spacing_mm=spacing_mm,
        origin_mm=first_mm - spacing_mm,
    )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_common_options(parser)
    add_people_options(parser, people=40, first_seed=FIRST_SEED, jobs=1)
    arguments = parser.parse_args()
    people = list(run_tasks(measure, tasks_in_turn(arguments), jobs=arguments.jobs))
    ninety = read_model(arguments.model).calibration.shown_ninety
    report = Report("tomography", settings_of(arguments))
    kinds = ("the skin itself", *(f"slices of {n * VOXEL_MM:g} mm" for n in LAYERS))
    report.add_table(
        "Skin from simulated computed tomography, mm",
        (
            *("surface", "people", "refused", "vertices, mean", "called missing %"),
            *("mean error", "95th percentile", "expected", f"within {ninety:.2f} times that %"),
        ),
        [
            (kind, *_figures([person[k] for person in people], ninety))
            for k, kind in enumerate(kinds)
        ],
    )
    for kind, row in zip(kinds, report.tables[0].rows, strict=True):
        report.summary[kind] = {"refused": row[2], "mean_mm": row[5]}
    report.finish(arguments.output)


def _figures(results: list[Result], ninety: float) -> tuple[float | None, ...]:
    """Compute the figures of one kind of surface."""
    n_refused = sum(result.errors_mm is None for result in results)
    n_points = round(float(np.mean([result.n_points for result in results])))
    if n_refused == len(results):
        return len(results), n_refused, n_points, *[None] * 5
    errors, expected = (
        np.array([getattr(result, name) for result in results if result.errors_mm is not None])
        for name in ("errors_mm", "expected_mm")
    )
    is_missing = np.isnan(errors)
    placed, told = errors[~is_missing], expected[~is_missing]
    return (
        *(len(results), n_refused, n_points, 100 * float(is_missing.mean())),
        *(float(placed.mean()), float(np.percentile(placed, 95)), float(told.mean())),
        100 * float((placed <= ninety * told).mean()),
    )


if __name__ == "__main__":
    main()
