# SPDX-License-Identifier: Apache-2.0
"""A folder of generated scans, written in parallel and resumable."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from palnet._parallel import run_tasks
from palnet._stored import read_kept, write_arrays
from palnet.synthesis.presets import PRESETS, CapturePreset
from palnet.synthesis.scans import GeneratedScan, ScanGenerator

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from palnet.synthesis.morphable import MorphableModel

__all__ = ["fill_folder", "read_generated_scan", "write_generated_scan"]


def write_generated_scan(scan: GeneratedScan, path: Path) -> None:
    """Write one scan as ``.npz``, atomically."""
    arrays = {
        "points_mm": scan.points_mm,
        "triangles": scan.triangles,
        "landmarks_mm": scan.landmarks_mm,
        "visible": scan.visible,
        "description": np.array(json.dumps(scan.description)),
    }
    write_arrays(path, arrays)


def read_generated_scan(path: Path) -> GeneratedScan:
    """Read a scan written by `write_generated_scan`."""
    arrays = read_kept(path)
    description = json.loads(str(arrays.pop("description")))
    return GeneratedScan(**arrays, description=description)


def fill_folder(
    model: MorphableModel,
    seeds: Sequence[int],
    folder: str | os.PathLike[str],
    *,
    jobs: int = 1,
    presets: tuple[CapturePreset, ...] = tuple(PRESETS.values()),
) -> list[Path]:
    """Write one scan per seed, skipping existing ones.

    Parameters
    ----------
    model : MorphableModel
        The source of people.
    seeds : sequence of int
        Seeds of the people; the seed is the file name.
    folder : path-like
        Where the ``<seed>.npz`` files are written.
    jobs : int
        Number of processes.
    presets : tuple of CapturePreset
        The capture presets to draw from.

    Returns
    -------
    list of Path
        The files, in the order of the seeds.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{seed}.npz" for seed in seeds]
    todo = [(seed, path) for seed, path in zip(seeds, paths, strict=True) if not path.exists()]
    run_tasks(
        partial(_write_one, ScanGenerator(model, presets)), todo, jobs=jobs, what="scans generated"
    )
    return paths


def _write_one(generator: ScanGenerator, task: tuple[int, Path]) -> None:
    """Draw and write one scan."""
    seed, path = task
    write_generated_scan(generator.draw(seed), path)
