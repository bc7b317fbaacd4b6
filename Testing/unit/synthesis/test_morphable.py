# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest

from palnet.errors import ModelFileError
from palnet.scheme import load_scheme
from palnet.synthesis import morphable, read_morphable_model
from palnet.synthesis.morphable import ClosedCorner, loop_subdivision
from toy_head import toy_arrays, toy_model, toy_scheme, write_toy_files


def make_grid(n=7):
    """A regular grid of triangles in a plane; returns points, triangles and which are interior."""
    column, row = (each.ravel() for each in np.meshgrid(range(n), range(n)))
    points = np.stack([column + 0.5 * row, row * 0.8, 0 * row], axis=1)
    a = (np.arange(n * n).reshape(n, n)[:-1, :-1]).ravel()
    triangles = np.concatenate(
        [np.stack([a, a + 1, a + n], axis=1), np.stack([a + 1, a + n + 1, a + n], axis=1)]
    )
    is_inner = (column > 0) & (column < n - 1) & (row > 0) & (row < n - 1)
    return points, triangles.astype(np.int32), is_inner


def make_octahedron():
    points = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]], float)
    triangles = [[4, 0, 2], [4, 2, 1], [4, 1, 3], [4, 3, 0], [5, 2, 0], [5, 1, 2], [5, 3, 1]]
    return points, np.array([*triangles, [5, 0, 3]], dtype=np.int32)


def edge_counts(triangles):
    edges = np.sort(triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    return np.unique(edges, axis=0, return_counts=True)


# --- subdivision ---------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", ["grid", "octahedron", "three on an edge"])
def test_subdivision_rows_sum_to_one(shape):
    if shape == "grid":
        points, triangles, _ = make_grid()
    elif shape == "octahedron":
        points, triangles = make_octahedron()
    else:
        points = np.zeros((6, 3))
        triangles = np.array([[0, 1, 2], [1, 0, 3], [0, 1, 4]], dtype=np.int32)

    refine, _ = loop_subdivision(triangles, len(points))

    np.testing.assert_allclose(np.asarray(refine.sum(axis=1)).ravel(), 1, atol=1e-12)


def test_subdivision_keeps_the_inside_of_a_regular_grid_in_place():
    points, triangles, is_inner = make_grid()
    edges, _ = edge_counts(triangles)

    refine, _ = loop_subdivision(triangles, len(points))

    fine = refine @ points
    np.testing.assert_allclose(fine[: len(points)][is_inner], points[is_inner], atol=1e-12)
    inner_edge = is_inner[edges].all(axis=1)
    middles = points[edges].mean(axis=1)[inner_edge]
    np.testing.assert_allclose(fine[len(points) :][inner_edge], middles, atol=1e-12)


def test_subdivision_keeps_a_straight_border_straight():
    points, triangles, _ = make_grid()

    refine, _ = loop_subdivision(triangles, len(points))

    fine = refine @ points
    bottom = np.flatnonzero(points[:, 1] == 0)[1:-1]
    np.testing.assert_allclose(fine[bottom], points[bottom], atol=1e-12)


def test_subdivision_keeps_a_closed_mesh_closed():
    points, triangles = make_octahedron()

    _, fine_triangles = loop_subdivision(triangles, len(points))

    edges, count = edge_counts(fine_triangles)
    assert set(count) == {2}
    n_fine = fine_triangles.max() + 1
    assert n_fine - len(edges) + len(fine_triangles) == 2


def test_subdivision_keeps_the_orientation():
    points, triangles = make_octahedron()

    refine, fine_triangles = loop_subdivision(triangles, len(points))

    a, b, c = ((refine @ points)[fine_triangles[:, k]] for k in range(3))
    outward = np.einsum("ij,ij->i", np.cross(b - a, c - a), a + b + c)
    assert (outward > 0).all()


def test_subdivision_numbers_the_coarse_points_first():
    points, triangles = make_octahedron()

    refine, fine_triangles = loop_subdivision(triangles, len(points))

    # Of valence 4, by Warren's weights: 5/8 of itself and 3/32 of each neighbour.
    np.testing.assert_allclose(refine.toarray()[:6][np.eye(6, dtype=bool)], 5 / 8)
    coarse_corners = fine_triangles[fine_triangles < 6]
    assert sorted(coarse_corners) == sorted(triangles.ravel())


def test_subdivision_leaves_a_point_without_triangles_alone():
    points, triangles = make_octahedron()

    refine, _ = loop_subdivision(triangles, len(points) + 1)

    lonely = refine.toarray()[6]
    np.testing.assert_array_equal(lonely, np.eye(7)[6])


# --- model ---------------------------------------------------------------------------------------


@pytest.fixture
def a_model_file(tmp_path, monkeypatch):
    monkeypatch.setattr(morphable, "LABELS_FOLDER", tmp_path)
    return write_toy_files(tmp_path)


def test_read_gives_the_outer_and_the_mouth_parts(a_model_file):
    expected = toy_model()

    model = read_morphable_model(a_model_file, toy_scheme())

    for name in (
        "neutral_mm",
        "identity_mm",
        "expression_mm",
        "triangles",
        "is_mouth",
        "is_eyeball",
        "fine_triangles",
        "landmark_points",
    ):
        np.testing.assert_array_equal(getattr(model, name), getattr(expected, name), name)
    assert model.expression_names == expected.expression_names
    np.testing.assert_array_equal(model.refine.toarray(), expected.refine.toarray())


def test_fine_template_carries_the_landmarks_on_its_first_points():
    model = toy_model()

    coarse, fine = model.neutral_mm, model.fine_template_mm

    # Subdivision draws a point towards its neighbours: 4.0 mm at most on the toy's sharp nose.
    moved_mm = np.linalg.norm(fine[model.landmark_points] - coarse[model.landmark_points], axis=1)
    assert moved_mm.max() < 4.5


def test_fine_mask_needs_every_parent():
    model = toy_model()

    fine = model.fine(model.is_eyeball)

    weight = model.refine @ model.is_eyeball.astype(float)
    np.testing.assert_array_equal(fine, np.isclose(weight, 1, atol=1e-6))
    assert fine.sum() > model.is_eyeball.sum()


def test_read_missing_file_says_where_to_get_it(tmp_path):
    with pytest.raises(ModelFileError, match="no morphable model here"):
        read_morphable_model(tmp_path / "absent.npz", toy_scheme())


def test_read_scheme_without_labels_names_the_file_to_write(a_model_file, a_small_scheme):
    with pytest.raises(ModelFileError, match=r"no labels of scheme 'lab3'"):
        read_morphable_model(a_model_file, a_small_scheme)


def test_read_labels_that_lack_a_landmark_names_it(a_model_file, a_small_scheme):
    path = a_model_file.parent / "ict_facekit.lab3.json"
    path.write_text('{"vertex_of": {"tip": 1, "eye_r": 2}}', encoding="utf-8")

    with pytest.raises(ModelFileError, match="no vertex for eye_l"):
        read_morphable_model(a_model_file, a_small_scheme)


@pytest.mark.parametrize("absent", ["neutral_mm", "part_ranges", "expression_names"])
def test_read_file_that_lacks_an_array_refuses(a_model_file, absent):
    arrays = {name: array for name, array in toy_arrays().items() if name != absent}
    np.savez(a_model_file, **arrays)

    with pytest.raises(ModelFileError, match="not a packed ICT-FaceKit model"):
        read_morphable_model(a_model_file, toy_scheme())


@pytest.mark.parametrize("n_bytes", [0, 10, 5000])
def test_read_truncated_file_refuses(a_model_file, n_bytes):
    a_model_file.write_bytes(a_model_file.read_bytes()[:n_bytes])

    with pytest.raises(ModelFileError, match="not a packed ICT-FaceKit model"):
        read_morphable_model(a_model_file, toy_scheme())


def test_read_file_with_too_few_points_refuses(a_model_file):
    arrays = toy_arrays() | {"neutral_mm": toy_arrays()["neutral_mm"][:500]}
    np.savez(a_model_file, **arrays)

    with pytest.raises(ModelFileError, match="not a packed ICT-FaceKit model"):
        read_morphable_model(a_model_file, toy_scheme())


def test_read_label_on_a_dropped_part_refuses(a_model_file, a_small_scheme):
    dropped = len(toy_arrays()["neutral_mm"]) - 1
    path = a_model_file.parent / "ict_facekit.lab3.json"
    path.write_text(
        f'{{"vertex_of": {{"tip": 1, "eye_r": 2, "eye_l": {dropped}}}}}', encoding="utf-8"
    )

    with pytest.raises(ModelFileError, match="on the parts that are kept"):
        read_morphable_model(a_model_file, a_small_scheme)


# --- whole heads ---------------------------------------------------------------------------------


@pytest.fixture
def a_head_file(tmp_path, monkeypatch):
    """The toy's outer and mouth parts as a source of three whole heads, subdivided twice."""
    monkeypatch.setattr(morphable, "LABELS_FOLDER", tmp_path)
    path = tmp_path / "heads.npz"
    np.savez(path, **head_arrays())
    write_head_labels(path, toy_model().landmark_points.tolist())
    return path


def head_arrays():
    model = toy_model()
    names = ("face", "head_and_neck", "eyeball_left", "eyeball_right")
    names += ("mouth_socket", "gums_and_tongue", "teeth")
    ranges = dict(zip(toy_arrays()["part_names"], toy_arrays()["part_ranges"], strict=True))
    return {
        "model_name": "toyheads",
        "n_subdivisions": 2,
        "neutral_mm": model.neutral_mm,
        "triangles": model.triangles,
        "identity_mm": np.zeros((0, *model.neutral_mm.shape), dtype=np.float32),
        "expression_mm": model.expression_mm,
        "expression_names": np.array(model.expression_names),
        "part_names": np.array(names),
        "part_ranges": np.array([ranges[name] for name in names]),
        "heads_mm": model.neutral_mm * np.array([1.0, 0.5, 0.8], dtype=np.float32)[:, None, None],
        "heads_size": np.array([1.0, 0.5, 0.8]),
        "heads_about": np.array(['{"age_group": "adult"}', '{"age_group": "infant"}', "{}"]),
    }


def write_head_labels(path, points, **more):
    codes = toy_scheme().codes
    labels = {"vertex_of": dict(zip(codes, points, strict=True)), **more}
    labels_path = path.parent / f"toyheads.{toy_scheme().name}.json"
    labels_path.write_text(json.dumps(labels), encoding="utf-8")


def test_read_heads_gives_them_with_size_and_who_they_are(a_head_file):
    model = read_morphable_model(a_head_file, toy_scheme())

    assert model.name == "toyheads"
    assert [head.size for head in model.heads] == [1.0, 0.5, 0.8]
    assert [head.about.get("age_group") for head in model.heads] == ["adult", "infant", None]
    np.testing.assert_array_equal(model.heads[1].points_mm, 0.5 * model.neutral_mm)


def test_read_without_heads_has_none(a_model_file):
    assert read_morphable_model(a_model_file, toy_scheme()).heads == ()


def test_two_subdivisions_are_one_after_the_other(a_head_file):
    model = read_morphable_model(a_head_file, toy_scheme())

    once, fine = loop_subdivision(model.triangles, len(model.neutral_mm))
    twice, finer = loop_subdivision(fine, once.shape[0])
    np.testing.assert_array_equal(model.fine_triangles, finer)
    expected = twice @ (once @ model.neutral_mm)
    # Single against double precision: 2e-5 mm at 200 mm from the origin.
    np.testing.assert_allclose(model.fine_template_mm, expected, atol=1e-4)


def test_labels_may_name_points_that_subdivision_adds(a_head_file):
    n_fine = read_morphable_model(a_head_file, toy_scheme()).refine.shape[0]
    points = [n_fine - 1 - k for k in range(len(toy_scheme()))]
    write_head_labels(a_head_file, points)

    model = read_morphable_model(a_head_file, toy_scheme())

    np.testing.assert_array_equal(model.landmark_points, points)


def test_labels_say_where_a_corner_is_on_a_closed_eye(a_head_file):
    points = dict(zip(toy_scheme().codes, toy_model().landmark_points.tolist(), strict=True))
    closed_eyes = {"eyeBlink_L": {"ex_l": points["t_l"]}}
    write_head_labels(a_head_file, list(points.values()), closed_eyes=closed_eyes)

    model = read_morphable_model(a_head_file, toy_scheme())

    landmark = toy_scheme().index_of("ex_l")
    assert model.closed_corners == (ClosedCorner(landmark, "eyeBlink_L", points["t_l"]),)


def test_labels_need_not_say_where_corners_are_on_closed_eyes(a_model_file):
    assert read_morphable_model(a_model_file, toy_scheme()).closed_corners == ()


@pytest.mark.parametrize(
    ("closed_eyes", "says"),
    [
        ({"eyeblink_L": {"ex_l": 40}}, "'ex_l' and 'eyeblink_L'"),
        ({"eyeBlink_L": {"exl": 40}}, "'exl' and 'eyeBlink_L'"),
        ({"eyeBlink_L": {"ex_l": -3}}, "no points -3"),
        ({"eyeBlink_L": {"ex_l": 10**7}}, "no points 10000000"),
    ],
)
def test_closed_eyes_that_the_source_lacks_are_refused(a_head_file, closed_eyes, says):
    points = toy_model().landmark_points.tolist()
    write_head_labels(a_head_file, points, closed_eyes=closed_eyes)

    with pytest.raises(ModelFileError, match=rf"toyheads\.toy13\.json: .*{says}"):
        read_morphable_model(a_head_file, toy_scheme())


def test_slits_that_end_on_the_other_side_are_refused(a_head_file):
    points = dict(zip(toy_scheme().codes, toy_model().landmark_points.tolist(), strict=True))
    closed_eyes = {"eyeBlink_L": {"ex_l": points["ex_r"]}}
    write_head_labels(a_head_file, list(points.values()), closed_eyes=closed_eyes)

    with pytest.raises(ModelFileError, match="slit of ex_l ends on the other side"):
        read_morphable_model(a_head_file, toy_scheme())


def test_label_on_no_point_of_the_source_is_refused(a_head_file):
    points = toy_model().landmark_points.tolist()
    write_head_labels(a_head_file, [-1, *points[1:]])

    with pytest.raises(ModelFileError, match="no points -1 on the parts that are kept"):
        read_morphable_model(a_head_file, toy_scheme())


def test_read_labels_of_another_mesh_refuses(a_head_file):
    write_head_labels(a_head_file, toy_model().landmark_points.tolist(), triangles_sha256="00")

    with pytest.raises(ModelFileError, match="for another mesh of toyheads"):
        read_morphable_model(a_head_file, toy_scheme())


def test_read_labels_of_this_mesh_accepts(a_head_file):
    triangles = np.ascontiguousarray(toy_model().triangles, dtype="<i4")
    sha256 = hashlib.sha256(triangles.tobytes()).hexdigest()
    write_head_labels(a_head_file, toy_model().landmark_points.tolist(), triangles_sha256=sha256)

    assert read_morphable_model(a_head_file, toy_scheme()).name == "toyheads"


def test_read_heads_that_lack_their_sizes_refuses(a_head_file):
    np.savez(a_head_file, **{k: v for k, v in head_arrays().items() if k != "heads_size"})

    with pytest.raises(ModelFileError, match="heads_size"):
        read_morphable_model(a_head_file, toy_scheme())


@pytest.mark.parametrize("model_name", ["ict_facekit", "anny"])
def test_shipped_labels_name_every_landmark_once(model_name):
    scheme = load_scheme()
    path = morphable.LABELS_FOLDER / f"{model_name}.{scheme.name}.json"

    vertex_of = json.loads(path.read_text(encoding="utf-8"))["vertex_of"]

    assert list(vertex_of) == list(scheme.codes)
    assert len(set(vertex_of.values())) == len(scheme)


@pytest.mark.parametrize("model_name", ["ict_facekit", "anny"])
def test_shipped_labels_say_where_the_slits_of_closed_eyes_end(model_name):
    path = morphable.LABELS_FOLDER / f"{model_name}.palnet50.json"

    labels = json.loads(path.read_text(encoding="utf-8"))

    assert {name: list(codes) for name, codes in labels["closed_eyes"].items()} == {
        "eyeBlink_R": ["ex_r"],
        "eyeBlink_L": ["ex_l"],
    }
    ends = [vertex for codes in labels["closed_eyes"].values() for vertex in codes.values()]
    assert not set(ends) & set(labels["vertex_of"].values())
