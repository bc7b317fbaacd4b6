# SPDX-License-Identifier: Apache-2.0
"""The shipped network cross-validated on a tiny cohort, from scratch and for another scheme."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from palnet.data_sets.layouts import read_data_set
from palnet.errors import ModelFileError, ScanRefusedError, TrainingError, UsageError
from palnet.exchange import read_landmarks
from palnet.model import read_model, write_model
from palnet.scheme import Scheme
from palnet.similarity import similarity_scale
from palnet.training.annotated import aligning, tuning_method
from palnet.training.annotated.crossvalidation import cross_validate
from palnet.training.annotated.faces import prepare_faces
from palnet.training.annotated.folds import split_for_training, split_people
from palnet.training.annotated.protocol import CohortPart, TuningPart, TuningProtocol, read_protocol
from palnet.training.annotated.tuning import choose_rows
from palnet.training.annotated.tuning_method import MIN_VALIDATION_PEOPLE
from palnet.training.annotated.tuning_result import place_landmarks
from toy_cohort import read_table, toy_person, write_toy_cohort, write_toy_scan
from toy_head import toy_scheme
from toy_tuning import find_toy_face, write_toy_model

N_SCANS = 7
PROTOCOL = TuningProtocol(
    start="scratch",
    layers="all",
    n_folds=2,
    seed=42,
    cohort=CohortPart(outlier_mm=120, validation_share=0.2),
    training=TuningPart(
        batch_size=4,
        rate=3e-3,
        plateau_factor=0.5,
        plateau_patience=8,
        stop_after=30,
        validate_every=4,
        n_steps=12,
    ),
)


@pytest.fixture(scope="module")
def the_models(tmp_path_factory):
    """The toy's model, and one whose atlas carries landmarks of other names."""
    own = write_toy_model(tmp_path_factory.mktemp("model") / "toy13.npz")
    model = read_model(own)
    renamed = Scheme(
        "other",
        tuple(replace(m, code=f"x_{m.code}") for m in model.scheme.landmarks),
    )
    write_model(own.with_name("other.npz"), replace(model, scheme=renamed))
    return own, own.with_name("other.npz")


@pytest.fixture(autouse=True)
def toys(the_models, monkeypatch):
    """The toy's model stands for the shipped one, and toys stand where they are."""
    monkeypatch.setattr(aligning, "find_face", find_toy_face)
    monkeypatch.setattr(tuning_method, "read_model", lambda path: read_model(path or the_models[0]))


@pytest.fixture(scope="module")
def a_data_set(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort") / "scans"
    write_toy_cohort(folder, N_SCANS)
    return read_data_set(folder, toy_scheme())


@pytest.fixture(scope="module")
def a_run(a_data_set, the_models, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(aligning, "find_face", find_toy_face)
        patch.setattr(tuning_method, "read_model", lambda path: read_model(path or the_models[0]))
        return folder, cross_validate(a_data_set, PROTOCOL, folder)


def test_loss_falls_in_each_fold(a_run):
    for fold in (1, 2):
        curve = read_table(a_run[0] / f"fold{fold}" / "curve.csv")
        assert float(curve[-1]["loss"]) < float(curve[0]["loss"])


def test_misfits_count_as_in_the_base_model(a_run, the_models):
    """The atlas that is fitted is the base's, and a fold has too few people to learn it from."""
    known = read_model(the_models[0]).calibration.misfit_power

    for fold in (1, 2):
        model = read_model(a_run[0] / f"fold{fold}" / "model.npz")
        assert model.calibration.misfit_power == known


def test_epochs_are_counted_by_the_scans_and_not_by_the_validations(a_run):
    """Twelve full batches of four, validated three times: 48 scans are drawn in all."""
    for row in a_run[1][:-1]:
        drawn = np.concatenate([choose_rows(step, 4, row.n_train, 42) for step in range(12)])
        shown = np.bincount(drawn, minlength=row.n_train)
        assert row.n_epochs == shown.max()
    assert a_run[1][-1].n_epochs == sum(row.n_epochs for row in a_run[1][:-1])


def test_folds_are_those_of_the_paper_s_preset(a_run, a_data_set):
    people = [scan.person for scan in a_data_set.scans]
    for number, fold in enumerate(split_people(people, 2, 42, 0.2), start=1):
        members = json.loads((a_run[0] / f"fold{number}" / "recipe.json").read_text("utf-8"))
        for part in ("train", "validation", "test"):
            assert members[part] == [people[row] for row in getattr(fold, part)]


def test_baseline_is_the_atlas_and_the_result_the_kept_model(a_run, a_data_set, the_models):
    """The saved model, read again, gives the landmarks of the run; so does its atlas the rest."""
    folder, results = a_run
    faces, _ = prepare_faces(a_data_set, read_model(the_models[0]), folder / "faces")
    for number, result in enumerate(results[:2], start=1):
        members = json.loads((folder / f"fold{number}" / "recipe.json").read_text("utf-8"))
        tested = [face for face in faces if face.specimen in members["test"]]
        model = read_model(folder / f"fold{number}" / "model.npz")

        pairs = place_landmarks(tested, model.network("landmarks"), model.atlas)

        for pair in pairs:
            kept = read_landmarks(folder / "predicted" / f"{pair.specimen}.csv", toy_scheme())
            np.testing.assert_allclose(kept.positions, pair.predicted.positions, atol=1e-3)
        errors = [
            np.linalg.norm(
                face.project(model.atlas.shape_landmarks(face.mode_weights)) - face.truth_mm, axis=1
            )
            / similarity_scale(face.face_from_scan)
            for face in tested
        ]
        assert result.baseline_mm == pytest.approx(np.mean(errors), abs=1e-3)


def test_other_scheme_starts_from_learned_places(a_data_set, the_models, tmp_path, monkeypatch):
    """The atlas knows none of these landmarks; the fit carries what the training part showed."""
    monkeypatch.setattr(tuning_method, "read_model", lambda path: read_model(path or the_models[1]))
    short = replace(PROTOCOL, n_folds=1, training=replace(PROTOCOL.training, n_steps=4))

    result = cross_validate(a_data_set, short, tmp_path)[-1]

    # Measured 0.9 mm; the labels lie 0.3 mm from an atlas that was made with them.
    assert result.baseline_mm < 1.5
    model = read_model(tmp_path / "fold1" / "model.npz")
    assert model.scheme.codes == toy_scheme().codes
    assert len(model.atlas.landmark_mean_mm) == len(toy_scheme())


def without_faces(names):
    """Find the faces of the toys but for some scans."""

    def find(mesh, *arguments, **options):
        if mesh.name in names:
            raise ScanRefusedError(f"{mesh.name}: no face.")  # noqa: EM102
        return find_toy_face(mesh, *arguments, **options)

    return find


@pytest.mark.parametrize(
    ("part", "start"),
    [("train", "scratch"), ("validation", "scratch"), ("validation", "model"),
     ("everybody", "scratch")],
)  # fmt: skip
def test_fold_whose_faces_are_not_found_stops_before_any_training(
    part, start, a_data_set, the_models, tmp_path, monkeypatch
):
    """Of the last one to be trained; the others would have been for hours."""
    protocol = PROTOCOL
    if start == "model":
        protocol = replace(PROTOCOL, start=str(the_models[0]), layers="head")
    people = [scan.person for scan in a_data_set.scans]
    least = MIN_VALIDATION_PEOPLE if start == "model" else 1
    fold = split_people(people, 2, 42, 0.2, least)[1]
    if part == "everybody":
        fold, part = split_for_training(people, 42, 0.2), "validation"
    names = [people[row] for row in getattr(fold, part)]
    monkeypatch.setattr(aligning, "find_face", without_faces(names))

    with pytest.raises(TrainingError, match=f"no face was found on any of {names[0]}"):
        cross_validate(a_data_set, protocol, tmp_path, train_all=True)

    assert not (tmp_path / "fold1").exists()


def test_landmark_that_only_scans_without_a_face_have_stops_before_any_training(
    a_data_set, the_models, tmp_path, monkeypatch
):
    code, people = "gn", [scan.person for scan in a_data_set.scans]
    train = split_people(people, 2, 42, 0.2)[1].train
    alone = people[train[0]]
    write_toy_cohort(tmp_path / "scans", N_SCANS)
    for row in train[1:]:
        mesh, positions = toy_person(int(people[row][1:]))
        positions[toy_scheme().index_of(code)] = np.nan
        write_toy_scan(tmp_path / "scans", people[row], mesh, positions)
    monkeypatch.setattr(aligning, "find_face", without_faces([alone]))

    with pytest.raises(TrainingError, match=f"has landmark {code}"):
        cross_validate(read_data_set(tmp_path / "scans", toy_scheme()), PROTOCOL, tmp_path / "run")

    assert not (tmp_path / "run" / "fold1").exists()


@pytest.mark.parametrize(
    ("start", "error", "message"),
    [
        ("other", UsageError, r"not in both.*palnet crossvalidate --recipe improved"),
        ("nobody", ModelFileError, "no model 'nobody'"),
    ],
)
def test_fine_tuning_folds_from_a_wrong_start_are_refused_before_any_work(
    start, error, message, a_data_set, the_models, tmp_path
):
    """It was told after all scans had been prepared, and the folder claimed for that start."""
    protocol = replace(PROTOCOL, start=str(the_models[1]) if start == "other" else start)

    with pytest.raises(error, match=message):
        cross_validate(a_data_set, protocol, tmp_path / "run")

    assert not (tmp_path / "run").exists()


def test_shipped_recipe_has_the_paper_s_folds():
    paper, improved = read_protocol("paper"), read_protocol("improved")

    assert (improved.n_folds, improved.seed) == (paper.n_folds, paper.seed)
    assert improved.cohort == paper.cohort
    assert (improved.start, improved.layers) == ("scratch", "all")


def test_network_that_everybody_trained_is_the_model_of_the_run(a_data_set, a_run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(a_run[0], folder)

    cross_validate(a_data_set, PROTOCOL, folder, train_all=True)

    members = json.loads((folder / "all" / "recipe.json").read_text("utf-8"))
    assert members["test"] == []
    assert len(members["train"]) + len(members["validation"]) == N_SCANS
    model = read_model(folder / "model.npz")
    assert model.sha256 == read_model(folder / "all" / "model.npz").sha256
    assert model.scheme.codes == toy_scheme().codes
