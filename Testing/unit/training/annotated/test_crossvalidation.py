# SPDX-License-Identifier: Apache-2.0
"""A whole cross-validation on a tiny cohort."""

from __future__ import annotations

import json
import re
import shutil
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from palnet.cli import main
from palnet.commands.crossvalidate import _NETWORKS
from palnet.data_sets.layouts import read_data_set
from palnet.errors import ModelFileError, TrainingError, UsageError
from palnet.exchange import read_landmarks
from palnet.network.paper import VARIANTS
from palnet.network.paper_patches import finish_landmarks
from palnet.training.annotated import paper_network
from palnet.training.annotated.aligning import prepare_scans
from palnet.training.annotated.cohort import gather_sorted_patches
from palnet.training.annotated.crossvalidation import cross_validate
from palnet.training.annotated.paper_method import PaperMethod
from palnet.training.annotated.paper_network import predict_landmarks, read_network
from palnet.training.annotated.protocol import read_protocol
from toy_cohort import read_table, texts_of, toy_person, write_toy_cohort, write_toy_scan
from toy_head import toy_scheme

RECIPE = """
variant = "palnet"
finish = "average"
n_folds = 2
seed = 42
[patches]
n_points = 100
spacing_mm = 3.0
[cohort]
outlier_mm = 120
validation_share = 0.2
[training]
batch_size = 3
rate = 3e-4
plateau_factor = 0.5
plateau_patience = 8
stop_after = 30
n_epochs = 8
"""
# p0 and p4 are one person; p2 and p5 lack landmarks.
N_SCANS, ONE_PERSON, INCOMPLETE = 8, ("p0", "p4"), {"p2": "prn", "p5": "t_l"}


@pytest.fixture(scope="module", autouse=True)
def faces_are_found_at_once():
    """The toys lie in the face frame; finding them is `test_paper_method`'s matter."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PaperMethod, "_find", lambda method, specimen: np.eye(4))
        yield


@pytest.fixture(scope="module")
def a_cohort(tmp_path_factory):
    base = tmp_path_factory.mktemp("cohort")
    folder = base / "scans"
    scheme = write_toy_cohort(folder, N_SCANS)
    for name, code in INCOMPLETE.items():
        mesh, positions = toy_person(int(name[1:]))
        positions[toy_scheme().index_of(code)] = np.nan
        write_toy_scan(folder, name, mesh, positions)
    rows = "".join(f"{name},anna\n" for name in ONE_PERSON)
    (folder / "people.csv").write_text(f"specimen,person\n{rows}", encoding="utf-8")
    recipe = base / "tiny.toml"
    recipe.write_text(RECIPE, encoding="utf-8")
    return folder, str(scheme), recipe


def run(cohort, output, folder=None):
    data = read_data_set(folder or cohort[0], cohort[1])
    return cross_validate(data, read_protocol(cohort[2]), output)


@pytest.fixture(scope="module")
def a_run(a_cohort, tmp_path_factory):
    output = tmp_path_factory.mktemp("run") / "whole"
    return output, run(a_cohort, output)


def weights_of(output, fold):
    network, means_mm = read_network(output / f"fold{fold}" / "network.pt")
    state = {name: value.numpy().tobytes() for name, value in network.state_dict().items()}
    return state, means_mm.tobytes()


def test_loss_falls_in_each_fold(a_run):
    for fold in (1, 2):
        curve = read_table(a_run[0] / f"fold{fold}" / "curve.csv")
        assert len(curve) == 8
        assert float(curve[-1]["loss"]) < 0.8 * float(curve[0]["loss"])


def test_folds_share_no_person(a_run):
    person_of = {f"p{k}": f"p{k}" for k in range(N_SCANS)} | dict.fromkeys(ONE_PERSON, "anna")
    tested = []
    for fold in (1, 2):
        members = json.loads((a_run[0] / f"fold{fold}" / "recipe.json").read_text("utf-8"))
        owners = [{person_of[n] for n in members[p]} for p in ("train", "validation", "test")]
        assert sum(map(len, owners)) == len(set.union(*owners)) == N_SCANS - 1
        tested += members["test"]
    assert sorted(tested) == sorted(person_of)


def test_report_and_tables_tell_the_same(a_run):
    output, results = a_run

    errors = [float(row["error_mm"]) for row in read_table(output / "errors.csv")]
    assert len(errors) == N_SCANS * 13 - len(INCOMPLETE)
    pooled = read_table(output / "folds.csv")[-1]
    assert pooled["fold"] == "all"
    assert float(pooled["mean_mm"]) == pytest.approx(np.mean(errors), abs=1e-4)
    by_fold = [read_table(output / f"fold{k}" / "errors.csv") for k in (1, 2)]
    assert sum(map(len, by_fold)) == len(errors)
    for result, rows in zip(results, by_fold, strict=False):
        assert result.mean_mm == pytest.approx(
            np.mean([float(row["error_mm"]) for row in rows]), abs=1e-4
        )
    report = (output / "report.html").read_text("utf-8")
    assert f"{pooled['mean_mm'][:4]}" in report
    for fold in (1, 2):
        assert (output / f"fold{fold}" / "curve.svg").read_text("utf-8") in report


def test_landmark_files_hold_the_errors_of_the_table(a_run):
    output, _ = a_run
    found = {
        (row["specimen"], row["code"]): row["error_mm"] for row in read_table(output / "errors.csv")
    }

    for name in ("p1", "p5"):
        predicted, truth = (
            read_landmarks(output / kind / f"{name}.csv", toy_scheme())
            for kind in ("predicted", "truth")
        )
        errors = np.linalg.norm(predicted.positions_mm - truth.positions_mm, axis=1)
        assert predicted.is_placed.all()
        for code, error in zip(toy_scheme().codes, errors, strict=True):
            if code == INCOMPLETE.get(name):
                assert (name, code) not in found
            else:
                assert float(found[name, code]) == pytest.approx(error, abs=2e-4)


def test_landmarks_of_a_run_bring_the_labs_own_scheme_to_every_command(a_run, tmp_path, capsys):
    """As docs/training.md names the first command: without --scheme, which all refused."""
    output, results = a_run
    predicted, out = str(output / "predicted"), tmp_path / "out"
    shutil.copytree(output / "truth", tmp_path / "truth")

    assert main(["evaluate", predicted, str(tmp_path / "truth"), "-o", str(out)]) == 0
    every = read_table(out / "landmarks.csv")[0]
    assert float(every["mean_mm"]) == pytest.approx(results[-1].mean_mm, abs=1e-3)
    compared = read_table(out / "measurement_errors.csv")
    assert compared == read_table(output / "measurement_errors.csv")
    assert [row["code"] for row in compared] == ["ex_r-ex_l", "n-sn", "n-prn-sn"]
    assert main(["measure", predicted, "--no-pages", "-o", str(out)]) == 0
    named = {row["specimen"] for row in read_table(out / "measurements.csv")}
    assert named == {f"p{k}" for k in range(N_SCANS)}
    assert main(["procrustes", predicted, "-o", str(out)]) == 0
    assert main(["convert", predicted, "-o", str(out / "all.tps")]) == 0
    assert main(["convert", str(out / "all.tps"), "-o", str(out / "all.csv")]) == 0
    assert "--scheme" not in capsys.readouterr().err


def test_saved_network_gives_the_same_landmarks(a_run, a_cohort):
    output, _ = a_run
    network, means_mm = read_network(output / "fold1" / "network.pt")
    scans, _ = prepare_scans(read_data_set(*a_cohort[:2]), 3.0, output / "scans")
    tested = json.loads((output / "fold1" / "recipe.json").read_text("utf-8"))["test"]
    for scan in scans:
        if scan.aligned.specimen in tested:
            patches = gather_sorted_patches([scan.aligned], means_mm, 100).patches
            raw_mm = predict_landmarks(network, patches)[0]
            again = scan.to_file(finish_landmarks(scan.aligned.cloud_mm, raw_mm, "average"))
            kept = read_landmarks(
                output / "predicted" / f"{scan.aligned.specimen}.csv", toy_scheme()
            )
            np.testing.assert_allclose(again.positions, kept.positions, atol=1e-3)


def test_baseline_is_the_nearest_surface_point_of_the_training_mean(a_run, a_cohort):
    output, results = a_run
    scans, _ = prepare_scans(read_data_set(*a_cohort[:2]), 3.0, output / "scans")
    by_name = {scan.aligned.specimen: scan.aligned for scan in scans}
    for fold, result in enumerate(results[:2], start=1):
        members = json.loads((output / f"fold{fold}" / "recipe.json").read_text("utf-8"))

        errors = []
        for row in range(13):
            known = [by_name[name].truth_mm[row] for name in members["train"]]
            mean = np.mean([place for place in known if np.isfinite(place).all()], axis=0)
            for name in members["test"]:
                cloud, truth = by_name[name].cloud_mm, by_name[name].truth_mm[row]
                start = cloud[np.linalg.norm(cloud - mean, axis=1).argmin()]
                errors.append(np.linalg.norm(start - truth))

        assert result.baseline_mm == pytest.approx(np.nanmean(errors), abs=1e-4)


def test_resumed_run_equals_an_uninterrupted_one(a_run, a_cohort, tmp_path, monkeypatch):
    monkeypatch.setattr(paper_network, "EPOCHS_BETWEEN_CHECKPOINTS", 3)
    whole, position_loss, calls = tmp_path / "whole", paper_network.position_loss, []
    run(a_cohort, whole)

    def fail_once(*arguments):
        calls.append(arguments)
        if len(calls) == 13:
            raise InterruptedError
        return position_loss(*arguments)

    monkeypatch.setattr(paper_network, "position_loss", fail_once)
    with pytest.raises(InterruptedError):
        run(a_cohort, tmp_path / "parts")
    run(a_cohort, tmp_path / "parts")

    assert texts_of(tmp_path / "parts") == texts_of(whole)
    for fold in (1, 2):
        assert weights_of(tmp_path / "parts", fold) == weights_of(whole, fold)


def test_run_again_trains_nothing(a_run, a_cohort, monkeypatch):
    output, results = a_run
    before = texts_of(output)
    monkeypatch.setattr(paper_network, "position_loss", None)

    assert run(a_cohort, output) == results
    assert texts_of(output) == before
    assert not list(output.rglob("checkpoint.pt"))


def test_each_training_runs_once_in_the_given_context(a_cohort, tmp_path):
    """The context may refuse a training; the next call goes on from there."""
    data, protocol = read_data_set(*a_cohort[:2]), read_protocol(a_cohort[2])
    entered = []

    @contextmanager
    def refusing_the_second(place):
        if len(entered) == 1:
            raise TimeoutError
        entered.append(place.name)
        yield
        assert (place / "network.pt").exists()

    with pytest.raises(TimeoutError):
        cross_validate(data, protocol, tmp_path, around=refusing_the_second)
    assert not (tmp_path / "fold2" / "curve.csv").exists()
    entered.append("refused")
    cross_validate(data, protocol, tmp_path, around=refusing_the_second)

    assert entered == ["fold1", "refused", "fold2"]


def test_tested_people_teach_nothing(a_run, a_cohort, tmp_path):
    """Other landmarks on tested people change the errors of that fold, and not its network."""
    output, results = a_run
    tested = json.loads((output / "fold1" / "recipe.json").read_text("utf-8"))["test"]
    folder = tmp_path / "scans"
    shutil.copytree(a_cohort[0], folder)
    for name in tested:
        mesh, positions = toy_person(int(name[1:]))
        write_toy_scan(folder, name, mesh, np.add(positions, [0, 0, 3]))

    changed = run(a_cohort, tmp_path / "run", folder)

    assert weights_of(tmp_path / "run", 1) == weights_of(output, 1)
    assert weights_of(tmp_path / "run", 2) != weights_of(output, 2)
    assert changed[0].mean_mm != pytest.approx(results[0].mean_mm, abs=1e-3)
    assert changed[0].validation_mm == results[0].validation_mm


def test_folder_of_another_recipe_is_refused(a_run, a_cohort, tmp_path):
    other = tmp_path / "tiny.toml"
    other.write_text(RECIPE.replace("rate = 3e-4", "rate = 1e-3"), encoding="utf-8")

    with pytest.raises(UsageError, match="holds a run of another recipe"):
        run((*a_cohort[:2], other), a_run[0])


def test_run_of_other_scans_is_refused_as_a_whole_and_stays_as_it_is(a_run, a_cohort, tmp_path):
    """The first fold was named: who deleted fold after fold kept files of the other scans."""
    folder, output = tmp_path / "scans", tmp_path / "run"
    shutil.copytree(a_cohort[0], folder)
    shutil.copytree(a_run[0], output)
    before = (output / "left_out.txt").read_text("utf-8")
    (folder / "p1.csv").unlink()

    with pytest.raises(UsageError, match=rf"^{re.escape(str(output))} holds a run of other scans"):
        run(a_cohort, output, folder)

    assert (output / "left_out.txt").read_text("utf-8") == before


def test_model_of_everybody_goes_with_the_folds_whose_errors_it_tells(a_run, a_cohort, tmp_path):
    """It was kept for ever, although the folds were trained anew on other scans."""
    output = tmp_path / "run"
    shutil.copytree(a_run[0], output)
    (output / "model.npz").write_bytes(b"of other scans")
    run(a_cohort, output)
    assert (output / "model.npz").exists()

    shutil.rmtree(output / "fold2")
    run(a_cohort, output)

    assert not (output / "model.npz").exists()


def test_command_refuses_a_folder_of_a_fine_tuning_before_the_scans_are_read(
    a_cohort, tmp_path, capsys, monkeypatch
):
    read = []
    monkeypatch.setattr("palnet.data_sets.checking.check_data_set", read.append)
    claim = tmp_path / "run" / "recipe.json"
    claim.parent.mkdir()
    claim.write_text('{"model_sha256": "12ab", "train": ["p0"]}', encoding="utf-8")

    code = main(["crossvalidate", str(a_cohort[0]), "-o", str(claim.parent), "--scheme",
                 a_cohort[1], "--recipe", str(a_cohort[2])])  # fmt: skip

    assert code == 2
    assert "holds a run of another recipe or version" in capsys.readouterr().err
    assert not read


def test_run_does_not_go_on_with_landmarks_of_other_names(a_cohort, a_run, tmp_path):
    """The coordinates are the same, but the models of the first folds had the old names."""
    folder, scheme = tmp_path / "scans", tmp_path / "toy13.json"
    shutil.copytree(a_cohort[0], folder)
    shutil.copy(a_cohort[1], scheme)
    for path in (scheme, *folder.glob("*.csv")):
        text = path.read_text(encoding="utf-8")
        renamed = text.replace('"prn"', '"tip"').replace(",prn,", ",tip,")
        path.write_text(renamed, encoding="utf-8")

    with pytest.raises(UsageError, match="holds a run of other scans, landmarks"):
        run((folder, str(scheme), a_cohort[2]), a_run[0])


def test_landmark_that_a_fold_cannot_learn_stops_before_any_training(a_cohort, a_run, tmp_path):
    """Nobody that fold 2 trains on has the landmark; fold 1 would have been trained for hours."""
    folder = tmp_path / "scans"
    shutil.copytree(a_cohort[0], folder)
    for name in json.loads((a_run[0] / "fold2" / "recipe.json").read_text("utf-8"))["train"]:
        mesh, positions = toy_person(int(name[1:]))
        positions[toy_scheme().index_of("gn")] = np.nan
        write_toy_scan(folder, name, mesh, positions)

    with pytest.raises(TrainingError, match="has landmark gn"):
        run(a_cohort, tmp_path / "run", folder)

    assert not (tmp_path / "run" / "fold1").exists()


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (Path(self.path),)


@pytest.mark.parametrize("content", ["bomb", "text", "junk", "other", "cut"])
def test_file_that_is_no_network_is_refused(content, a_run, tmp_path):
    path, mark = tmp_path / "network.pt", tmp_path / "mark"
    if content == "bomb":
        torch.save({"means_mm": Bomb(str(mark))}, path)
    elif content == "text":
        path.write_text("weights", encoding="utf-8")
    elif content == "junk":
        path.write_bytes(b"junk\n")
    elif content == "other":
        torch.save({"weight": torch.zeros(3)}, path)
    else:
        path.write_bytes((a_run[0] / "fold1" / "network.pt").read_bytes()[:5000])

    with pytest.raises(ModelFileError, match=r"is not a network of .* Delete it to train"):
        read_network(path)

    assert not mark.exists()


def test_command_prints_a_line_a_fold(a_run, a_cohort, capsys):
    folder, scheme, recipe = a_cohort

    code = main(
        ["crossvalidate", str(folder), "-o", str(a_run[0]), "--scheme", scheme,
         "--recipe", str(recipe), "--jobs", "1"]
    )  # fmt: skip

    assert code == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["fold", "1", "2", "all", "report:", "model:"]
    assert lines[3].split()[1] == str(N_SCANS)


def test_command_refuses_a_bad_data_set_before_training(a_cohort, tmp_path, capsys):
    folder = tmp_path / "scans"
    shutil.copytree(a_cohort[0], folder)
    mesh, positions = toy_person(3)
    write_toy_scan(folder, "p3", mesh, positions * 0.1)

    code = main(
        ["crossvalidate", str(folder), "-o", str(tmp_path / "run"), "--scheme", a_cohort[1],
         "--recipe", str(a_cohort[2])]
    )  # fmt: skip

    assert code == 2
    errors = capsys.readouterr().err
    assert "other_unit: p3" in errors
    assert "errors in the data set: 1." in errors
    assert not (tmp_path / "run").exists()


def test_run_that_was_interrupted_while_it_prepared_is_checked_again(
    a_cohort, tmp_path, capsys, monkeypatch
):
    """Its folder was claimed, so that data spoilt since were trained on without a word."""
    folder = tmp_path / "scans"
    shutil.copytree(a_cohort[0], folder)
    command = ["crossvalidate", str(folder), "-o", str(tmp_path / "run"), "--scheme", a_cohort[1],
               "--recipe", str(a_cohort[2])]  # fmt: skip

    def interrupt(*_, **__):
        raise TrainingError

    with monkeypatch.context() as patch:
        patch.setattr("palnet.training.annotated.crossvalidation.prepare_scans", interrupt)
        assert main(command) == 2
    assert (tmp_path / "run" / "recipe.json").exists()
    mesh, positions = toy_person(3)
    write_toy_scan(folder, "p3", mesh, positions * 0.1)

    assert main(command) == 2
    assert "other_unit: p3" in capsys.readouterr().err


def test_run_within_the_folder_of_the_scans_goes_on(a_cohort, a_run, tmp_path, capsys):
    """Its predictions and tables were read as landmarks, and the second call refused."""
    folder = tmp_path / "scans"
    shutil.copytree(a_cohort[0], folder)
    shutil.copytree(a_run[0], folder / "run")
    before = texts_of(folder / "run")

    code = main(
        ["crossvalidate", str(folder), "-o", str(folder / "run"), "--scheme", a_cohort[1],
         "--recipe", str(a_cohort[2]), "--jobs", "1"]
    )  # fmt: skip

    assert code == 0
    assert texts_of(folder / "run") == before
    capsys.readouterr()
    assert main(["check-data", str(folder), "--scheme", a_cohort[1]]) == 0
    inside = capsys.readouterr().out
    main(["check-data", str(a_cohort[0]), "--scheme", a_cohort[1]])
    assert inside == capsys.readouterr().out


@pytest.mark.parametrize(
    "words", [["crossvalidate"], ["finetune", "--anyway"]], ids=["crossvalidate", "finetune"]
)
@pytest.mark.parametrize("place", ["", "second"])
def test_run_among_the_scans_is_refused(place, words, tmp_path, monkeypatch, capsys):
    """Its own recipe would hide the scans, or its tables be read with them."""
    scans = tmp_path / "scans"
    write_toy_cohort(scans, 3)
    (scans / "second").mkdir()
    for path in sorted(scans.glob("p2.*")):
        path.rename(scans / "second" / path.name)
    before = sorted(scans.rglob("*"))
    monkeypatch.chdir(scans)

    assert main([*words, ".", "-o", f"./{place}"]) == 2

    assert "holds scans or landmarks. Name another folder for the run" in capsys.readouterr().err
    assert sorted(scans.rglob("*")) == before


def test_command_with_too_few_people_for_its_folds_stops_before_preparing(tmp_path, capsys):
    scheme = write_toy_cohort(tmp_path / "scans", 3)
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(RECIPE, encoding="utf-8")

    code = main(
        ["crossvalidate", str(tmp_path / "scans"), "-o", str(tmp_path / "run"),
         "--scheme", str(scheme), "--recipe", str(recipe)]
    )  # fmt: skip

    assert code == 2
    assert "2 folds: expected at least 4 people; got 3." in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_command_offers_the_networks_there_are():
    assert _NETWORKS == VARIANTS
