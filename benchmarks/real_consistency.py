# SPDX-License-Identifier: Apache-2.0
"""Displacement of the landmarks of real scans when the scan is changed but the face is not.

Without labels, this does not measure accuracy, but a landmark that moves cannot be right both
times. Changes: mirroring, decimation to a half and a fifth of the triangles, roughening, smoothing,
and cropping to the face without ears and hairline.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import numpy as np

from benchmarks._data import add_common_options, cut_to_face, read_real_scans, settings_of
from benchmarks._report import Report
from palnet.detector import detect
from palnet.errors import ScanRefusedError
from palnet.scheme import load_scheme
from palnet.surface import Mesh
from palnet.synthesis import thinning
from palnet.synthesis.capture import laplacian_matrix, smear

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

NOISE_MM = 0.15
MIRROR = np.array([-1.0, 1.0, 1.0])
# Share of the face height: 10 cm about an adult's subnasale.
CROP_SHARE = 0.85


def mirrored(mesh: Mesh) -> Mesh:
    """Mirror the scan and reverse its triangles, so that they face outwards again."""
    return Mesh(mesh.points * MIRROR, mesh.triangles[:, [0, 2, 1]], name=mesh.name)


def decimated(share_left: float) -> Callable[[Mesh], Mesh]:
    """Return a function that decimates a mesh."""

    def change(mesh: Mesh) -> Mesh:
        points, triangles = thinning.decimate(
            mesh.points.astype(np.float32), mesh.triangles, 1 - share_left
        )
        return Mesh(points.astype(np.float64), triangles, name=mesh.name)

    return change


def roughened(mesh: Mesh) -> Mesh:
    """Add white noise of `NOISE_MM` per axis."""
    noise = np.random.default_rng(1).normal(0, NOISE_MM, mesh.points.shape)
    return Mesh(mesh.points + noise, mesh.triangles, name=mesh.name)


def smoothed(mesh: Mesh) -> Mesh:
    """Move each vertex towards its neighbours, twice."""
    average = laplacian_matrix(mesh.triangles, len(mesh.points))
    points = smear(mesh.points.astype(np.float32), average, 1.0, 2)
    return Mesh(points.astype(np.float64), mesh.triangles, name=mesh.name)


CHANGES: dict[str, Callable[[Mesh], Mesh]] = {
    "mirrored": mirrored,
    "half of the triangles": decimated(0.5),
    "a fifth of the triangles": decimated(0.2),
    f"noise of {NOISE_MM} mm": roughened,
    "smoothed twice": smoothed,
}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_common_options(parser)
    arguments = parser.parse_args()
    report = Report("real_consistency", settings_of(arguments))
    rows, names = [], (*CHANGES, "cropped to the face")
    for scan in read_real_scans(arguments.real):
        before_mm = detect(scan.mesh, unit="mm", model=arguments.model).landmarks.positions_mm
        changed = [change(scan.mesh) for change in CHANGES.values()]
        changed.append(cut_to_face(scan.mesh, before_mm, CROP_SHARE))
        moved = [
            moved_mm(mesh, before_mm, arguments.model, is_mirrored=name == "mirrored")
            for name, mesh in zip(names, changed, strict=True)
        ]
        rows.append((scan.name, *moved))
    means = [float(np.nanmean([row[k] for row in rows])) for k in range(1, len(names) + 1)]
    report.add_table(
        "Real scans: mean distance in mm that landmarks move when the scan is changed",
        ("scan", *names),
        [*rows, ("mean", *means)],
    )
    report.summary |= dict(zip(names, means, strict=True))
    report.finish(arguments.output)


def moved_mm(
    mesh: Mesh, before_mm: NDArray[np.float64], model: str | None, *, is_mirrored: bool
) -> float:
    """Compute the mean distance of the landmarks placed both times; NaN if refused."""
    try:
        after_mm = detect(mesh, unit="mm", model=model).landmarks.positions_mm
    except ScanRefusedError:
        return float("nan")
    if is_mirrored:
        after_mm = after_mm[load_scheme().mirror] * MIRROR
    return float(np.nanmean(np.linalg.norm(after_mm - before_mm, axis=1)))


if __name__ == "__main__":
    main()
