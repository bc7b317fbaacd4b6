# SPDX-License-Identifier: Apache-2.0
"""Every kind of bad data set is named, and a good one is not."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from palnet.cli import main
from palnet.data_sets import pictures as check_pictures
from palnet.data_sets.checking import ERRORS, KINDS, WARNINGS, check_data_set
from palnet.data_sets.layouts import read_data_set
from palnet.error_classes import classify_errors
from palnet.exchange import read_landmarks, write_landmarks
from palnet.samples import example_scan, example_truth
from palnet.scheme import Scheme
from palnet.surface import Mesh, write_ply
from toy_cohort import toy_landmarks, toy_person, write_toy_cohort, write_toy_scan
from toy_head import toy_model, toy_scheme

N_PEOPLE = 6
NAN = np.nan
# What a detection says of its landmarks.
DETECTED = {"status": 13 * ("detected",), "expected_error_mm": np.full(13, 1.5)}


@pytest.fixture(scope="module")
def a_good_cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort") / "scans"
    return folder, str(write_toy_cohort(folder, N_PEOPLE))


@pytest.fixture
def a_copy(a_good_cohort, tmp_path):
    folder = tmp_path / "scans"
    shutil.copytree(a_good_cohort[0], folder)
    return folder


def row(code):
    return toy_scheme().index_of(code)


def rewrite(folder, name="p2", *, mesh=None, move=None, **changes):
    """Write a person again with other numbers."""
    own_mesh, positions = toy_person(int(name[1:]))
    if move is not None:
        positions = move(positions)
    write_toy_scan(folder, name, mesh or own_mesh, positions, **changes)


def moved(code, to):
    def move(positions):
        positions = positions.copy()
        positions[row(code)] = to(positions) if callable(to) else to
        return positions

    return move


def each_moved(folder, code, to, names):
    for name in names:
        rewrite(folder, name, move=moved(code, to))


def change_mesh(folder, change, name="p2", **scan):
    mesh, positions = toy_person(int(name[1:]))
    points = change(mesh.points)
    write_toy_scan(folder, name, replace(mesh, points=points), change(positions), **scan)


def turned_and_moved():
    """As a lab writes it that multiplies rows: transposed, the translation is in the last row."""
    matrix = np.eye(4)
    matrix[:3, :3] = [[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    matrix[:3, 3] = 1.0, 2.0, 3.0
    return matrix


def save_matrix(folder, matrix, name="p2"):
    np.save(folder / f"{name}.transformation_matrix.npy", matrix)


def delete(folder, pattern):
    for path in folder.glob(pattern):
        path.unlink()


def exchanged(a, b):
    def move(positions):
        positions = positions.copy()
        positions[[row(a), row(b)]] = positions[[row(b), row(a)]]
        return positions

    return move


def mirror_mesh(folder, name="p2"):
    mesh, positions = toy_person(int(name[1:]))
    points = mesh.points * [-1, 1, 1]
    write_toy_scan(folder, name, Mesh(points, mesh.triangles[:, ::-1]), positions * [-1, 1, 1])


def copy_moved(folder):
    mesh, positions = toy_person(3)
    points = np.add(mesh.points, [5, 0, 0])
    write_toy_scan(folder, "p2", replace(mesh, points=points), np.add(positions, [5, 0, 0]))


def copy_mirrored(folder):
    """A copy for more scans to train on, with the labels of left and right as they have to be."""
    mesh, positions = toy_person(3)
    points = mesh.points * [-1, 1, 1]
    mirrored = (positions * [-1, 1, 1])[toy_scheme().mirror]
    write_toy_scan(folder, "p2", Mesh(points, mesh.triangles[:, ::-1]), mirrored)


def copy_mesh(folder):
    mesh, positions = toy_person(3)
    write_toy_scan(folder, "p2", mesh, positions)


def copy_annotated_again(folder, mirror=1):
    """Moved, saved in another order, and given landmarks of its own."""
    mesh, positions = toy_person(3)
    order = np.random.default_rng(0).permutation(len(mesh.points))
    triangles = np.argsort(order)[mesh.triangles][:, ::mirror]
    points = np.add(mesh.points[order] * [mirror, 1, 1], [5, 0, 0])
    again = positions + np.random.default_rng(1).normal(scale=0.3, size=positions.shape)
    if mirror < 0:
        again = again[toy_scheme().mirror]
    write_toy_scan(folder, "p2", Mesh(points, triangles), np.add(again * [mirror, 1, 1], [5, 0, 0]))


def unrefine(folder):
    mesh, positions = toy_person(2)
    model = toy_model()
    points = mesh.points[: len(model.neutral_mm)]
    write_toy_scan(folder, "p2", Mesh(points, model.triangles), positions)


def repeat_name(folder):
    (folder / "again").mkdir()
    shutil.copy(folder / "p2.ply", folder / "again")
    shutil.copy(folder / "p2.csv", folder / "again")


def turn_to_a_turned_frame(folder):
    """The mesh lies elsewhere, the matrix brings it back, and the landmarks are there already."""
    matrix = np.eye(4)
    matrix[:3, :3] = [[0, 0, 1], [0, 1, 0], [-1, 0, 0]]
    matrix[:3, 3] = [40, 300, -60]
    mesh, positions = toy_person(2)
    points = (mesh.points - matrix[:3, 3]) @ matrix[:3, :3]
    write_toy_scan(folder, "p2", replace(mesh, points=points), positions)
    save_matrix(folder, matrix)


def write_fcsv(folder, shift_mm):
    """What a person corrected in Slicer, beside the table of before."""
    landmarks = read_landmarks(folder / "p2.csv", toy_scheme())
    corrected = replace(landmarks, positions=np.add(landmarks.positions, [shift_mm, 0, 0]))
    write_landmarks(corrected, folder / "p2.fcsv")


def name_visits(folder, name):
    """Call the scans p0, p1, ... two visits each of person A, B, ..."""
    for number in range(N_PEOPLE):
        place = name.format(person="ABCDE"[number // 2], visit=number % 2 + 1, number=number)
        (folder / place).parent.mkdir(exist_ok=True)
        for suffix in (".ply", ".csv"):
            (folder / f"p{number}{suffix}").rename(folder / f"{place}{suffix}")


SWAP_SIDES = toy_scheme().mirror
FAR = np.eye(4) + np.eye(4, k=3) * 30
SPOILERS = {
    "no_scans": [lambda f: delete(f, "*.*")],
    "bad_mesh": [
        lambda f: (f / "p2.ply").write_bytes((f / "p2.ply").read_bytes()[:5000]),
        lambda f: (f / "p2.ply").write_bytes(b""),
    ],
    "bad_size": [
        lambda f: change_mesh(f, lambda p: p * 1e-7),
    ],
    "bad_landmarks": [
        lambda f: (f / "p2.csv").write_bytes(b"\x00\x01"),
        lambda f: (f / "p2.csv").write_text("code,left,right\nprn,1,2\n", encoding="utf-8"),
    ],
    "bad_matrix": [
        lambda f: save_matrix(f, np.eye(3)),
        lambda f: save_matrix(f, np.eye(4) * 1.2),
        lambda f: save_matrix(f, np.diag([-1.0, 1, 1, 1])),
        lambda f: save_matrix(f, np.full((4, 4), NAN)),
        lambda f: save_matrix(f, turned_and_moved().T),
        lambda f: (f / "p2.transformation_matrix.npy").write_bytes(b"PK"),
        lambda f: (f / "p2.transformation_matrix.npy").write_bytes(b""),
        lambda f: np.save(f / "p2.transformation_matrix.npy", [object()], allow_pickle=True),
    ],
    "ambiguous_files": [
        lambda f: shutil.copy(f / "p2.csv", f / "twice.csv"),
    ],
    "repeated_name": [
        repeat_name,
    ],
    "all_missing": [lambda f: rewrite(f, move=lambda p: p * NAN)],
    "at_origin": [lambda f: rewrite(f, move=moved("prn", [0, 0, 0]))],
    "coincident": [lambda f: rewrite(f, move=moved("sn", lambda p: p[row("prn")]))],
    "flat": [lambda f: rewrite(f, move=lambda p: np.add(p * [1, 1, 0], [0, 0, 100]))],
    "off_surface": [
        lambda f: rewrite(f, move=moved("n", lambda p: np.add(p[row("n")], [0, 0, 9])))
    ],
    "elsewhere": [lambda f: rewrite(f, move=lambda p: np.add(p, [0, 0, 90]))],
    "other_axes": [
        lambda f: change_mesh(f, lambda p: np.add(p, [20, 40, 0]), frame="RAS", space="RAS")
    ],
    "other_unit": [
        lambda f: rewrite(f, move=lambda p: p * 0.1),
        lambda f: rewrite(f, move=lambda p: p / 1000),
        lambda f: rewrite(f, move=lambda p: p * 25.4),
    ],
    "already_moved": [turn_to_a_turned_frame],
    "mirrored": [mirror_mesh, lambda f: rewrite(f, move=lambda p: p[SWAP_SIDES])],
    "exchanged": [lambda f: rewrite(f, move=exchanged("ex_r", "ch_r"))],
    "wrong_order": [
        lambda f: rewrite(f, move=lambda p: p[[12, 3, 7, 0, 9, 1, 10, 2, 5, 11, 4, 8, 6]])
    ],
    "same_mesh": [copy_mesh, copy_annotated_again, lambda f: copy_annotated_again(f, mirror=-1)],
    "same_landmarks": [copy_moved, copy_mirrored],
    "some_matrices": [lambda f: (f / "p2.transformation_matrix.npy").unlink()],
    "registration": [lambda f: save_matrix(f, FAR)],
    "never_placed": [lambda f: each_moved(f, "gn", NAN, [f"p{k}" for k in range(N_PEOPLE)])],
    "few_people": [
        lambda f: delete(f, "p[345].*"),
        lambda f: (f / "people.csv").write_text(
            "specimen,person\n" + "".join(f"p{k},a\n" for k in range(3)), encoding="utf-8"
        ),
    ],
    "no_landmarks": [lambda f: (f / "p2.csv").unlink()],
    "no_mesh": [lambda f: (f / "p2.ply").unlink()],
    "doubtful_landmarks": [
        lambda f: (f / "p2.csv").write_text(
            "\n".join(
                line
                for line in (f / "p2.csv").read_text(encoding="utf-8").splitlines()
                if ",prn," not in line
            ),
            encoding="utf-8",
        )
    ],
    "unreviewed": [lambda f: rewrite(f, **DETECTED)],
    "passed_over": [lambda f: write_fcsv(f, 0.2)],
    "other_table": [
        lambda f: (f / "measurements.csv").write_text("specimen,n_sn_mm\np2,51.2\n", "utf-8"),
        lambda f: (f / "clinic.csv").write_text("id,age,sex\np2,51,f\n", encoding="utf-8"),
    ],
    "unknown_specimen": [
        lambda f: (f / "people.csv").write_text("specimen,person\np9,a\np0,b\n", encoding="utf-8")
    ],
    "alike_people": [
        lambda f: (f / "people.csv").write_text("specimen,person\np0,anna\np1,Anna\n", "utf-8"),
        lambda f: (f / "people.csv").write_text("specimen,person\np0,P1\n", encoding="utf-8"),
        lambda f: (f / "people.csv").write_text("specimen,person\np0,Zo\u00eb\np1,Zoe\n", "utf-8"),
        lambda f: (f / "people.csv").write_text("specimen,person\np0,A-07\np1,a 7\n", "utf-8"),
    ],
    "several_visits": [
        lambda f: name_visits(f, "{person}_{visit}"),
        lambda f: name_visits(f, "{person}/{person} {visit}"),
        lambda f: name_visits(f, "{person}/{number}"),
    ],
    "coarse_mesh": [unrefine],
    "odd_size": [lambda f: change_mesh(f, lambda p: p * 1.8)],
    "mixed_units": [lambda f: change_mesh(f, lambda p: p / 1000)],
    "outlier": [
        lambda f: rewrite(f, move=moved("t_r", lambda p: np.add(p[row("ch_r")], [-6, 4, 0])))
    ],
    "rarely_placed": [lambda f: each_moved(f, "gn", NAN, ["p0", "p1", "p2", "p3"])],
}
CASES = [
    pytest.param(kind, spoil, id=f"{kind}-{number}")
    for kind, spoilers in SPOILERS.items()
    for number, spoil in enumerate(spoilers)
]


# Which scan is named, where it is neither p2 nor none.
NAMED = {"same_landmarks": "p3", "unknown_specimen": "p9"}


def problems_of(folder, scheme):
    return check_data_set(read_data_set(folder, scheme)).problems


def test_good_data_set_has_no_problem(a_good_cohort):
    report = check_data_set(read_data_set(*a_good_cohort))

    assert report.problems == ()
    assert (report.n_scans, report.n_people, report.n_landmarks, report.n_missing) == (6, 6, 13, 0)


@pytest.mark.parametrize(("kind", "spoil"), CASES)
def test_bad_data_set_is_named_and_nothing_else(kind, spoil, a_copy, a_good_cohort):
    spoil(a_copy)

    found = problems_of(a_copy, a_good_cohort[1])

    assert [(p.kind, p.specimen or "p2") for p in found] == [(kind, NAMED.get(kind, "p2"))]


def test_names_that_number_a_series_or_that_a_table_lists_are_no_visits(a_copy, a_good_cohort):
    name_visits(a_copy, "case_{number}")
    assert problems_of(a_copy, a_good_cohort[1]) == ()

    for number in range(N_PEOPLE):
        for suffix in (".ply", ".csv"):
            new = f"{'ABC'[number // 2]}-{number}{suffix}"
            (a_copy / f"case_{number}{suffix}").rename(a_copy / new)
    rows = [f"{'ABC'[number // 2]}-{number},{number // 2}" for number in range(N_PEOPLE)]
    text = "\n".join(["specimen,person", *rows])
    (a_copy / "people.csv").write_text(text, encoding="utf-8")

    assert "several_visits" not in {each.kind for each in problems_of(a_copy, a_good_cohort[1])}


@pytest.mark.parametrize(
    "content",
    [
        b"", b"sep=,\nspecimen,code,x,y,z,status\n", "specimen,code\n".encode("utf-16-le"),
        b"specimen,code,x,y,z,state\n", b"p2,n,1,2,3,confirmed\n",
    ],
)  # fmt: skip
def test_damaged_landmark_file_is_an_error_wherever_it_lies(content, a_copy, a_good_cohort):
    below = a_copy / "landmarks"
    below.mkdir()
    (a_copy / "p2.csv").unlink()
    (below / "p2.csv").write_bytes(content)
    (below / "many.csv").write_bytes(content)

    found = problems_of(a_copy, a_good_cohort[1])

    assert [(p.kind, p.specimen) for p in found] == [
        ("bad_landmarks", "many"),
        ("bad_landmarks", "p2"),
    ]


@pytest.mark.parametrize("n_reviewed", [0, 1])
def test_annotation_beside_a_detection_is_used(n_reviewed, a_copy, a_good_cohort):
    """The .mrk.json of a detection was, even beside the annotations of a lab in a table."""
    annotated = read_landmarks(a_copy / "p2.csv", toy_scheme())
    status = (*n_reviewed * ["confirmed"], *(13 - n_reviewed) * ["detected"])
    detected = toy_landmarks(annotated.positions + 0.2, "p2", **DETECTED | {"status": status})
    write_landmarks(detected, a_copy / "p2.mrk.json")

    data = read_data_set(a_copy, a_good_cohort[1])

    (used,) = (scan.landmarks for scan in data.scans if scan.specimen == "p2")
    expected = detected if n_reviewed else annotated
    np.testing.assert_allclose(used.positions, expected.positions, atol=1e-5)
    names = ("p2.mrk.json", "p2.csv") if n_reviewed else ("p2.csv", "p2.mrk.json")
    text = "{} is used; {} beside it says something else.".format(*names)
    assert [(each.kind, each.text) for each in data.problems] == [("passed_over", text)]


@pytest.mark.parametrize("is_annotated", [False, True])
def test_of_two_detections_the_one_that_users_correct_in_slicer_is_used_if_nobody_annotated(
    is_annotated, a_copy, a_good_cohort
):
    rewrite(a_copy, **DETECTED)
    detected = read_landmarks(a_copy / "p2.csv", toy_scheme())
    write_landmarks(replace(detected, positions=detected.positions + 0.2), a_copy / "p2.mrk.json")

    if is_annotated:
        annotated = replace(detected, positions=detected.positions + 0.5)
        write_landmarks(annotated, a_copy / "p2.pp")

    texts = [each.text for each in read_data_set(a_copy, a_good_cohort[1]).problems]

    used, *left = ["p2.pp"] * is_annotated + ["p2.mrk.json", "p2.csv"]
    expected = [f"{used} is used; {name} beside it says something else." for name in left]
    assert sorted(texts) == sorted(expected)


def test_two_files_that_say_the_same_are_no_problem(a_copy, a_good_cohort):
    """As a detection writes them; the one that holds most is taken."""
    write_fcsv(a_copy, 0)

    assert problems_of(a_copy, a_good_cohort[1]) == ()


def test_files_of_a_detection_in_a_folder_below_are_read(a_copy, a_good_cohort):
    """`palnet detect scans -o scans/found` and then `palnet check-data scans`."""
    write_fcsv(a_copy, 0)
    (a_copy / "found").mkdir()
    for name in ("p2.csv", "p2.fcsv"):
        (a_copy / name).rename(a_copy / "found" / name)

    assert problems_of(a_copy, a_good_cohort[1]) == ()


def each_lacks_one(folder):
    """No scan has all landmarks: each lacks another one."""
    codes = toy_scheme().codes
    for number in range(N_PEOPLE):
        rewrite(folder, f"p{number}", move=moved(codes[number], NAN))


@pytest.mark.parametrize(
    ("kind", "spoil"),
    [
        ("exchanged", exchanged("ex_r", "ch_r")),
        ("outlier", moved("t_r", lambda p: np.add(p[row("ch_r")], [-6, 4, 0]))),
        ("mirrored", lambda p: p[SWAP_SIDES]),
    ],
)
def test_shapes_are_looked_at_although_no_scan_is_whole(kind, spoil, a_copy, a_good_cohort):
    """A scheme without a mean face had no check of shapes then, and nobody was told."""
    each_lacks_one(a_copy)
    assert problems_of(a_copy, a_good_cohort[1]) == ()

    rewrite(a_copy, "p0", move=lambda p: moved("gn", NAN)(spoil(p)))

    found = problems_of(a_copy, a_good_cohort[1])
    assert [(p.kind, p.specimen) for p in found] == [(kind, "p0")]


@pytest.mark.parametrize("name", ["p0", "p1", "p5"])
@pytest.mark.parametrize(
    ("kind", "spoil"),
    [
        ("mirrored", mirror_mesh),
        ("odd_size", lambda f, name: change_mesh(f, lambda p: p * 1.8, name)),
        ("outlier", lambda f, name: rewrite(
            f, name, move=moved("t_r", lambda p: np.add(p[row("ch_r")], [-6, 4, 0])))),
    ],
)  # fmt: skip
def test_odd_scan_is_the_one_that_is_named_even_if_it_comes_first(
    kind, spoil, name, a_copy, a_good_cohort
):
    spoil(a_copy, name)

    found = problems_of(a_copy, a_good_cohort[1])

    assert [(p.kind, p.specimen) for p in found] == [(kind, name)]


def write_in_another_unit(folder, ending, mesh_unit_mm, unit_mm, space):
    """Two people whose landmarks are in a unit that their file does not say."""
    for number in range(2):
        mesh, positions = toy_person(number)
        write_ply(replace(mesh, points=mesh.points / mesh_unit_mm, space=space),
                  folder / f"p{number}.ply")  # fmt: skip
        path = folder / f"p{number}.{ending}"
        frame = space if ending == "mrk.json" else "file"
        landmarks = toy_landmarks(positions / unit_mm, f"p{number}", frame=frame, space=space)
        write_landmarks(landmarks, path)
        path.with_name(f"{path.name}.frame.json").unlink(missing_ok=True)
        if ending == "mrk.json":  # as Slicer writes it: palnet's own says the unit
            content = json.loads(path.read_text(encoding="utf-8"))
            content["markups"][0].pop("measurements")
            path.write_text(json.dumps(content), encoding="utf-8")


KINDS_OF_FILE = [("csv", "LPS"), ("csv", "RAS"), ("tps", "LPS"), ("mrk.json", "RAS")]
UNITS_MM = [(1.0, 1000.0), (1.0, 10.0), (10.0, 1.0), (1.0, 0.001)]


@pytest.mark.parametrize(
    ("ending", "space", "mesh_unit_mm", "unit_mm"),
    [
        (ending, space, *units)
        for ending, space in KINDS_OF_FILE
        for units in UNITS_MM
        if (ending, units[1]) != ("mrk.json", 1.0)  # right: a frame says millimeters
    ],
)
def test_landmarks_in_another_unit_are_mended_by_the_command_that_is_named(
    ending, space, mesh_unit_mm, unit_mm, tmp_path, a_good_cohort
):
    """Landmarks in meters were said to lie on one spot, and to be those of another person."""
    scheme = a_good_cohort[1]
    write_in_another_unit(tmp_path, ending, mesh_unit_mm, unit_mm, space)

    found = problems_of(tmp_path, scheme)

    named = [(p.kind, p.specimen) for p in found if p.kind != "few_people"]
    assert named == [("other_unit", "p0"), ("other_unit", "p1")]
    command = re.search("what palnet (convert .*) writes", found[0].text)[1].split()
    files = sorted(map(str, tmp_path.glob(f"*.{ending}")))
    at = command.index("FILE")
    words = {"SCHEME": scheme, "NEW": str(tmp_path / "new")}
    options = [words.get(word, word) for word in command[at + 1 :]]
    assert main([*command[:at], *files, *options]) == 0
    for path in files:
        Path(path).unlink()
    assert [p.kind for p in problems_of(tmp_path, scheme)] == ["few_people"]


TURNED = np.array([-1.0, -1.0, 1.0])


@pytest.mark.parametrize("has_matrix", [True, False])
def test_frames_are_mixed_up_although_the_face_lies_on_itself(has_matrix, a_copy, a_good_cohort):
    """Turned about the axis that it looks along, a centered face is 1 to 5 mm off itself."""
    for number in range(N_PEOPLE):
        rewrite(a_copy, f"p{number}", move=lambda p: p * TURNED)
    if not has_matrix:
        delete(a_copy, "*.npy")

    found = problems_of(a_copy, a_good_cohort[1])

    expected = [("other_axes", f"p{number}") for number in range(N_PEOPLE)]
    assert [(p.kind, p.specimen) for p in found] == expected


def test_landmarks_in_the_common_frame_are_called_that_where_it_is_a_half_turn(
    a_copy, a_good_cohort
):
    rewrite(a_copy, "p3", move=lambda p: p * TURNED)
    save_matrix(a_copy, np.diag([*TURNED, 1.0]), "p3")

    found = problems_of(a_copy, a_good_cohort[1])

    assert [(p.kind, p.specimen) for p in found] == [("already_moved", "p3")]


def an_egg(off_mm, is_turned):
    """A surface that a half turn leaves as it is, and 13 points so far off it."""
    mesh, _ = toy_person(0)
    axes = np.array([70.0, 95.0, 85.0])
    points = mesh.points - mesh.points.mean(axis=0)
    points = points / np.linalg.norm(points, axis=1, keepdims=True) * axes
    directions = np.random.default_rng(0).normal(size=(13, 3))
    on_it = directions / np.linalg.norm(directions, axis=1, keepdims=True) * axes
    outward = on_it / axes**2
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    return Mesh(points, mesh.triangles, "egg"), (on_it + off_mm * outward) * (
        TURNED if is_turned else 1
    )


@pytest.mark.parametrize("off_mm", [0.0, 0.3, 2.0, 4.0])
@pytest.mark.parametrize("is_turned", [True, False])
def test_half_turn_of_what_it_leaves_as_it_is_is_no_finding(off_mm, is_turned, tmp_path):
    write_toy_scan(tmp_path, "egg", *an_egg(off_mm, is_turned))

    found = problems_of(tmp_path, toy_scheme())

    assert {p.kind for p in found}.isdisjoint({"other_axes", "off_surface", "elsewhere"})


@pytest.mark.parametrize("seed", range(4))
def test_rough_labels_are_not_called_turned(seed, a_copy, a_good_cohort):
    """Off the surface by some millimeters each, at random."""
    rng = np.random.default_rng(seed)
    for number in range(N_PEOPLE):
        rewrite(a_copy, f"p{number}", move=lambda p: p + rng.normal(0, 3, p.shape))

    found = problems_of(a_copy, a_good_cohort[1])

    assert "other_axes" not in {p.kind for p in found}


def test_every_kind_is_tried():
    # In test_layouts: "bad_indices" is one of FaceScape, "unreadable" is not of every system.
    assert {*SPOILERS, "bad_indices", "unreadable"} == set(KINDS)
    assert len(SPOILERS) > 20


def test_command_prints_each_problem_and_fails_on_errors(a_copy, a_good_cohort, capsys):
    scheme = a_good_cohort[1]
    assert main(["check-data", str(a_copy), "--scheme", scheme]) == 0
    assert capsys.readouterr().out == (
        "plain: 6 scans of 6 people, 13 landmarks (toy13), 0 missing; 0 errors, 0 warnings\n"
    )

    SPOILERS["no_landmarks"][0](a_copy)
    assert main(["check-data", str(a_copy), "--scheme", scheme]) == 0
    rewrite(a_copy, "p4", move=exchanged("ex_r", "ch_r"))
    assert main(["check-data", str(a_copy), "--scheme", scheme]) == 1

    lines = capsys.readouterr().out.splitlines()[-3:]
    assert lines[0] == "error exchanged: p4: ex_r and ch_r seem to be exchanged."
    assert lines[1].startswith("warning no_landmarks: p2: p2.ply has no landmark file")
    assert lines[2].endswith("; 1 error, 1 warning")


def test_problems_name_their_landmarks(a_copy, a_good_cohort):
    SPOILERS["exchanged"][0](a_copy)
    rewrite(a_copy, "p4", move=moved("n", lambda p: np.add(p[row("n")], [0, 0, 9])))
    rewrite(a_copy, "p5", move=moved("sn", lambda p: p[row("prn")]))

    found = {(p.specimen, p.kind): p.codes for p in problems_of(a_copy, a_good_cohort[1])}

    assert {key: set(codes) for key, codes in found.items()} == {
        ("p2", "exchanged"): {"ex_r", "ch_r"},
        ("p4", "off_surface"): {"n"},
        ("p5", "coincident"): {"prn", "sn"},
    }


def test_pictures_show_each_scan_with_a_problem_and_its_landmarks(
    a_copy, a_good_cohort, tmp_path, monkeypatch, capsys
):
    drawn = {}

    def draw(mesh, landmarks, _pose, path, *, overwrite):
        drawn[path.name] = (len(mesh.points), classify_errors(landmarks), overwrite)

    monkeypatch.setattr(check_pictures, "render_preview", draw)
    rewrite(a_copy, "p4", move=exchanged("ex_r", "ch_r"))
    SPOILERS["bad_mesh"][0](a_copy)  # p2, of which there is nothing to draw

    main(["check-data", str(a_copy), "--scheme", a_good_cohort[1], "--pictures", str(tmp_path)])

    assert list(drawn) == ["p4.png"]
    n_points, classes, overwrite = drawn["p4.png"]
    assert n_points == len(toy_person(4)[0].points)
    assert overwrite
    # 2 is drawn as doubtful, 3 as unknown.
    red = [code for code, each in zip(toy_scheme().codes, classes, strict=True) if each == 2]
    assert sorted(red) == ["ch_r", "ex_r"]
    assert set(classes) == {2, 3}
    assert f"pictures: 1 in {tmp_path}" in capsys.readouterr().out


def test_landmarks_of_the_midline_alone_are_not_called_flat(tmp_path):
    """A lab that annotates profiles could not train on them."""
    shutil.copy(example_scan(), tmp_path / "anna.ply")
    truth = read_landmarks(example_truth())
    midline = [landmark for landmark in truth.scheme.landmarks if landmark.side == "midline"]
    profile = truth.to_scheme(Scheme("profile", tuple(midline)))
    write_landmarks(profile, tmp_path / "anna.csv")

    found = check_data_set(read_data_set(tmp_path, profile.scheme)).problems

    assert {problem.kind for problem in found} == {"few_people"}


def test_folder_that_is_not_there_is_refused(tmp_path, capsys):
    assert main(["check-data", str(tmp_path / "scnas")]) == 2
    assert "is not a folder" in capsys.readouterr().err


def test_kinds_are_errors_or_warnings_and_not_both():
    assert set(KINDS) > set(ERRORS)
    assert len(KINDS) == len(ERRORS) + len(WARNINGS)
