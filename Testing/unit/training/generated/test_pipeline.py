# SPDX-License-Identifier: Apache-2.0
"""A whole training on toy people, far too short to find a face."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from palnet.errors import UsageError
from palnet.model import read_model
from palnet.network.sizes import LARGE_SIZE, SMALL_SIZE, NetworkSize
from palnet.scheme import scheme_to_dict
from palnet.synthesis import CALIBRATION_PRESETS, PRESETS, TEST_PRESETS
from palnet.synthesis.folder import read_generated_scan
from palnet.synthesis.morphable import WholeHead
from palnet.training.batches import Drawing
from palnet.training.calibration import CalibrationSample
from palnet.training.generated import pipeline
from palnet.training.generated import pose as pose_module
from palnet.training.generated.recipe import LandmarkRecipe, read_recipe
from palnet.training.loop import OneCycleSettings
from toy_head import toy_model, toy_scheme

RECIPE = """
scheme = "{scheme}"
seed = {seed}
[people]
first_seed = 10
n_train = 3
n_validation = 2
n_calibration = 2
wide_share = {wide_share}
[atlas]
n_people = 8
n_modes = 5
n_points = 300
[pose]
n_people = 2
n_steps_coarse = 12
n_steps_fine = 12
[[landmarks]]
n_steps = 12
peak_rate = 2e-3
batch_size = 3
n_drawn = 32
warp = 0
network = "small"
share_before = 0

[[landmarks]]
n_steps = 6
peak_rate = 1e-3
batch_size = 3
n_drawn = 48
warp = 1.0
network = "large"
share_before = 0

[joint]
ridge = 10

[unseen_source]
factor = 1.5
power = 0.8
"""


@pytest.fixture(scope="module")
def a_recipe(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recipe")
    scheme = folder / "toy.json"
    scheme.write_text(json.dumps(scheme_to_dict(toy_scheme())), encoding="utf-8")
    path = folder / "lab.toml"
    path.write_text(
        RECIPE.format(scheme=scheme.as_posix(), seed=3, wide_share=0.5), encoding="utf-8"
    )
    return read_recipe(path)


def a_round(n_steps, peak_rate, *, share_before=0.0, **more):
    return LandmarkRecipe(n_steps, peak_rate, share_before=share_before, **more)


def sample_of(model, scans):
    """Stands for detecting on the scans, which so short a training cannot do."""
    sample_of.calls.append([path.name for path in scans])
    rng = np.random.default_rng(1)
    shape = (50, len(model.scheme))
    spread = np.exp(rng.normal(size=shape))
    shown = np.ones(shape, dtype=bool)
    return CalibrationSample(2 * spread, spread, shown, np.ones(shape[0]))


@pytest.fixture(scope="module")
def short_steps():
    sample_of.calls = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pose_module, "BATCH_SIZE", 4)
        patch.setattr(pipeline, "collect_sample", sample_of)
        yield


@pytest.fixture
def scans_for_patches(monkeypatch):
    """The numbers of the scans stand for their patches."""
    monkeypatch.setattr(pipeline, "fill_patches", lambda atlas, scans, **_: scans)
    monkeypatch.setattr(pipeline, "load_patches", lambda paths: paths)
    monkeypatch.setattr(pipeline, "place_patches", lambda patches, device: patches)


@pytest.fixture(scope="module")
def a_run(a_recipe, short_steps, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return pipeline.train_model(a_recipe, [toy_model()], folder)


def test_run_that_is_broken_off_while_it_calibrates_leaves_no_model(
    a_recipe, short_steps, tmp_path, monkeypatch
):
    """One whose expected errors mean nothing would be used."""

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "collect_sample", interrupt)
    with pytest.raises(KeyboardInterrupt):
        pipeline.train_model(a_recipe, [toy_model()], tmp_path)
    assert not (tmp_path / "lab.npz").exists()
    monkeypatch.setattr(pipeline, "collect_sample", sample_of)

    assert pipeline.train_model(a_recipe, [toy_model()], tmp_path) == tmp_path / "lab.npz"

    assert [path.name for path in tmp_path.glob("*.npz")].count("uncalibrated.npz") == 0


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


def test_model_knows_what_the_recipe_says_of_unseen_sources(a_run):
    model = read_model(a_run)

    assert (model.calibration.source_factor, model.calibration.source_power) == (1.5, 0.8)
    assert model.metadata["calibration"]["unseen_source"] == {"factor": 1.5, "power": 0.8}


def test_landmark_network_is_kept_in_half_precision_and_the_pose_networks_are_not(a_run):
    with np.load(a_run, allow_pickle=False) as arrays:
        kinds = {
            (name.split(".")[1].split("_")[0], arrays[name].dtype.name)
            for name in arrays.files
            if name.startswith("network.") and arrays[name].ndim > 1
        }

    assert kinds == {("landmarks", "float16"), ("pose", "float32")}


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


def test_people_are_wider_than_their_source_but_for_those_who_calibrate(a_run):
    def is_wide(seed):
        scan = read_generated_scan(a_run.parent / "scans" / f"{seed}.npz")
        return "regions" in scan.description

    assert {is_wide(seed) for seed in range(10, 15)} == {True, False}
    assert not any(is_wide(seed) for seed in (15, 16))


def test_run_again_does_nothing_twice(a_run, a_recipe, short_steps):
    folder = a_run.parent
    before = {
        path: path.stat().st_mtime_ns
        for path in folder.rglob("*")
        if path.is_file() and path.name not in ("lab.npz", "recipe.json", "curve.svg")
    }
    weights = read_model(a_run).weights

    again = pipeline.train_model(a_recipe, [toy_model()], folder)

    assert {path: path.stat().st_mtime_ns for path in before} == before
    for name, weight in read_model(again).weights.items():
        np.testing.assert_array_equal(weight, weights[name])


def test_network_grew_in_the_second_round(a_run):
    assert NetworkSize.of(read_model(a_run).network("landmarks")) == LARGE_SIZE
    with np.load(a_run.parent / "landmarks" / "joint.npz") as first:
        assert NetworkSize.of(first) == SMALL_SIZE


@pytest.mark.usefixtures("scans_for_patches")
def test_a_gpu_computes_a_batch_as_a_whole(a_recipe, monkeypatch, tmp_path):
    seen = []

    def train(network, train, validation, mirror, folder, settings, *, drawing):
        seen.append((settings.n_parts, drawing.part_size))
        return {"of": 1}

    monkeypatch.setattr(pipeline, "train_landmark_network", train)
    monkeypatch.setattr(pipeline, "refit_joint_layer", lambda weights, *_, ridge: weights)
    monkeypatch.setattr(pipeline, "choose_device", lambda: torch.device("cuda"))
    rounds = (a_round(12, 2e-3, batch_size=48, n_drawn=64, warp=0.5, network="small"),)

    recipe = replace(a_recipe, landmarks=rounds)
    pipeline._landmark_stage(recipe, None, list(range(7)), tmp_path, toy_scheme(), 1)

    assert seen == [(1, 48)]


def test_folder_of_another_recipe_is_refused(a_run, a_recipe, tmp_path):
    path = tmp_path / "lab.toml"
    path.write_text(RECIPE.format(scheme=a_recipe.scheme, seed=4, wide_share=0.5), encoding="utf-8")

    with pytest.raises(UsageError, match="holds a run of another recipe or version"):
        pipeline.train_model(read_recipe(path), [toy_model()], a_run.parent)


def test_folder_that_an_earlier_version_began_is_refused(a_run, a_recipe, monkeypatch):
    monkeypatch.setattr(pipeline, "PIPELINE_VERSION", pipeline.PIPELINE_VERSION + 1)

    with pytest.raises(UsageError, match="holds a run of another recipe or version"):
        pipeline.train_model(a_recipe, [toy_model()], a_run.parent)


@pytest.mark.usefixtures("scans_for_patches")
def test_round_leaves_the_mean_of_its_network_and_the_one_before(a_recipe, monkeypatch, tmp_path):
    begun_with, trained = [], [{"w": np.float32([1, 2])}, {"w": np.float32([5, 2])}]
    refitted = []

    def begin(n_landmarks, size, seed, start):
        begun_with.append(start)

    def refit(weights, *_, ridge):
        refitted.append(weights["w"].tolist())
        return {"w": weights["w"] + np.float32(8)}

    monkeypatch.setattr(pipeline, "begin_network", begin)
    monkeypatch.setattr(pipeline, "train_landmark_network", lambda *_, **__: trained.pop(0))
    monkeypatch.setattr(pipeline, "refit_joint_layer", refit)
    usual = {"batch_size": 8, "n_drawn": 32, "warp": 0.0, "network": "small"}
    rounds = (a_round(2, 1e-3, **usual), a_round(2, 1e-3, share_before=0.25, **usual))

    recipe = replace(a_recipe, landmarks=rounds)
    weights = pipeline._landmark_stage(recipe, None, list(range(7)), tmp_path, toy_scheme(), 1)

    # The second round goes on from the refitted first, [9, 10], and is averaged with that.
    assert begun_with[0] is None
    assert begun_with[1]["w"].tolist() == [9, 10]
    assert refitted == [[1, 2], [6, 4]]
    assert weights["landmarks.w"].tolist() == [14, 12]


# --- several sources -----------------------------------------------------------------------------


def a_source_of_heads(n_heads):
    """Heads that differ in size alone, so that a scan tells which one it is."""
    neutral = toy_model().neutral_mm
    heads = tuple(
        WholeHead(size * neutral, size, {"age_group": "adult"})
        for size in np.linspace(0.9, 1.1, n_heads).tolist()
    )
    empty = toy_model().identity_mm[:0]
    return replace(toy_model(), name="heads", identity_mm=empty, heads=heads)


@pytest.mark.usefixtures("scans_for_patches")
def test_every_number_of_a_round_reaches_its_training(a_recipe, monkeypatch, tmp_path):
    rounds = (
        a_round(12, 2e-3, batch_size=48, n_drawn=64, warp=0.5, network="small"),
        a_round(6, 1e-3, batch_size=5, n_drawn=32, warp=0.0, network="large"),
    )
    seen = []

    def train(network, train, validation, mirror, folder, settings, *, drawing):
        assert (train, validation) == ([0, 1, 2], [3, 4])
        seen.append((folder.name, settings, drawing, network))
        return {"of": len(seen)}

    filled = []

    def fill(atlas, scans, *, folder, jobs, thinned):
        filled.append((scans, thinned))
        return scans

    monkeypatch.setattr(pipeline, "fill_patches", fill)
    monkeypatch.setattr(pipeline, "train_landmark_network", train)
    monkeypatch.setattr(pipeline, "begin_network", lambda *given: given)

    def refit(weights, train, validation, mirror, *, ridge):
        assert (train, validation) == ([0, 1, 2], [3, 4])
        return {**weights, "ridge": np.array(ridge)}

    monkeypatch.setattr(pipeline, "refit_joint_layer", refit)

    recipe = replace(a_recipe, landmarks=rounds)
    scans = list(range(7))
    weights = pipeline._landmark_stage(recipe, None, scans, tmp_path, toy_scheme(), 1)

    first = {"of": 1, "ridge": 10}
    assert weights == {"landmarks.of": 2, "landmarks.ridge": 10}
    assert seen == [
        (
            *("landmarks", OneCycleSettings(12, 2e-3, seed=3, n_parts=6)),
            *(Drawing(8, 64, 0.5), (len(toy_scheme()), SMALL_SIZE, 3, None)),
        ),
        (
            *("landmarks_2", OneCycleSettings(6, 1e-3, seed=4, n_parts=1)),
            *(Drawing(5, 32, 0.0), (len(toy_scheme()), LARGE_SIZE, 4, first)),
        ),
    ]
    # Training people meet thinned atlases, validation people what a detection has.
    assert filled == [([0, 1, 2], True), ([3, 4], False)]


def test_people_come_from_each_source_in_turn(a_recipe, short_steps, tmp_path):
    sources = [toy_model(), a_source_of_heads(21)]

    path = pipeline.train_model(a_recipe, sources, tmp_path)

    about = {
        int(scan.stem): read_generated_scan(scan).description
        for scan in (tmp_path / "scans").glob("*.npz")
    }
    assert {seed: "head" in each for seed, each in about.items()} == {
        seed: bool((seed - 10) % 2) for seed in (10, 11, 12, 13, 14)
    } | {15: False, 16: True}
    # The seeds 15 and 16 are kept for the calibration.
    assert {about[seed]["preset"] for seed in (15, 16)} <= set(CALIBRATION_PRESETS)
    assert {about[seed]["preset"] for seed in range(10, 15)} <= set(PRESETS)
    metadata = read_model(path).metadata
    assert metadata["source"] == "toy and heads"
    assert set(metadata["source_fingerprints"]) == {"toy", "heads"}

    with pytest.raises(UsageError, match=r"\(order of sources toy, heads, now heads, toy\)"):
        pipeline.train_model(a_recipe, sources[::-1], tmp_path)


def test_no_head_trains_and_calibrates():
    source = a_source_of_heads(35)

    training, calibration = (
        {head.size for head in pipeline.with_heads(source, for_calibration=kept).heads}
        for kept in (False, True)
    )

    assert not training & calibration
    assert training | calibration == {head.size for head in source.heads}
    assert len(calibration) == 4


def test_capture_presets_of_each_use_are_different_ones():
    assert not set(PRESETS) & set(CALIBRATION_PRESETS)
    assert not set(TEST_PRESETS) & {*PRESETS, *CALIBRATION_PRESETS}


def test_folder_of_other_heads_is_refused(a_recipe, short_steps, tmp_path):
    pipeline.train_model(a_recipe, [a_source_of_heads(21)], tmp_path)

    with pytest.raises(UsageError, match="holds a run of another recipe or version"):
        pipeline.train_model(a_recipe, [a_source_of_heads(22)], tmp_path)


@pytest.mark.parametrize(
    ("sources", "text"),
    [
        ([], "from one or more different sources"),
        ([toy_model(), toy_model()], "from one or more different sources"),
        ([a_source_of_heads(10)], r"too few heads \(10\)"),
    ],
)
def test_sources_that_cannot_be_used_are_told(a_recipe, tmp_path, sources, text):
    with pytest.raises(UsageError, match=text):
        pipeline.train_model(a_recipe, sources, tmp_path)
