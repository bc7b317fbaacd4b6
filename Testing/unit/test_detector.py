# SPDX-License-Identifier: Apache-2.0
"""The whole way with the shipped model, on the bundled example."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

import palnet
from palnet import detect, detector, read_landmarks, read_mesh
from palnet.detection.placing import Placement
from palnet.detector import MIN_POSE_LANDMARKS, _estimate_pose
from palnet.errors import MeshError, PalnetError, ScanRefusedError, UnitError
from palnet.face.alignment import align_landmarks
from palnet.face.refusal import SMALLEST_FACE
from palnet.measurement import measure
from palnet.model import read_model
from palnet.samples import example_scan, example_truth
from palnet.similarity import (
    apply_similarity,
    invert_similarity,
    rotation_angle_deg,
    similarity_scale,
)
from palnet.surface import (
    Mesh,
    _prepare,
    parse_unit,
    prepare_surface,
    project_onto_triangles,
)
from palnet_fakes import without
from palnet_meshes import make_head, shuffle

# Of the example's size of about 300 mm.
ON_TRIANGLE_MM = 1e-6 * 300
DATA = Path(__file__).parent.parent / "data"
# Of the detection that Testing/data keeps: rotation vector, shift in mm; misfit in mm, coverage.
KEPT_POSE = (-1.27775, 0.34634, -0.67109, -518.560, -512.279, -250.705)
KEPT_QUALITY = (0.247, 0.934)
EAR = ("t_l", "pra_l", "sa_l", "pa_l", "sba_l")


@dataclass(frozen=True)
class Example:
    """The bundled scan with its truth, in millimetres, and what was detected on it."""

    mesh: Mesh
    truth: palnet.LandmarkSet
    detection: palnet.Detection

    def row(self, code):
        return self.truth.scheme.index_of(code)

    def in_face_frame(self, points):
        return apply_similarity(self.detection.face_from_scan, points)


@pytest.fixture(scope="module")
def the_example():
    mesh, truth = read_mesh(example_scan()), read_landmarks(example_truth())
    return Example(mesh, truth, detect(mesh))


def cut(mesh, keep):
    """The mesh without the vertices that are not kept, which stay as unused ones."""
    triangles = mesh.triangles[keep[mesh.triangles].all(axis=1)]
    return replace(mesh, triangles=triangles)


def judge(landmarks, coverage=0.9):
    fit = SimpleNamespace(residual_mm=0.3, coverage=coverage)
    return detector._quality(fit, landmarks).verdict


def errors_mm(left, right):
    apart = left.positions_mm - right.positions_mm
    return np.linalg.norm(apart[left.is_placed & right.is_placed], axis=1)


def assert_same(left, right):
    assert left.status == right.status
    np.testing.assert_array_equal(left.positions, right.positions)
    np.testing.assert_array_equal(left.expected_error_mm, right.expected_error_mm)


# --- the example ---------------------------------------------------------------------------------


def test_example_is_detected_close_to_its_truth(the_example):
    error = errors_mm(the_example.detection.landmarks, the_example.truth)

    # 0.80 and 1.56 mm: what issue 5 asks of generated people.
    assert error.mean() < 1.0
    assert np.percentile(error, 95) < 2.7


def test_dense_scan_is_thinned_as_in_the_unit_that_it_turns_out_to_have(the_example, monkeypatch):
    """Of one in centimeters that was first taken for millimeters nothing would be left."""
    monkeypatch.setattr(_prepare, "DENSE_POINTS", 10_000)
    monkeypatch.setattr(_prepare, "THIN_CELL_MM", 3.0)
    units = parse_unit("mm"), parse_unit("cm"), parse_unit("in")
    monkeypatch.setattr(detector, "plausible_units", lambda _: units)
    mesh = replace(the_example.mesh, points=the_example.mesh.points / 10)

    guessed, given = detect(mesh), detect(mesh, unit="cm")

    assert guessed.findings[0].code == "thinned"
    assert_same(guessed.landmarks, given.landmarks)


def test_detection_of_the_example_is_the_one_kept(the_example):
    """What is to change no landmark changes none: weaker tests let many a fault pass by.

    Other versions of numpy, scipy and VTK and other kernels move a landmark by 4e-6 mm at most.
    A new model comes with a new file, as Testing/data/README.md says.
    """
    kept = read_landmarks(DATA / "example_detected.csv")
    found = the_example.detection.landmarks

    assert found.status == kept.status
    assert errors_mm(found, kept).max() < 1e-3
    np.testing.assert_allclose(found.expected_error_mm, kept.expected_error_mm, rtol=1e-3)
    pose = the_example.detection.face_from_scan
    turn = Rotation.from_matrix(pose[:3, :3] / similarity_scale(pose)).as_rotvec()
    np.testing.assert_allclose(turn, KEPT_POSE[:3], atol=1e-4)
    np.testing.assert_allclose(pose[:3, 3], KEPT_POSE[3:], atol=1e-2)
    quality = the_example.detection.quality
    assert (quality.residual_mm, quality.coverage) == pytest.approx(KEPT_QUALITY, abs=1.5e-3)


def test_example_is_complete_and_good(the_example):
    detection = the_example.detection

    assert detection.landmarks.is_placed.all()
    assert detection.quality.verdict == "good"
    assert detection.quality.coverage > 0.8
    assert detection.landmarks.specimen == "example"
    assert detection.landmarks.frame == "file"


def test_expected_errors_are_positive_and_of_the_right_size(the_example):
    landmarks, calibration = the_example.detection.landmarks, read_model().calibration
    expected = landmarks.expected_error_mm[landmarks.is_placed]
    # What is said of a face of the kind that trained the model, as the example is.
    known = (expected / calibration.source_factor) ** (1 / calibration.source_power)

    assert (expected > 0).all()
    assert (expected > known).all()
    # It is one face: its landmarks err together.
    ratio = errors_mm(landmarks, the_example.truth).mean() / known.mean()
    assert 0.5 < ratio < 1.5


@pytest.mark.parametrize(("n_missing", "verdict"), [(0, "good"), (16, "good"), (17, "check")])
def test_result_that_lacks_more_than_ears_and_hairline_is_to_be_checked(
    n_missing, verdict, the_example
):
    """A mug seen from its handle is taken for a face; most of the eyes and the jaw are missing."""
    landmarks = the_example.detection.landmarks

    assert judge(without(landmarks, *landmarks.scheme.codes[:n_missing])) == verdict


@pytest.mark.parametrize(("coverage", "verdict"), [(0.75, "good"), (0.7499, "check")])
def test_face_of_which_little_is_covered_is_to_be_checked(coverage, verdict, the_example):
    assert judge(the_example.detection.landmarks, coverage) == verdict


@pytest.mark.parametrize(("error_mm", "verdict"), [(3.99, "good"), (4.01, "check")])
def test_face_of_which_half_the_landmarks_are_doubtful_is_to_be_checked(
    error_mm, verdict, the_example
):
    """The median counts, not the few that are worst."""
    landmarks = the_example.detection.landmarks
    is_half = np.arange(len(landmarks)) % 2 == 0
    errors = np.where(is_half, error_mm, 0.5 * error_mm)
    errors[:2] = error_mm, 90.0

    assert judge(replace(landmarks, expected_error_mm=errors)) == verdict


def test_detected_landmarks_lie_on_triangles(the_example):
    surface = prepare_surface(the_example.mesh, parse_unit("mm"))
    landmarks = the_example.detection.landmarks

    on_surface = project_onto_triangles(surface, landmarks.positions_mm[landmarks.is_placed])

    assert on_surface.distances_mm.max() < ON_TRIANGLE_MM


def test_network_improves_on_the_atlas(the_example):
    """The mean landmarks under the pose that was found are the atlas's first word."""
    pose = the_example.detection.face_from_scan
    truth = the_example.in_face_frame(the_example.truth.positions_mm)
    baseline = np.linalg.norm(read_model().atlas.landmark_mean_mm - truth, axis=1).mean()

    error = errors_mm(the_example.detection.landmarks, the_example.truth).mean()

    assert error < 0.6 * baseline / similarity_scale(pose)


def test_convention_face_frame_has_left_at_plus_x_and_front_at_plus_z(the_example):
    face = the_example.in_face_frame(the_example.truth.positions_mm)

    assert face[the_example.row("ex_l"), 0] > 25 > -25 > face[the_example.row("ex_r"), 0]
    assert face[the_example.row("n"), 1] > face[the_example.row("gn"), 1] + 60
    assert face[the_example.row("prn"), 2] > face[the_example.row("t_l"), 2] + 60


def test_pose_is_that_of_the_true_landmarks(the_example):
    """Better than the atlas fit's, which is 1.2 degrees and 1.2 mm off on the median scan."""
    truth = align_landmarks(read_model().atlas, the_example.truth.positions_mm, 0.0)
    pose = the_example.detection.face_from_scan

    assert rotation_angle_deg(pose, truth) < 2.0
    true_middle = apply_similarity(invert_similarity(truth), np.zeros(3))
    assert np.linalg.norm(apply_similarity(pose, true_middle)) < 2.0


def test_too_few_landmarks_leave_the_pose_of_the_fit(the_example):
    landmarks = the_example.detection.landmarks
    found = SimpleNamespace(face_from_scan=np.eye(4))
    few = without(landmarks, *landmarks.scheme.codes[MIN_POSE_LANDMARKS - 1 :])

    assert _estimate_pose(found, few, read_model()) is found.face_from_scan
    assert _estimate_pose(found, landmarks, read_model()) is not found.face_from_scan


def test_what_a_user_sees_of_a_result_fits_into_a_line(the_example):
    """A detection that was shown in a notebook filled 25,000 characters."""
    left, scan = the_example.row("pra_l"), the_example.mesh
    status, positions = list(the_example.truth.status), the_example.truth.positions.copy()
    status[left], positions[left] = "missing", np.nan
    landmarks = replace(the_example.truth, status=status, positions=positions, specimen="a b")
    shown = replace(the_example.detection, landmarks=landmarks)

    said = "<LandmarkSet 'a b': 49 of 50 landmarks of palnet50 placed, frame file, 1 mm per unit>"
    assert repr(landmarks) == said
    assert repr(shown).startswith(f"<Detection {said}, good, findings ['duplicate_triangles', ")
    assert "\n" not in repr(shown)
    assert repr(landmarks.scheme) == "<Scheme 'palnet50': 50 landmarks>"
    size = f"{len(scan.points)} points, {len(scan.triangles)} triangles"
    assert repr(scan) == f"<Mesh {scan.name!r}: {size}, without color, LPS>"
    colors = np.zeros(scan.points.shape, dtype=np.uint8)
    assert ", with color, LPS>" in repr(replace(scan, colors=colors))
    assert "array" not in repr(measure(landmarks)[0])


def test_provenance_can_be_written_as_json_and_read_back(the_example):
    provenance = the_example.detection.provenance

    assert json.loads(json.dumps(provenance, allow_nan=False)) == provenance
    assert provenance["unit"] == "mm"
    assert provenance["unit_source"] == "inferred from the size"
    assert provenance["n_vertices"] == len(the_example.mesh.points)
    assert len(provenance["model_sha256"]) == 64
    calibration = read_model().calibration
    law = {"factor": calibration.source_factor, "power": calibration.source_power}
    assert provenance["unseen_source"] == law
    assert provenance["seconds"].keys() >= {"model", "prepare", "pose", "fit", "network"}


def test_path_and_mesh_give_the_same(the_example):
    from_path = detect(example_scan())

    assert_same(from_path.landmarks, the_example.detection.landmarks)


def test_detection_leaves_its_input_as_it_was():
    mesh = read_mesh(example_scan())
    before = fingerprint(mesh)

    detect(mesh)

    assert fingerprint(mesh) == before


def fingerprint(mesh):
    digest = hashlib.sha256(mesh.points.tobytes() + mesh.triangles.tobytes())
    return digest.hexdigest(), mesh.name, mesh.space, mesh.findings


# --- what must not matter ------------------------------------------------------------------------


def test_numbering_changes_nothing(the_example):
    renumbered = shuffle(the_example.mesh, 5)

    assert_same(
        detect(replace(renumbered, name="example")).landmarks, the_example.detection.landmarks
    )


def test_inward_winding_changes_nothing_of_a_clean_mesh(the_example):
    clean = drop_folds(the_example.mesh)
    turned = replace(clean, triangles=clean.triangles[:, ::-1])

    one, other = detect(turned).landmarks, detect(clean).landmarks
    assert one.status == other.status
    # Sums run in another order, and the networks compute in single precision: where one of their
    # numbers is rounded the other way landmarks move by 4e-7 mm.
    np.testing.assert_allclose(one.positions_mm, other.positions_mm, rtol=0, atol=2e-6)
    np.testing.assert_allclose(one.expected_error_mm, other.expected_error_mm, rtol=1e-6)


def drop_folds(mesh):
    """The mesh without triangles at edges that more or fewer than two triangles share."""
    ends = np.sort(mesh.triangles[:, [[0, 1], [1, 2], [2, 0]]], axis=2).reshape(-1, 2)
    _, edge, count = np.unique(ends, axis=0, return_inverse=True, return_counts=True)
    fold = (count[edge.ravel()] > 2).reshape(-1, 3).any(axis=1)
    return replace(mesh, triangles=mesh.triangles[~fold])


def test_inward_winding_changes_little_where_the_mesh_is_folded(the_example):
    """Of two triangles on the same corners only one is kept, and it may be the other one."""
    turned = replace(the_example.mesh, triangles=the_example.mesh.triangles[:, ::-1])

    landmarks = detect(turned).landmarks

    assert landmarks.status == the_example.detection.landmarks.status
    assert errors_mm(landmarks, the_example.detection.landmarks).mean() < 0.5


@pytest.mark.parametrize(
    ("seed", "unit"), [(1, "mm"), (2, "cm"), (3, "m"), (4, "um"), (5, "in"), (6, "mm")]
)
def test_rotation_position_and_unit_change_little(seed, unit, the_example):
    rng = np.random.default_rng([8, seed])
    turn = Rotation.from_quat(rng.normal(size=4)).as_matrix()
    shift_mm = rng.normal(0, 300, 3)
    mm_per_unit = parse_unit(unit).mm_per_unit
    points = (the_example.mesh.points @ turn.T + shift_mm) / mm_per_unit

    moved = detect(replace(the_example.mesh, points=points))

    assert moved.provenance["unit"] == unit
    assert moved.landmarks.mm_per_unit == mm_per_unit
    both = moved.landmarks.is_placed & the_example.detection.landmarks.is_placed
    assert both.all()
    back = (moved.landmarks.positions_mm - shift_mm) @ turn
    apart = np.linalg.norm(back - the_example.detection.landmarks.positions_mm, axis=1)
    # Another sampling of the same surface; benchmarks.consistency holds the mean to 0.3 mm.
    assert apart.mean() < 0.5


@pytest.mark.parametrize(
    ("mm_per_unit", "unit", "taken_as"), [(40, "auto", "inches"), (1.6, "mm", "millimeters")]
)
def test_small_face_is_told(mm_per_unit, unit, taken_as, the_example):
    """In a wrong unit all millimetres are wrong, and expected errors with them."""
    scaled = replace(the_example.mesh, points=the_example.mesh.points / mm_per_unit)

    small = detect(scaled, unit=unit)

    (finding,) = (each for each in small.findings if each.code == "small_face")
    assert finding.message.startswith(f"read in {taken_as}, the face has ")
    assert finding.message.endswith("or the unit is wrong: check it.")


def test_usual_face_is_no_finding(the_example):
    assert "small_face" not in {finding.code for finding in the_example.detection.findings}


def test_space_of_the_file_is_kept(the_example):
    ras = detect(replace(the_example.mesh, space="RAS"))

    assert ras.landmarks.space == "RAS"
    np.testing.assert_array_equal(
        ras.landmarks.positions, the_example.detection.landmarks.positions
    )


def test_unit_given_rightly_changes_nothing(the_example):
    given = detect(the_example.mesh, unit="mm")

    assert given.provenance["unit_source"] == "given"
    assert_same(given.landmarks, the_example.detection.landmarks)


def test_unit_is_inferred_whatever_the_case_of_auto(the_example):
    found = detect(the_example.mesh, unit=" Auto")

    assert found.provenance["unit_source"] == "inferred from the size"
    assert_same(found.landmarks, the_example.detection.landmarks)


def test_unit_as_an_array_is_refused_in_words(the_example):
    with pytest.raises(UnitError, match="a unit is one of um, mm, cm, m, in"):
        detect(the_example.mesh, unit=np.array([1.0, 10.0]))


@pytest.mark.parametrize(
    ("name", "specimen"), [("", "mesh"), ("Anna\t1", "Anna_1"), ("Zoe\u0308", "Zo\u00eb")]
)
def test_landmarks_get_a_name_that_can_be_printed(name, specimen, the_example):
    model, mesh = read_model(), replace(the_example.mesh, name=name)
    landmarks = the_example.detection.landmarks
    errors = landmarks.expected_error_mm
    placed = Placement(landmarks.positions_mm, errors, landmarks.is_placed)
    found = SimpleNamespace(surface=SimpleNamespace(unit=parse_unit("mm")))

    named = detector._to_landmarks(placed, found, model, mesh)

    assert named.specimen == specimen
    assert_same(named, landmarks)


def test_piece_of_background_changes_little(the_example):
    lump = make_head()
    apart = lump.points * 0.5 + the_example.mesh.points.mean(axis=0) + np.array([450.0, 0, 0])
    both = Mesh(
        np.concatenate([the_example.mesh.points, apart]),
        np.concatenate([the_example.mesh.triangles, lump.triangles + len(the_example.mesh.points)]),
        "example",
    )

    detection = detect(both)

    error = errors_mm(detection.landmarks, the_example.detection.landmarks)
    assert error.mean() < 0.5


# --- what is not there ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def without_left_ear(the_example):
    face = the_example.in_face_frame(the_example.mesh.points)
    ear = (face[:, 0] > 55) & (np.abs(face[:, 1] - 8) < 75) & (face[:, 2] < 55)
    return detect(cut(the_example.mesh, ~ear))


def test_landmarks_of_a_cropped_ear_are_missing(the_example, without_left_ear):
    landmarks = without_left_ear.landmarks
    for code in EAR:
        row = the_example.row(code)

        assert landmarks.status[row] == "missing", code
        assert np.isnan(landmarks.positions[row]).all()
        assert np.isnan(landmarks.expected_error_mm[row])


@pytest.mark.parametrize("unit", ["auto", "mm"])
@pytest.mark.parametrize("share_of_height", [0.85, 0.7])
def test_infant_sized_face_that_is_cut_down_is_found(share_of_height, unit, the_example):
    """0.6 of the example's size, 83 mm across at the tighter cut: ears and hairline are gone."""
    truth, mesh = 0.6 * the_example.truth.positions, the_example.mesh
    nasion, subnasale, gnathion = (truth[the_example.row(code)] for code in ("n", "sn", "gn"))
    points = 0.6 * mesh.points
    radius_mm = share_of_height * np.linalg.norm(nasion - gnathion)
    is_near = np.linalg.norm(points - subnasale, axis=1) < radius_mm

    found = detect(cut(replace(mesh, points=points), is_near), unit=unit).landmarks

    assert found.mm_per_unit == 1
    assert {*EAR, "tr"} <= {
        code
        for code, status in zip(found.scheme.codes, found.status, strict=True)
        if status == "missing"
    }
    errors = np.linalg.norm(found.positions_mm - truth, axis=1)[found.is_placed]
    assert len(errors) >= 30
    assert errors.mean() < 1.2
    codes = np.array(found.scheme.codes)[found.is_placed]
    is_jaw = np.char.startswith(codes, "go_")
    assert errors[~is_jaw].max() < 3
    # At the very border of the looser cut: 4.4, expected 3.9.
    assert errors[is_jaw].max(initial=0) < 5


def test_cropped_ear_leaves_the_rest_in_place(the_example, without_left_ear):
    middle = [the_example.row(code) for code in ("n", "prn", "sn", "ex_r", "ch_r", "ch_l", "en_l")]

    apart = np.linalg.norm(
        (without_left_ear.landmarks.positions_mm - the_example.detection.landmarks.positions_mm)[
            middle
        ],
        axis=1,
    )

    assert apart.mean() < 0.5


# --- what is no face -----------------------------------------------------------------------------


def test_head_without_a_face_is_refused_with_a_reason():
    with pytest.raises(ScanRefusedError, match=r"^head: .{30,}"):
        detect(make_head())


def test_back_of_the_head_is_refused(the_example):
    behind = the_example.in_face_frame(the_example.mesh.points)[:, 2] < 0

    with pytest.raises(ScanRefusedError, match=r"example: .*face"):
        detect(cut(the_example.mesh, behind))


def test_noise_is_refused():
    rng = np.random.default_rng(1)
    head = make_head(16, 24)
    mesh = replace(head, points=head.points + rng.normal(0, 12, head.points.shape))

    with pytest.raises(ScanRefusedError, match="head: "):
        detect(mesh)


@pytest.mark.parametrize("unit", ["um", "cm", "m", "in", "2.2", "0.4"])
def test_wrong_unit_is_refused_and_the_option_named(unit, the_example):
    with pytest.raises(PalnetError, match="unit"):
        detect(the_example.mesh, unit=unit)


def test_face_as_small_as_one_born_early_is_found_where_the_unit_is_given(the_example):
    small = replace(the_example.mesh, points=the_example.mesh.points * 0.45)

    detection = detect(small, unit="mm")

    assert detection.provenance["face_scale"] < SMALLEST_FACE
    assert any(finding.code == "small_face" for finding in detection.findings)
    found = replace(detection.landmarks, positions=detection.landmarks.positions / 0.45)
    assert errors_mm(found, the_example.truth).mean() < 1.2
    with pytest.raises(PalnetError, match="unit"):
        detect(small)


def test_size_that_fits_no_unit_is_refused(the_example):
    with pytest.raises(UnitError, match="unit"):
        detect(replace(the_example.mesh, points=the_example.mesh.points * 4.5e-6))


@pytest.mark.parametrize("scan", [np.eye(3), (np.eye(3), [[0, 1, 2]]), None, b"face.ply"])
def test_scan_that_is_neither_path_nor_mesh_is_refused_in_words(scan):
    with pytest.raises(MeshError, match=rf"palnet\.Mesh; got {type(scan).__name__}\. Make one"):
        detect(scan)


@pytest.mark.parametrize("unit", ["auto", "mm"])
def test_mesh_without_triangles_is_not_taken_for_one_of_a_wrong_size(unit):
    cloud = palnet.Mesh(100 * np.eye(3), np.zeros((0, 3), dtype=int), name="cloud")

    with pytest.raises(MeshError, match="cloud: holds 3 points and no triangles"):
        detect(cloud, unit=unit)


def test_mesh_without_area_is_refused():
    flat = Mesh(np.zeros((3, 3)), np.array([[0, 1, 2]], dtype=np.int32), "dot")

    with pytest.raises((MeshError, UnitError), match=r"scan|area"):
        detect(flat)
