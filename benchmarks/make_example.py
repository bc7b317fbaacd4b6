# SPDX-License-Identifier: Apache-2.0
"""Make the bundled example anew: one generated person, rotated off the axes.

python -m benchmarks.make_example --morphable-model ict_facekit_light.npz

It overwrites the bundled files. The generator has changed since these were made, so the scan
becomes a slightly different one (20,907 vertices in place of 20,913).
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from palnet.exchange import write_landmarks
from palnet.landmarks import LandmarkSet
from palnet.samples import example_scan, example_truth
from palnet.scheme import load_scheme
from palnet.surface import write_ply
from palnet.synthesis import PRESETS, ScanGenerator, read_morphable_model

# An adult with hair and both ears, no expression; this range of seeds is not used otherwise.
SEED = 4_000_082
PRESET_NAMES = ("two_pods", "five_pods", "handheld")
TURN_DEG, SHIFT_MM = (70.0, -35.0, 20.0), (120.0, -40.0, 900.0)


def main() -> None:
    """Write the example's mesh and its true landmarks into the package."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--morphable-model", type=Path, required=True)
    arguments = parser.parse_args()
    scheme = load_scheme("palnet50")
    presets = tuple(PRESETS[name] for name in PRESET_NAMES)
    generator = ScanGenerator(read_morphable_model(arguments.morphable_model, scheme), presets)
    scan = generator.draw(SEED)
    turn = Rotation.from_euler("xyz", TURN_DEG, degrees=True)
    mesh = scan.to_mesh()
    placed = replace(mesh, points=turn.apply(mesh.points.copy()) + SHIFT_MM, name="example")
    write_ply(placed, example_scan(), overwrite=True)
    truth = LandmarkSet(
        scheme=scheme,
        positions=np.where(
            scan.visible[:, None], turn.apply(scan.landmarks_mm.astype(float)) + SHIFT_MM, np.nan
        ),
        status=tuple("confirmed" if shown else "missing" for shown in scan.visible),
        expected_error_mm=np.full(len(scheme), np.nan),
        mm_per_unit=1.0,
        frame="file",
        specimen="example",
    )
    write_landmarks(truth, example_truth(), overwrite=True)
    print(f"{example_scan()}: {len(mesh.points)} vertices; {example_truth()}")


if __name__ == "__main__":
    main()
