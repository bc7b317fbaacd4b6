# SPDX-License-Identifier: Apache-2.0
"""Cut the training patches of generated scans, run through the stages of a detection."""

from __future__ import annotations

from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from palnet._parallel import run_tasks
from palnet._stored import read_kept, write_arrays
from palnet.face.fit import Guide, fit_atlas, guide_fit
from palnet.face.region import extract_face, move_cloud, move_surface, sample_coarse, sample_fine
from palnet.network.patches import FaceClouds
from palnet.similarity import apply_similarity, fit_similarity
from palnet.surface import parse_unit, prepare_surface
from palnet.synthesis.folder import read_generated_scan
from palnet.training.generated.pose import draw_similarity
from palnet.training.patches import TrainingPatches, cut_patches, draw_starts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from palnet.face.atlas import FaceAtlas
    from palnet.surface import PointCloud
    from palnet.synthesis.scans import GeneratedScan

__all__ = ["fill_patches", "load_patches", "prepare_patches", "thin_atlas"]

# Remaining error of the pose networks.
POSE_ANGLE_DEG, POSE_SHIFT_MM, POSE_LOG_SCALE = 5.0, 4.0, 0.03
# A detection restarts from an atlas guided by its first landmarks, as do the second starts of half
# of the training scans. The spread is about the median that the network predicts.
GUIDED_SHARE, GUIDE_SPREAD_MM = 0.5, 0.8
# An atlas spans the people that it was built from but no real face: a network trained only on such
# starts would trust every start. Most training scans therefore get an atlas with some modes
# dropped. Share of the scans, and range of the share of the modes that are kept.
THINNED_SHARE, KEPT_MODES = 2 / 3, (0.2, 1.0)
# Keys of the random streams for thinning, and for choosing who gets a guided atlas.
THINNING, GUIDING = 1, 2


def fill_patches(
    atlas: FaceAtlas, scans: Sequence[Path], folder: Path, *, jobs: int = 1, thinned: bool = False
) -> list[Path]:
    """Write the patches of each scan, skipping existing files.

    Parameters
    ----------
    atlas : FaceAtlas
        Atlas that gives the starts.
    scans : sequence of Path
        Generated scans.
    folder : Path
        Where the ``.npz`` files are written.
    jobs : int
        Number of processes.
    thinned : bool
        Whether to take starts from thinned atlases (`thin_atlas`), for training; otherwise they
        are those of a detection.

    Returns
    -------
    list of Path
        The files, in the order of the scans.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / path.name for path in scans]
    todo = [(s, p) for s, p in zip(scans, paths, strict=True) if not p.exists()]
    run_tasks(
        partial(_write_one, atlas, thinned=thinned), todo, jobs=jobs, what="scans cut into patches"
    )
    return paths


def load_patches(paths: Sequence[Path]) -> TrainingPatches:
    """Load the patches of many scans into memory, 0.31 MB per scan."""
    columns: dict[str, NDArray[Any]] = {}
    names = [field.name for field in fields(TrainingPatches)]
    for row, path in enumerate(paths):
        for name, array in read_kept(path, *names).items():
            if row == 0:
                columns[name] = np.zeros((len(paths), *array.shape), dtype=array.dtype)
            columns[name][row] = array
    return TrainingPatches(**columns)


def thin_atlas(atlas: FaceAtlas, rng: np.random.Generator) -> FaceAtlas:
    """Drop random modes, or none, so that the atlas fits a face imperfectly, like a real one.

    Parameters
    ----------
    atlas : FaceAtlas
        The atlas.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    FaceAtlas
        With the remaining modes, at least one, in their order.
    """
    if rng.random() >= THINNED_SHARE:
        return atlas
    kept = rng.random(atlas.n_modes) < rng.uniform(*KEPT_MODES)
    kept[rng.integers(atlas.n_modes)] = True
    modes_mm, landmark_modes_mm = atlas.modes_mm[kept], atlas.landmark_modes_mm[kept]
    return replace(atlas, modes_mm=modes_mm, landmark_modes_mm=landmark_modes_mm)


def _write_one(atlas: FaceAtlas, task: tuple[Path, Path], *, thinned: bool) -> None:
    """Compute and write the patches of one scan."""
    source, path = task
    arrays = prepare_patches(atlas, read_generated_scan(source), int(source.stem), thinned=thinned)
    write_arrays(path, arrays)


def prepare_patches(
    atlas: FaceAtlas, scan: GeneratedScan, seed: int, *, thinned: bool
) -> dict[str, NDArray[Any]]:
    """Compute the stored patches of one scan from its mesh.

    Parameters
    ----------
    atlas : FaceAtlas
        Atlas that gives the starts.
    scan : GeneratedScan
        The scan.
    seed : int
        Its seed, which determines pose, starts and dropped modes.
    thinned : bool
        As in `fill_patches`.

    Returns
    -------
    dict of str to ndarray
        A row of `TrainingPatches`.
    """
    met = _thin_for(atlas, seed) if thinned else atlas
    rng = np.random.default_rng(seed)
    surface = prepare_surface(scan.to_mesh(), parse_unit("mm"))
    true_pose = fit_similarity(scan.landmarks_mm, met.landmark_mean_mm)
    guess = draw_similarity(rng, POSE_ANGLE_DEG, POSE_SHIFT_MM, POSE_LOG_SCALE) @ true_pose
    region = extract_face(surface, guess)
    cloud = sample_coarse(region)
    fit = fit_atlas(met, cloud)
    face = move_surface(region, fit.face_from_cloud)
    coarse = move_cloud(cloud, fit.face_from_cloud)
    face_from_scan = fit.face_from_cloud @ guess
    truth = apply_similarity(face_from_scan, scan.landmarks_mm)
    starts = draw_starts(fit.landmarks_mm, truth, scan.visible, rng)
    if np.random.default_rng([seed, GUIDING]).random() < GUIDED_SHARE:
        starts = _guide_starts(met, coarse, fit.mode_weights, starts, scan.visible)
    fine = sample_fine(face, np.concatenate(starts))
    return {
        **cut_patches(FaceClouds(fine, coarse), starts),
        "truth_mm": truth.astype(np.float32),
        "visible": scan.visible,
    }


def _thin_for(atlas: FaceAtlas, seed: int) -> FaceAtlas:
    """Return the atlas, possibly thinned, for a person in training.

    It has its own random stream: the person was drawn from the bare seed, and how unusual a person
    is must not correlate with whose atlas is thinned.
    """
    return thin_atlas(atlas, np.random.default_rng([seed, THINNING]))


def _guide_starts(
    atlas: FaceAtlas,
    coarse: PointCloud,
    mode_weights: NDArray[np.float64],
    starts: tuple[NDArray[np.float64], NDArray[np.float64]],
    visible: NDArray[np.bool_],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fit the atlas to the second starts and replace them by its landmarks.

    Landmarks that are not visible do not guide the fit and keep the first start.
    """
    first_mm, second_mm = starts
    guide = Guide(second_mm, np.where(visible, GUIDE_SPREAD_MM, np.inf))
    guided_mm = guide_fit(atlas, coarse, mode_weights, guide)
    return first_mm, np.where(visible[:, None], guided_mm, first_mm)
