# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from palnet.cli import main
from palnet.errors import OutputError, OutputExistsError, TrainingError, UsageError
from palnet.model import PaperNetwork, read_model
from palnet.training.calibration import CalibrationSample, fit_calibration
from palnet.training.generated import recalibration
from palnet.training.generated.recalibration import recalibrate


class Source:
    name = fingerprint = "unlike"


@pytest.fixture
def a_sample(monkeypatch):
    """Errors twice as large as the shipped model expects."""
    model, rng = read_model(), np.random.default_rng(5)
    spread = np.exp(rng.normal(0.0, 0.4, (300, len(model.scheme))))
    error = rng.exponential(2.0 * model.calibration.expected_error_mm(spread))
    shown = np.ones(error.shape, dtype=bool)
    sample = CalibrationSample(error, spread, shown, np.ones(300))
    monkeypatch.setattr(recalibration, "collect_sample", lambda *_args: sample)
    monkeypatch.setattr(recalibration, "fill_folder", lambda *_args, **_more: [])
    return sample


def test_only_the_expected_errors_change(a_sample, tmp_path):
    before = read_model()

    recalibrate(before, Source(), range(7, 307), tmp_path / "new.npz", folder=tmp_path / "scans")

    after = read_model(tmp_path / "new.npz")
    assert after.weights.keys() == before.weights.keys()
    assert all(np.array_equal(after.weights[name], before.weights[name]) for name in before.weights)
    np.testing.assert_array_equal(after.atlas.mean_mm, before.atlas.mean_mm)
    np.testing.assert_array_equal(after.atlas.modes_mm, before.atlas.modes_mm)
    fitted = fit_calibration(a_sample)
    np.testing.assert_allclose(after.calibration.factor, fitted.factor)
    ratio = after.calibration.expected_error_mm(a_sample.spread_mm).mean()
    ratio /= before.calibration.expected_error_mm(a_sample.spread_mm).mean()
    assert 1.9 < ratio < 2.1
    # They are measured on that source: nothing is added for an unseen one.
    assert (after.calibration.source_factor, after.calibration.source_power) == (1, 1)


def test_allowance_for_unseen_sources_that_is_left_away_is_told(a_sample, tmp_path, caplog):
    shipped, path = read_model(), tmp_path / "new.npz"
    known = replace(shipped.calibration, source_factor=1.0, source_power=1.0)
    plain = replace(shipped, calibration=known)

    recalibrate(plain, Source(), range(7, 307), tmp_path / "plain.npz", folder=tmp_path)
    assert "is left out" not in caplog.text
    recalibrate(shipped, Source(), range(7, 307), path, folder=tmp_path)

    assert "expected errors are those of unlike; what palnet50 adds" in caplog.text


def test_model_tells_on_whom_it_was_calibrated(a_sample, tmp_path):
    recalibrate(
        read_model(), Source(), range(7, 307), tmp_path / "new.npz", folder=tmp_path / "scans"
    )

    told = read_model(tmp_path / "new.npz").metadata["calibration"]
    assert (told["source"], told["first_seed"], told["people_drawn"]) == ("unlike", 7, 300)
    assert told["people"] == 300


def test_fine_tuned_model_no_longer_says_where_its_former_errors_came_from(a_sample, tmp_path):
    tuned = {"layers": "head", "expected_errors": "of the base model"}
    shipped = read_model()
    model = replace(shipped, metadata={**shipped.metadata, "finetuning": tuned})

    recalibrate(model, Source(), range(300), tmp_path / "new.npz", folder=tmp_path / "scans")

    told = read_model(tmp_path / "new.npz").metadata
    assert told["finetuning"] == {"layers": "head", "expected_errors": "see calibration"}
    assert told["calibration"]["source"] == "unlike"


def test_existing_model_is_kept(a_sample, tmp_path):
    path = tmp_path / "new.npz"
    path.write_bytes(b"mine")

    with pytest.raises(OutputExistsError, match="new"):
        recalibrate(read_model(), Source(), range(20), path, folder=tmp_path / "scans")
    assert path.read_bytes() == b"mine"


def test_model_that_cannot_be_written_is_refused_before_anybody_is_generated(tmp_path):
    """It was found out when the expected errors had been fitted, which takes an hour."""
    (tmp_path / "file").touch()

    with pytest.raises(OutputError, match="cannot be written"):
        recalibrate(
            read_model(), Source(), range(20), tmp_path / "file" / "new.npz",
            folder=tmp_path / "scans",
        )  # fmt: skip
    assert not (tmp_path / "scans").exists()


def test_scans_of_others_in_the_folder_are_refused(a_sample, tmp_path):
    """They would be taken for the source's own; they may even have trained the model."""
    model, seeds, folder = read_model(), range(7, 307), tmp_path / "scans"
    recalibrate(model, Source(), seeds, tmp_path / "new.npz", folder=folder)
    recalibrate(model, Source(), seeds, tmp_path / "again.npz", folder=folder)

    class Other:
        name = fingerprint = "other"

    with pytest.raises(UsageError, match="another recipe"):
        recalibrate(model, Other(), seeds, tmp_path / "other.npz", folder=folder)
    (tmp_path / "unknown").mkdir()
    (tmp_path / "unknown" / "7.npz").write_bytes(b"somebody")
    with pytest.raises(UsageError, match="but no run"):
        recalibrate(model, Source(), seeds, tmp_path / "o.npz", folder=tmp_path / "unknown")


@pytest.mark.parametrize(("n_people", "is_fitted"), [(99, False), (100, True)])
def test_misfit_is_fitted_to_enough_people_only(
    n_people, is_fitted, a_sample, monkeypatch, tmp_path
):
    columns = (getattr(a_sample, name)[:n_people] for name in a_sample.__dataclass_fields__)
    few = CalibrationSample(*columns)
    few = replace(few, misfit=np.linspace(0.5, 2.0, n_people))
    monkeypatch.setattr(recalibration, "collect_sample", lambda *_args: few)
    before = read_model()

    recalibrate(before, Source(), range(7, 307), tmp_path / "new.npz", folder=tmp_path / "scans")

    after = read_model(tmp_path / "new.npz").calibration
    fitted = fit_calibration(few).misfit_power
    assert fitted != before.calibration.misfit_power
    expected = fitted if is_fitted else before.calibration.misfit_power
    assert after.misfit_power == pytest.approx(expected)


def test_too_few_people_are_refused(tmp_path):
    with pytest.raises(UsageError, match="need 20 people at least; got 19"):
        recalibrate(read_model(), Source(), range(19), tmp_path / "n.npz", folder=tmp_path)


def test_too_few_people_with_a_face_that_was_found_are_refused(a_sample, monkeypatch, tmp_path):
    """Only those drawn were counted, not those refused."""
    columns = (getattr(a_sample, name)[:19] for name in a_sample.__dataclass_fields__)
    few = CalibrationSample(*columns)
    monkeypatch.setattr(recalibration, "collect_sample", lambda *_args: few)

    with pytest.raises(TrainingError, match="need 20 people at least; got 19, as a face was found"):
        recalibrate(read_model(), Source(), range(40), tmp_path / "n.npz", folder=tmp_path)
    assert not (tmp_path / "n.npz").exists()


def test_color_that_is_left_out_is_told(a_sample, tmp_path, caplog):
    """Landmarks of scans with color move, although no network has changed."""
    recalibrate(read_model(), Source(), range(20), tmp_path / "new.npz", folder=tmp_path / "scans")

    assert not read_model(tmp_path / "new.npz").uses_color
    assert "and so is the color of scans" in caplog.text


def test_command_without_its_source_says_what_is_missing(capsys, tmp_path):
    with pytest.raises(SystemExit):
        main(["calibrate", "-o", str(tmp_path / "new.npz"), "--folder", str(tmp_path)])

    assert "--morphable-model" in capsys.readouterr().err


def test_network_of_the_paper_is_refused(tmp_path):
    model = read_model()
    paper = PaperNetwork("palnet", 1000, 1.2, "average", model.atlas.landmark_mean_mm, np.eye(4))

    with pytest.raises(UsageError, match="one of the paper's networks"):
        recalibrate(
            replace(model, paper=paper), Source(), range(3), tmp_path / "n.npz", folder=tmp_path
        )
