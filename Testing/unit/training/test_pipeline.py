# SPDX-License-Identifier: Apache-2.0
"""A whole training on toy people, far too short to find a face."""

from __future__ import annotations

import json

import numpy as np
import pytest

from palnet.errors import UsageError
from palnet.model import read_model
from palnet.scheme import scheme_to_dict
from palnet.training import landmarks as landmarks_module
from palnet.training import pipeline
from palnet.training import pose as pose_module
from palnet.training.calibration import CalibrationSample
from palnet.training.recipe import read_recipe
from toy_head import toy_model, toy_scheme

RECIPE = """
scheme = "{scheme}"
seed = {seed}
[people]
first_seed = 10
n_train = 3
n_validation = 2
n_calibration = 2
[atlas]
n_people = 8
n_modes = 5
n_points = 300
[pose]
n_people = 2
n_steps_coarse = 12
n_steps_fine = 12
[landmarks]
n_steps = 12
peak_rate = 2e-3
"""


@pytest.fixture(scope="module")
def a_recipe(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recipe")
    scheme = folder / "toy.json"
    scheme.write_text(json.dumps(scheme_to_dict(toy_scheme())), encoding="utf-8")
    path = folder / "lab.toml"
    path.write_text(RECIPE.format(scheme=scheme.as_posix(), seed=3), encoding="utf-8")
    return read_recipe(path)


def sample_of(model, scans):
    """Stands for detecting on the scans, which so short a training cannot do."""
    sample_of.calls.append([path.name for path in scans])
    rng = np.random.default_rng(1)
    shape = (50, len(model.scheme))
    spread = np.exp(rng.normal(size=shape))
    return CalibrationSample(2 * spread, spread, np.full(shape, 0.9), np.ones(shape, dtype=bool))


@pytest.fixture(scope="module")
def short_steps():
    sample_of.calls = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pose_module, "BATCH_SIZE", 4)
        patch.setattr(landmarks_module, "BATCH_SIZE", 3)
        patch.setattr(pipeline, "collect_sample", sample_of)
        yield


@pytest.fixture(scope="module")
def a_run(a_recipe, short_steps, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return pipeline.train_model(a_recipe, [toy_model()], folder)


def test_run_makes_a_model_that_can_be_read(a_run, a_recipe):
    model = read_model(a_run)

    assert model.name == "lab"
    assert model.scheme == toy_scheme()
    assert model.atlas.n_modes == 5
    assert {name.split(".")[0] for name in model.weights} == {
        "pose_coarse",
        "pose_fine",
        "landmarks",
    }
    # Errors were twice the spread.
    np.testing.assert_allclose(model.calibration.factor, 2, rtol=0.01)
    np.testing.assert_allclose(model.calibration.power, 1, atol=0.06)


def test_model_says_what_it_was_made_from(a_run, a_recipe):
    metadata = read_model(a_run).metadata

    assert metadata["recipe"]["seed"] == 3
    assert metadata["source"] == "toy"
    assert "Apache-2.0" in metadata["licence"]
    assert metadata["versions"].keys() >= {"palnet", "numpy", "torch"}


def test_people_of_the_calibration_trained_nothing(a_run):
    patches = {path.name for path in (a_run.parent / "patches").glob("*.npz")}

    assert patches == {"10.npz", "11.npz", "12.npz", "13.npz", "14.npz"}
    assert sample_of.calls[0] == ["15.npz", "16.npz"]


def test_run_again_does_nothing_twice(a_run, a_recipe, short_steps):
    folder = a_run.parent
    before = {
        path: path.stat().st_mtime_ns
        for path in folder.rglob("*")
        if path.is_file() and path.name not in ("lab.npz", "recipe.json", "curve.png")
    }
    weights = read_model(a_run).weights

    again = pipeline.train_model(a_recipe, [toy_model()], folder)

    assert {path: path.stat().st_mtime_ns for path in before} == before
    for name, weight in read_model(again).weights.items():
        np.testing.assert_array_equal(weight, weights[name])


def test_folder_of_another_recipe_is_refused(a_run, a_recipe, tmp_path):
    path = tmp_path / "lab.toml"
    path.write_text(RECIPE.format(scheme=a_recipe.scheme, seed=4), encoding="utf-8")

    with pytest.raises(UsageError, match="holds a run of another recipe"):
        pipeline.train_model(read_recipe(path), [toy_model()], a_run.parent)
