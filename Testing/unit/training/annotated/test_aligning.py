# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

import palnet.samples
from palnet.data_sets.checking import check_data_set
from palnet.data_sets.dataset import load_scan
from palnet.data_sets.layouts import read_data_set
from palnet.errors import ScanRefusedError, UsageError
from palnet.exchange import read_landmarks
from palnet.model import read_model
from palnet.scheme import LandmarkDefinition, Scheme
from palnet.similarity import (
    apply_similarity,
    fit_similarity,
    rotation_angle_deg,
    similarity_scale,
)
from palnet.surface import Mesh, _prepare, parse_unit, prepare_scan, read_mesh, write_ply
from palnet.training.annotated import aligning
from palnet.training.annotated.aligning import find_annotated_face, prepare_scans
from palnet.training.annotated.faces import prepare_faces
from toy_cohort import toy_person, write_toy_cohort, write_toy_scan

SPACING_MM = 3.0


@pytest.fixture
def a_cohort(tmp_path):
    folder = tmp_path / "scans"
    return folder, str(write_toy_cohort(folder, 3))


def prepare(cohort, kept, spacing_mm=SPACING_MM):
    return prepare_scans(read_data_set(*cohort), spacing_mm, kept)


@pytest.mark.parametrize("per_mm", [1.0, 0.001])
def test_convention_matrix_acts_on_millimetres_from_the_left(per_mm, a_cohort, tmp_path):
    folder, _ = a_cohort
    mesh, truth_mm = toy_person(1)
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", [20, -35, 60], degrees=True).as_matrix()
    matrix[:3, 3] = [12, -300, 45]
    # The scan lies where the matrix takes it back from.
    lying = (np.stack([*mesh.points, *truth_mm]) - matrix[:3, 3]) @ matrix[:3, :3] * per_mm
    points, landmarks = lying[: len(mesh.points)], lying[len(mesh.points) :]
    write_toy_scan(folder, "p1", Mesh(points, mesh.triangles), landmarks)
    np.save(folder / "p1.transformation_matrix.npy", matrix)

    scan = prepare(a_cohort, tmp_path / "kept")[0][1]

    np.testing.assert_allclose(scan.aligned.truth_mm, truth_mm, atol=2e-3)
    # The cloud lies on the head: at most as far from a vertex as these lie apart.
    assert cKDTree(mesh.points).query(scan.aligned.cloud_mm)[0].max() < 8
    np.testing.assert_allclose(scan.to_file(truth_mm).positions, landmarks, atol=3e-3 * per_mm)
    np.testing.assert_allclose(
        scan.to_file(truth_mm + [0, 0, 2]).positions_mm,  # noqa: RUF005  # an array
        landmarks / per_mm + matrix[2, :3] * 2,
        atol=3e-3,
    )


def test_face_without_a_matrix_is_found_and_keeps_its_size(tmp_path):
    folder = tmp_path / "scans"
    folder.mkdir()
    sample = Path(palnet.samples.__file__).parent
    shutil.copy(sample / "example.ply", folder)
    shutil.copy(sample / "example.landmarks.csv", folder / "example.csv")

    scans, refusals = prepare_scans(read_data_set(folder), SPACING_MM, tmp_path / "kept")

    assert refusals == []
    scan = scans[0]
    there = scan.truth.is_placed
    rotation = scan.frame_from_scan[:3, :3]
    np.testing.assert_allclose(rotation.T @ rotation, np.eye(3), atol=1e-9)
    expected = apply_similarity(scan.frame_from_scan, scan.truth.positions_mm)
    np.testing.assert_allclose(scan.aligned.truth_mm, expected)
    # Turned as the mean face and with the same middle; its size is the person's own.
    mean_mm, truth_mm = read_model().atlas.landmark_mean_mm[there], scan.aligned.truth_mm[there]
    left = fit_similarity(truth_mm, mean_mm)
    assert rotation_angle_deg(left, np.eye(4)) < 4
    assert np.linalg.norm(truth_mm.mean(axis=0) - mean_mm.mean(axis=0)) < 4
    assert abs(similarity_scale(left) - 1) > 0.05


def test_unit_that_a_labs_own_landmarks_cannot_tell_is_that_of_a_detection(tmp_path):
    """A scan cut to the face in centimeters was taken in inches, and refused for its size."""
    truth = read_landmarks(palnet.samples.example_truth()).to_frame("LPS")
    mesh = read_mesh(palnet.samples.example_scan())
    rows = [truth.scheme.index_of(code) for code in ("n", "prn", "sn", "ls", "li", "pg")]
    scheme = Scheme(
        "lab", tuple(LandmarkDefinition(f"L{row}", "-", "midline", "-") for row in rows)
    )
    is_near = np.linalg.norm(mesh.points - truth.positions[rows[1]], axis=1) < 75
    triangles = mesh.triangles[is_near[mesh.triangles].all(axis=1)]
    write_ply(replace(mesh, points=mesh.points / 10, triangles=triangles), tmp_path / "crop.ply")
    table = [f"crop,L{row},{','.join(map(str, truth.positions[row] / 10))}" for row in rows]
    (tmp_path / "crop.csv").write_text("\n".join(["specimen,code,x,y,z", *table]), encoding="utf-8")
    data = read_data_set(tmp_path, scheme)
    assert load_scan(data.scans[0], scheme)[1].name == "in"

    scans, refusals = prepare_scans(data, SPACING_MM, tmp_path / "kept")
    faces, not_found = prepare_faces(data, read_model(), tmp_path / "faces")

    assert refusals == not_found == []
    for each in (scans[0].truth, faces[0].truth):
        np.testing.assert_allclose(each.positions_mm, truth.positions[rows], atol=1e-3)


def test_dense_scan_is_thinned_as_in_the_unit_that_it_turns_out_to_have(monkeypatch):
    """Thinned for millimeters, one in centimeters would lose its detail."""
    monkeypatch.setattr(_prepare, "DENSE_POINTS", 10_000)
    monkeypatch.setattr(_prepare, "THIN_CELL_MM", 3.0)
    millimetre, centimetre = parse_unit("mm"), parse_unit("cm")
    mesh = read_mesh(palnet.samples.example_scan())
    mesh = replace(mesh, points=mesh.points / 10)
    truth = read_landmarks(palnet.samples.example_truth())

    found, _ = find_annotated_face(mesh, (millimetre, centimetre), truth, read_model())

    expected = prepare_scan(mesh, centimetre)
    assert expected.findings[0].code == "thinned"
    np.testing.assert_array_equal(found.surface.points_mm, expected.points_mm)


def test_scan_is_prepared_once_and_again_when_a_file_changes(a_cohort, tmp_path, monkeypatch):
    kept = tmp_path / "kept"
    first, _ = prepare(a_cohort, kept)
    made = []
    prepare_one = aligning._prepare

    def watch(scan, *arguments, **options):
        made.append(scan.specimen)
        return prepare_one(scan, *arguments, **options)

    monkeypatch.setattr(aligning, "_prepare", watch)

    again, _ = prepare(a_cohort, kept)
    assert made == []
    for old, new in zip(first, again, strict=True):
        np.testing.assert_array_equal(old.aligned.cloud_mm, new.aligned.cloud_mm)
        assert old.digest == new.digest
    mesh, truth_mm = toy_person(1)
    write_toy_scan(a_cohort[0], "p1", mesh, np.add(truth_mm, [0, 0, 1]))
    changed, _ = prepare(a_cohort, kept)
    assert made == ["p1"]
    np.testing.assert_allclose(changed[1].aligned.truth_mm, np.add(truth_mm, [0, 0, 1]), atol=1e-4)
    prepare(a_cohort, kept, 4.0)
    assert made == ["p1", "p0", "p1", "p2"]


def test_scan_that_cannot_be_prepared_is_left_out_and_named(a_cohort, tmp_path):
    folder, _ = a_cohort
    (folder / "p0.ply").write_bytes((folder / "p0.ply").read_bytes()[:3000])
    write_toy_scan(folder, "p2", *(toy_person(2)[0], toy_person(2)[1] * np.nan))

    scans, refusals = prepare(a_cohort, tmp_path / "kept")

    assert [scan.aligned.specimen for scan in scans] == ["p1"]
    assert refusals[0].startswith("p0: ")
    assert "the file ends" in refusals[0]
    assert refusals[1].startswith("p2: no landmark is placed")


def test_refusal_names_the_scan_once(a_cohort, tmp_path, monkeypatch):
    """The face search names the mesh, too: left_out.txt said "p0: p0: "."""

    def refuse(scan, **options):
        msg = f"{scan.mesh_path.stem}: no face was found."
        raise ScanRefusedError(msg)

    monkeypatch.setattr(aligning, "_prepare", refuse)

    _, refusals = prepare(a_cohort, tmp_path / "kept")

    assert refusals == [f"{name}: no face was found." for name in ("p0", "p1", "p2")]


def test_refusal_over_the_unit_says_what_can_be_done(a_cohort, tmp_path):
    """It said "give its unit", for which a training has no option."""
    folder, scheme = a_cohort
    mesh, truth_mm = toy_person(0)
    write_toy_scan(folder, "p0", replace(mesh, points=mesh.points * 1e-7), truth_mm * 1e-7)
    noise = np.random.default_rng(0).normal(0, 60, mesh.points.shape)
    write_toy_scan(folder, "p1", replace(mesh, points=noise), truth_mm)
    for path in folder.glob("*.npy"):
        path.unlink()  # the face is searched for
    remedy = (
        " The unit of annotated scans cannot be given: scale mesh and landmarks to millimeters."
    )

    _, refusals = prepare(a_cohort, tmp_path / "kept")

    assert refusals[0].endswith(f"as its unit, such as 50.{remedy}")
    assert refusals[1].endswith(f"give its unit.{remedy}")
    problems = check_data_set(read_data_set(folder, scheme)).problems
    (text,) = (each.text for each in problems if each.kind == "bad_size")
    assert text.endswith(remedy)


@pytest.mark.parametrize("file", ["p1.ply", "p1.transformation_matrix.npy"])
def test_file_that_is_gone_costs_its_scan_only_and_counts_when_it_is_back(file, a_cohort, tmp_path):
    data, path, kept = read_data_set(*a_cohort), a_cohort[0] / file, tmp_path / "kept"
    path.rename(tmp_path / "away")

    scans, refusals = prepare_scans(data, SPACING_MM, kept)

    assert [scan.aligned.specimen for scan in scans] == ["p0", "p2"]
    assert len(refusals) == 1
    assert refusals[0].startswith(f"p1: {path}: cannot be read (")
    (tmp_path / "away").rename(path)
    assert len(prepare_scans(data, SPACING_MM, kept)[0]) == 3


def test_file_that_was_away_while_it_was_prepared_is_prepared_again(
    a_cohort, tmp_path, monkeypatch
):
    """A network drive that was gone for a moment left scans out of all later runs."""
    path, kept, prepare_one = a_cohort[0] / "p1.ply", tmp_path / "kept", aligning._prepare

    def lose(scan, **options):
        if scan.mesh_path == path:
            path.rename(tmp_path / "away")
        return prepare_one(scan, **options)

    with monkeypatch.context() as patch:
        patch.setattr(aligning, "_prepare", lose)
        assert "there is no such file" in prepare(a_cohort, kept)[1][0]
    (tmp_path / "away").rename(path)

    scans, refusals = prepare(a_cohort, kept)

    assert (len(scans), refusals) == (3, [])


def test_matrix_for_some_scans_only_is_refused(a_cohort, tmp_path):
    (a_cohort[0] / "p1.transformation_matrix.npy").unlink()

    with pytest.raises(UsageError, match="or none; got none for p1"):
        prepare(a_cohort, tmp_path / "kept")


def test_processes_make_the_same(a_cohort, tmp_path):
    data = read_data_set(*a_cohort)

    one, _ = prepare_scans(data, SPACING_MM, tmp_path / "one")
    two, _ = prepare_scans(data, SPACING_MM, tmp_path / "two", jobs=2)

    for left, right in zip(one, two, strict=True):
        np.testing.assert_array_equal(left.aligned.cloud_mm, right.aligned.cloud_mm)


def test_facescape_stays_in_its_own_frame(tmp_path):
    mesh, _ = toy_person(1)
    vertices = np.arange(68) * 20 + 7
    np.savez(tmp_path / "landmark_indices.npz", v10=vertices)
    rows = [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in mesh.points]
    rows += [f"f {a} {b} {c}" for a, b, c in mesh.triangles + 1]
    path = tmp_path / "7" / "models_reg" / "1_neutral.obj"
    path.parent.mkdir(parents=True)
    path.write_text("\n".join(rows), encoding="utf-8")

    scans, refusals = prepare_scans(read_data_set(tmp_path), SPACING_MM, tmp_path / "kept")

    assert refusals == []
    np.testing.assert_array_equal(scans[0].frame_from_scan, np.eye(4))
    np.testing.assert_allclose(scans[0].aligned.truth_mm, mesh.points[vertices], atol=1e-5)
    assert scans[0].aligned.person == "7"
