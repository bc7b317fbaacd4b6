# SPDX-License-Identifier: Apache-2.0
"""Model files that hold one of the paper's networks."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from palnet.calibration import Calibration
from palnet.cli import main
from palnet.errors import ModelFileError
from palnet.model import PaperNetwork, read_model, write_model
from palnet.network.paper import shapes_of_palnet
from palnet.similarity import compose_similarity
from toy_model_files import N_LANDMARKS, change_header, rewrite, toy_parts, toy_weights

PAPER_POINTS = 100
TURN = Rotation.from_euler("xyz", [100, -40, 20], degrees=True).as_matrix()
FRAME_FROM_FACE = compose_similarity(1.0, TURN, np.array([3.0, -90, 40]))


def paper_parts(**changes):
    """As exported, for the 13 landmarks of the toy; the atlas has those of another scheme."""
    weights = {name: w for name, w in toy_weights().items() if name.startswith("pose")}
    rng = np.random.default_rng(3)
    for name, shape in shapes_of_palnet("palnet", N_LANDMARKS, PAPER_POINTS).items():
        weights[f"landmarks.{name}"] = rng.normal(0, 0.1, shape).astype(np.float16)
    paper = PaperNetwork(
        variant="palnet",
        n_points=PAPER_POINTS,
        spacing_mm=0.7,
        finish="average",
        means_mm=rng.normal(0, 40, (N_LANDMARKS, 3)),
        frame_from_face=FRAME_FROM_FACE,
    )
    calibration = Calibration(np.linspace(1, 4, N_LANDMARKS), 0.0, 0.0)
    parts = {"weights": weights, "calibration": calibration, "paper": paper}
    return toy_parts(**(parts | changes))


@pytest.fixture(scope="module")
def the_paper_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("paper") / "lab.npz"
    write_model(path, paper_parts())
    return path


@pytest.fixture
def a_paper_file(the_paper_file, tmp_path):
    return Path(shutil.copy(the_paper_file, tmp_path))


def test_paper_network_round_trip(a_paper_file):
    parts = paper_parts()

    model = read_model(a_paper_file)

    for name in ("variant", "n_points", "spacing_mm", "finish"):
        assert getattr(model.paper, name) == getattr(parts.paper, name)
    np.testing.assert_array_equal(model.paper.means_mm, parts.paper.means_mm)
    np.testing.assert_array_equal(model.paper.frame_from_face, FRAME_FROM_FACE)
    for name, weight in parts.weights.items():
        assert model.weights[name].dtype == np.float32
        np.testing.assert_array_equal(model.weights[name], weight)
    expected = model.calibration.expected_error_mm(np.full(N_LANDMARKS, 7.0))
    np.testing.assert_array_equal(expected, np.linspace(1, 4, N_LANDMARKS))


def test_model_without_a_paper_network_says_so():
    assert read_model().paper is None


@pytest.mark.parametrize(
    "absent",
    [
        "paper.means_mm",
        "paper.frame_from_face",
        "network.landmarks.blocks.1.2.weight",
        "network.landmarks.attentions.2.bias",
        "network.landmarks.head.4.weight",
        "network.pose_fine.out.weight",
    ],
)
def test_paper_file_that_lacks_an_array_is_refused(absent, a_paper_file):
    rewrite(a_paper_file, **{absent: None})

    with pytest.raises(ModelFileError, match=rf"^[^\n]*incomplete[^\n]*{absent.split('.', 1)[1]}"):
        read_model(a_paper_file)


@pytest.mark.parametrize(
    "change",
    [
        {"paper.means_mm": np.zeros((N_LANDMARKS - 1, 3))},
        {"paper.means_mm": np.full((N_LANDMARKS, 3), np.nan)},
        {"paper.frame_from_face": np.diag([2.0, 2, 2, 1])},
        {"paper.frame_from_face": np.diag([-1.0, 1, 1, 1])},
        {"paper.frame_from_face": np.eye(3)},
        {"network.landmarks.head.0.weight": np.zeros((1024, 3), dtype=np.float16)},
        {"network.landmarks.extra": np.zeros(3, dtype=np.float16)},
        {"network.landmarks.head.4.bias": np.full(3 * N_LANDMARKS, np.inf, dtype=np.float16)},
        {"calibration.factor": np.ones(N_LANDMARKS + 1)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_paper_parts_that_do_not_fit_together_are_refused(change, a_paper_file):
    rewrite(a_paper_file, **change)

    with pytest.raises(ModelFileError, match=r"^[^\n]*lab\.npz: the model is incomplete[^\n]*$"):
        read_model(a_paper_file)


@pytest.mark.parametrize(
    "change",
    [
        {"variant": "3blk"},
        {"variant": "topk"},
        {"n_points": 99},
        {"n_points": "many"},
        {"n_points": None},
        {"spacing_mm": 0},
        {"spacing_mm": float("nan")},
        {"spacing_mm": float("inf")},
        {"finish": "best"},
    ],
    ids=str,
)
def test_paper_header_that_is_wrong_is_refused(change, a_paper_file):
    with np.load(a_paper_file) as content:
        row = json.loads(str(content["header"]))["paper"]
    change_header(a_paper_file, paper=row | change)

    with pytest.raises(ModelFileError, match=r"^[^\n]*lab\.npz: the model is incomplete[^\n]*$"):
        read_model(a_paper_file)


@pytest.mark.parametrize("row", [[], "palnet", 7, {}])
def test_paper_header_of_another_type_is_refused(row, a_paper_file):
    change_header(a_paper_file, paper=row)

    with pytest.raises(ModelFileError, match=r"lab\.npz: the model is incomplete"):
        read_model(a_paper_file)


def test_command_tells_what_a_file_holds(a_paper_file, capsys):
    assert main(["models", str(a_paper_file)]) == 0

    told = capsys.readouterr().out
    assert told.startswith("lab\n")
    assert f"landmarks: {N_LANDMARKS} of toy13" in told
    assert "licence: Apache-2.0" in told


def test_command_tells_of_a_damaged_file_in_one_line(a_paper_file, capsys):
    rewrite(a_paper_file, **{"paper.means_mm": None})

    assert main(["models", str(a_paper_file)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
