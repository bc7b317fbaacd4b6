# SPDX-License-Identifier: Apache-2.0
"""A picture of the landmarks on the scan: front and both sides, coloured by expected error.

The picture is drawn by a separate process, so that if OpenGL is missing or crashes, only the
picture is lost.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

from palnet._checks import check_transform
from palnet._files import check_free, replacing, to_path
from palnet._numbers import to_numbers
from palnet.error_classes import CHECK_MM, GOOD_MM, classify_errors
from palnet.errors import MeshError, OutputError, PreviewError
from palnet.landmarks import check_landmark_set
from palnet.similarity import apply_similarity
from palnet.surface import Mesh, thin_mesh

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from palnet.landmarks import LandmarkSet

__all__ = ["SKIN_COLOR", "draw_preview", "render_preview"]

SKIN_COLOR = (0.80, 0.77, 0.74)

# A larger mesh is drawn coarser: software rendering takes 1 s per 100,000 triangles.
_MAX_TRIANGLES = 300_000
# Cell size of that coarser mesh; two pixels of the picture.
_CELL_MM = 0.7

# Hundreds of times the drawing time, so that only a hanging process is killed.
_TIME_LIMIT_S = 180.0


def render_preview(
    mesh: Mesh,
    landmarks: LandmarkSet,
    face_from_scan: NDArray[np.float64],
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
) -> None:
    """Draw scan and landmarks from the front and both sides into a PNG file.

    A scan with color is drawn in its color.

    Convention: the left panel looks at the subject's right side, the middle one at the front,
    the right one at the subject's left side.

    Parameters
    ----------
    mesh : Mesh
        The scan.
    landmarks : LandmarkSet
        Its landmarks, in the scan's own numbers.
    face_from_scan : ndarray of shape (4, 4)
        Similarity from the scan in millimetres to the face frame, which makes it upright.
    path : str or path
        The PNG file.
    overwrite : bool, default False
        Whether an existing file may be replaced.

    Raises
    ------
    PreviewError
        If nothing could be drawn, usually because the machine has no OpenGL.
    OutputExistsError
        If the file exists and `overwrite` is False.
    OutputError
        If the system does not allow it to be written.
    MeshError
        If `mesh` is no mesh.
    ValueError
        If `landmarks` is no landmark set, or `face_from_scan` no such matrix.
    """
    path = to_path(path, name="path", error=OutputError)
    check_free(path, overwrite=overwrite)
    drawn = draw_preview(mesh, landmarks, face_from_scan)
    with replacing(path, overwrite=overwrite) as draft:
        draft.write_bytes(drawn)


def draw_preview(mesh: Mesh, landmarks: LandmarkSet, face_from_scan: NDArray[np.float64]) -> bytes:
    """Draw what `render_preview` writes, and return the content of the PNG file."""
    _check_mesh(mesh)
    check_landmark_set(landmarks, name="landmarks")
    face_from_scan = to_numbers(face_from_scan, name="face_from_scan")
    check_transform(face_from_scan, name="face_from_scan")
    try:
        with tempfile.TemporaryDirectory(prefix="palnet-", ignore_cleanup_errors=True) as folder:
            job = Path(folder) / "job.npz"
            picture = Path(folder) / "picture.png"
            _write_job(mesh, landmarks, face_from_scan, job)
            _draw(job, picture)
            return picture.read_bytes()
    except OSError as err:
        msg = (
            f"the picture could not be drawn: {err}. The landmarks do not depend on it. Make room "
            "in the folder for temporary files, or name another one (TMPDIR, on Windows TMP)."
        )
        raise PreviewError(msg) from err


def _check_mesh(mesh: object) -> None:
    if not isinstance(mesh, Mesh):
        msg = f"mesh must be a palnet.Mesh; got {type(mesh).__name__}. Read it: palnet.read_mesh."
        raise MeshError(msg)


def _write_job(
    mesh: Mesh, landmarks: LandmarkSet, face_from_scan: NDArray[np.float64], job: Path
) -> None:
    """Write the data to draw to a file, upright and in millimetres."""
    points_mm = apply_similarity(face_from_scan, mesh.points * landmarks.mm_per_unit)
    drawn = Mesh(points_mm, mesh.triangles)
    colors = np.zeros((0, 3), np.uint8) if mesh.colors is None else mesh.colors
    if len(mesh.triangles) > _MAX_TRIANGLES:  # more than the pixels can show
        drawn = thin_mesh(drawn, _CELL_MM)
        if len(colors):
            colors = colors[cKDTree(points_mm).query(drawn.points)[1]]
    np.savez(
        job,
        points=drawn.points.astype(np.float32),
        triangles=drawn.triangles,
        landmarks=apply_similarity(face_from_scan, landmarks.positions_mm),
        classes=classify_errors(landmarks),
        codes=np.array(landmarks.scheme.codes),
        limits_mm=np.array([GOOD_MM, CHECK_MM]),
        colors=colors,
    )


def _draw(job: Path, picture: Path) -> None:
    """Run the drawing process and turn any failure into one error."""
    library = str(Path(__file__).parent.parent)
    known = os.environ.get("PYTHONPATH")
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([library, known]) if known else library,
    }
    command = [sys.executable, "-m", "palnet._drawing", str(job), str(picture)]
    try:
        ended = subprocess.run(
            command, env=environment, capture_output=True, timeout=_TIME_LIMIT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as err:
        msg = f"the picture could not be drawn: {err}. The landmarks do not depend on it."
        raise PreviewError(msg) from err
    if ended.returncode != 0 or not picture.exists():
        msg = (
            "the picture could not be drawn: this machine has no OpenGL that VTK can use "
            f"(the drawing process ended with {ended.returncode}). The landmarks do not depend on "
            "it. Linux without a display needs libegl1 and libgl1-mesa-dri."
        )
        raise PreviewError(msg)
