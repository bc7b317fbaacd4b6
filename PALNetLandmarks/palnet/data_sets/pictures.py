# SPDX-License-Identifier: Apache-2.0
"""Pictures of the scans that a data set check reports."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from palnet._mean_face import face_from_landmarks
from palnet.data_sets.scan_checks import check_scan
from palnet.error_classes import CHECK_MM
from palnet.preview import render_preview

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from palnet.data_sets.dataset import DataSet, Problem
    from palnet.data_sets.scan_checks import CheckedScan
    from palnet.landmarks import LandmarkSet

__all__ = ["draw_problems"]


def draw_problems(data: DataSet, problems: Sequence[Problem], folder: Path) -> list[Path]:
    """Draw each scan with a problem, with the affected landmarks marked as doubtful.

    Parameters
    ----------
    data : DataSet
        The scans.
    problems : sequence of Problem
        What the check found.
    folder : Path
        Where ``<specimen>.png`` is written; existing files are replaced.

    Returns
    -------
    list of Path
        The pictures; a scan that cannot be loaded has none.

    Raises
    ------
    PreviewError
        If nothing could be drawn, usually because the machine has no OpenGL.
    """
    named = {problem.specimen for problem in problems}
    paths = []
    for scan in data.scans:
        if scan.specimen not in named:
            continue
        checked, _ = check_scan(scan, data.scheme)
        if checked is None:
            continue
        codes = {code for p in problems if p.specimen == scan.specimen for code in p.codes}
        path = folder / f"{scan.specimen}.png"
        landmarks = _mark(checked.landmarks, codes)
        render_preview(checked.mesh, landmarks, _find_pose(checked), path, overwrite=True)
        paths.append(path)
    return paths


def _mark(landmarks: LandmarkSet, codes: set[str]) -> LandmarkSet:
    """Set errors so that the named landmarks are drawn as doubtful, the others as unknown."""
    is_named = np.isin(landmarks.scheme.codes, list(codes)) & landmarks.is_placed
    return replace(landmarks, expected_error_mm=np.where(is_named, 2 * CHECK_MM, np.nan))


def _find_pose(checked: CheckedScan) -> NDArray[np.float64]:
    """Find the upright pose from the scheme's mean face or a matrix; else leave it unrotated."""
    pose = face_from_landmarks(checked.landmarks)
    if pose is None:
        pose = checked.matrix
    return np.eye(4) if pose is None else pose
