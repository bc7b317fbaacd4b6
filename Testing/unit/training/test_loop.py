# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import errno
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from palnet.errors import OutputError, TrainingError
from palnet.training.loop import OneCycleSettings, PlateauSettings, run_loop
from toy_cohort import read_table

SETTINGS = OneCycleSettings(n_steps=30, peak_rate=0.02, seed=3, save_every=10)


class InterruptionError(Exception):
    """Stands for a power cut."""


class Lesson:
    """A toy problem, y = A x with dropout, that remembers what it drew."""

    def __init__(self, stop_at=None, spoil_at=None):
        self.target = torch.from_numpy(
            np.random.default_rng(1).normal(size=(4, 3)).astype(np.float32)
        )
        self.stop_at, self.spoil_at = stop_at, spoil_at
        self.batches = []

    def draw_loss(self, network, rng, step):
        if len(self.batches) == self.stop_at:
            raise InterruptionError
        batch = rng.normal(size=(16, 4)).astype(np.float32)
        self.batches.append(batch)
        values = torch.from_numpy(batch)
        loss = (network(values) - values @ self.target).square().mean()
        return loss * float("nan") if len(self.batches) - 1 == self.spoil_at else loss

    def validate(self, network):
        assert not network.training
        values = torch.eye(4)
        with torch.no_grad():
            return float((network(values) - self.target).abs().mean())


def make_network():
    torch.manual_seed(5)
    return torch.nn.Sequential(
        torch.nn.Linear(4, 16), torch.nn.Dropout(0.1), torch.nn.Linear(16, 3)
    )


def train(folder, lesson=None, settings=SETTINGS):
    lesson = lesson or Lesson()
    network = make_network()
    run_loop(network, lesson.draw_loss, settings, folder, lesson.validate)
    return network, lesson


def read_curve(folder):
    return read_table(folder / "curve.csv")


def assert_equal_bits(left, right):
    for (name, a), (other, b) in zip(
        left.state_dict().items(), right.state_dict().items(), strict=True
    ):
        assert name == other
        assert a.numpy().tobytes() == b.numpy().tobytes(), name


def interrupt(folder, stop_at):
    with pytest.raises(InterruptionError):
        train(folder, Lesson(stop_at=stop_at))


@pytest.mark.parametrize("rest", [b"", b"step,lo", b"step,loss,validation_mm"])
def test_training_goes_on_after_a_curve_that_was_interrupted_before_its_first_row(rest, tmp_path):
    """After a header that a full disk had cut off, no training could read its own curve."""
    interrupt(tmp_path, 3)
    (tmp_path / "curve.csv").write_bytes(rest)

    train(tmp_path)
    train(tmp_path / "whole")

    assert read_curve(tmp_path) == read_curve(tmp_path / "whole")


@pytest.mark.parametrize("rest", ["2", "20,0.1", "20,0.12345,1.2"])
def test_row_that_a_full_disk_cut_off_is_written_again(rest, tmp_path):
    """A row of step 20, cut off after its first digit, counted as one of step 2."""
    interrupt(tmp_path, 14)
    with (tmp_path / "curve.csv").open("a", newline="", encoding="utf-8") as stream:
        stream.write(rest)

    train(tmp_path)
    train(tmp_path / "whole")

    assert read_curve(tmp_path) == read_curve(tmp_path / "whole")


@pytest.mark.parametrize("stops", [(3,), (10,), (17,), (29,), (14, 12)])
def test_resumed_run_equals_an_uninterrupted_one_bit_for_bit(stops, tmp_path):
    whole, _ = train(tmp_path / "whole")

    for stop_at in stops:
        interrupt(tmp_path / "parts", stop_at)
    resumed, _ = train(tmp_path / "parts")

    assert_equal_bits(whole, resumed)
    assert read_curve(tmp_path / "whole") == read_curve(tmp_path / "parts")


def test_batch_in_parts_is_the_batch_as_a_whole(tmp_path):
    """The parts are drawn from one stream; the mean of their losses is the loss of all."""
    networks = []
    for n_parts in (1, 4):
        target = torch.from_numpy(np.random.default_rng(1).normal(size=(4, 3)).astype(np.float32))

        def draw_loss(network, rng, _step, n_parts=n_parts, target=target):
            values = torch.from_numpy(rng.normal(size=(16 // n_parts, 4)).astype(np.float32))
            return (network(values) - values @ target).square().mean()

        torch.manual_seed(5)
        network = torch.nn.Linear(4, 3)
        folder = tmp_path / f"{n_parts}"
        run_loop(network, draw_loss, replace(SETTINGS, n_parts=n_parts), folder, lambda n: 1.0)
        networks.append((network, read_curve(folder)))

    (whole, its_curve), (parts, their_curve) = networks
    for a, b in zip(whole.parameters(), parts.parameters(), strict=True):
        np.testing.assert_allclose(a.detach(), b.detach(), atol=1e-5)
    losses = [[float(row["loss"]) for row in curve] for curve in (its_curve, their_curve)]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-3)


def test_one_wild_batch_does_not_spoil_the_training(tmp_path):
    """Its gradient is cut: what the optimizer remembers of it would stop all that follow."""
    errors = []
    for wild in (1.0, 1e6):
        lesson = Lesson()

        def draw_loss(network, rng, step, lesson=lesson, wild=wild):
            return lesson.draw_loss(network, rng, step) * (wild if step == 3 else 1.0)

        network = make_network()
        run_loop(network, draw_loss, SETTINGS, tmp_path / f"{wild:g}", lesson.validate)
        errors.append(lesson.validate(network))

    assert errors[1] < 1.2 * errors[0]


def test_resumed_run_stops_as_early_as_an_uninterrupted_one(tmp_path):
    """It knows since when nothing got better, and what was best."""
    settings = PlateauSettings(
        n_steps=30, rate=0.01, factor=0.5, patience=9, stop_after=5, validate_every=1, save_every=1,
        seed=3,
    )  # fmt: skip
    ends = []
    for name, stop_at in (("whole", None), ("parts", 9)):
        lesson = Lesson(stop_at=stop_at)
        network = make_network()
        errors = iter([5.0, 4.0, 3.0, 2.0, 1.0, 0.5, *[2.0] * 40])

        def validate(_network, errors=errors):
            return next(errors)

        if stop_at is not None:
            with pytest.raises(InterruptionError):
                run_loop(network, lesson.draw_loss, settings, tmp_path / name, validate)
            lesson, network = Lesson(), make_network()
        run_loop(network, lesson.draw_loss, settings, tmp_path / name, validate)
        ends.append((network, read_curve(tmp_path / name)))

    (whole, its_curve), (parts, their_curve) = ends
    assert len(its_curve) == 6 + settings.stop_after
    assert their_curve == its_curve
    assert_equal_bits(whole, parts)


def test_finished_run_is_not_trained_again(tmp_path):
    first, _ = train(tmp_path)
    assert not first.training

    again, lesson = train(tmp_path)

    assert lesson.batches == []
    assert_equal_bits(first, again)


def test_batches_depend_on_seed_and_step_only(tmp_path):
    _, whole = train(tmp_path / "whole")
    interrupt(tmp_path / "parts", 14)

    _, rest = train(tmp_path / "parts")

    np.testing.assert_array_equal(whole.batches[10:], rest.batches)
    _, other = train(tmp_path / "other", settings=replace(SETTINGS, seed=4))
    assert np.abs(np.array(whole.batches) - other.batches).max() > 1
    steps = np.array(whole.batches).reshape(30, -1)
    assert len(np.unique(steps, axis=0)) == 30


class Spreadsheet:
    """Has the curve open while it is told to."""

    def __init__(self, monkeypatch):
        self.is_open, opening = True, Path.open

        def refuse(path, mode="r", **options):
            if self.is_open and path.name == "curve.csv" and mode == "a":
                raise PermissionError(13, "The file is in use")
            return opening(path, mode, **options)

        monkeypatch.setattr(Path, "open", refuse)


def assert_curves_are_the_same(folder, other):
    assert (folder / "curve.csv").read_bytes() == (other / "curve.csv").read_bytes()


def test_curve_that_a_spreadsheet_has_open_ends_no_training(tmp_path, monkeypatch, caplog):
    train(tmp_path / "as_ever")
    lesson, spreadsheet, validations = Lesson(), Spreadsheet(monkeypatch), []

    def validate(network):
        validations.append(None)
        spreadsheet.is_open = len(validations) == 2
        return lesson.validate(network)

    run_loop(make_network(), lesson.draw_loss, SETTINGS, tmp_path / "in_use", validate)

    assert "curve.csv: cannot be written (The file is in use). The training goes on" in caplog.text
    assert_curves_are_the_same(tmp_path / "as_ever", tmp_path / "in_use")


@pytest.mark.parametrize(
    ("stop_at", "ends"),
    [
        (None, pytest.raises(OutputError, match=r"rows are not written \(3\)")),
        (25, pytest.raises(InterruptionError)),
    ],
)
def test_rows_of_a_curve_that_was_open_are_written_by_the_same_command(
    stop_at, ends, tmp_path, monkeypatch
):
    """Whether the training came to its end or was interrupted."""
    train(tmp_path / "as_ever")
    spreadsheet = Spreadsheet(monkeypatch)
    with ends:
        train(tmp_path / "in_use", Lesson(stop_at=stop_at))
    spreadsheet.is_open = False

    train(tmp_path / "in_use")

    assert_curves_are_the_same(tmp_path / "as_ever", tmp_path / "in_use")


def test_curve_whose_picture_is_in_use_ends_no_training(tmp_path, monkeypatch, caplog):
    replacing = Path.replace

    def refuse(draft, target):
        if target.name == "curve.svg":
            raise PermissionError(13, "The file is in use")
        return replacing(draft, target)

    monkeypatch.setattr(Path, "replace", refuse)
    train(tmp_path)

    assert "curve.svg: cannot be written" in caplog.text


def test_loss_falls(tmp_path):
    settings = replace(SETTINGS, n_steps=200, save_every=50)

    train(tmp_path, settings=settings)

    curve = read_curve(tmp_path)
    assert [row["step"] for row in curve] == ["50", "100", "150", "200"]
    assert float(curve[-1]["loss"]) < 0.3 * float(curve[0]["loss"])
    assert float(curve[-1]["validation_mm"]) < 0.5 * float(curve[0]["validation_mm"])


def test_last_step_is_saved_between_the_regular_ones(tmp_path):
    train(tmp_path, settings=replace(SETTINGS, n_steps=25))

    assert [row["step"] for row in read_curve(tmp_path)] == ["10", "20", "25"]
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert state["step"] == 25


@pytest.mark.parametrize("change", [{"n_steps": 40}, {"seed": 9}, {"peak_rate": 0.01}])
def test_going_on_with_other_settings_is_refused(change, tmp_path):
    interrupt(tmp_path, 14)

    with pytest.raises(TrainingError, match="belongs to a training with"):
        train(tmp_path, settings=replace(SETTINGS, **change))


def test_loss_that_is_no_number_stops_the_training(tmp_path):
    with pytest.raises(TrainingError, match="nan at step 14"):
        train(tmp_path, Lesson(spoil_at=13))

    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert all(torch.isfinite(weight).all() for weight in state["network"].values())


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (Path(self.path),)


def test_checkpoint_is_never_unpickled(tmp_path):
    mark = tmp_path / "mark"
    torch.save({"network": Bomb(str(mark)), "step": 3}, tmp_path / "checkpoint.pt")

    with pytest.raises(TrainingError, match=r"^[^\n]*is not a checkpoint[^\n]*$") as refusal:
        train(tmp_path)

    assert not mark.exists()
    assert "weights_only" not in str(refusal.value)  # torch advises to switch it off


@pytest.mark.parametrize("content", [b"", b"weights", b"junk\n", b"PK\x03\x04" + bytes(200)])
def test_damaged_checkpoint_is_refused_in_one_line(content, tmp_path):
    (tmp_path / "checkpoint.pt").write_bytes(content)

    with pytest.raises(TrainingError, match=r"^[^\n]*checkpoint\.pt: is not a checkpoint[^\n]*$"):
        train(tmp_path)


def test_writing_a_checkpoint_that_fails_keeps_the_old_one(tmp_path, monkeypatch):
    interrupt(tmp_path, 14)
    before = (tmp_path / "checkpoint.pt").read_bytes()

    def stop_half_way(state, target):
        target.write(b"half")
        raise InterruptionError

    monkeypatch.setattr(torch, "save", stop_half_way)
    with pytest.raises(InterruptionError):
        train(tmp_path)

    assert (tmp_path / "checkpoint.pt").read_bytes() == before


class FullDisk(io.BytesIO):
    def write(self, data):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_full_disk_is_one_line_and_no_error_of_torch(tmp_path, monkeypatch):
    """It was a traceback that ended in "inline_container.cc: unexpected pos"."""
    interrupt(tmp_path, 14)
    before = (tmp_path / "checkpoint.pt").read_bytes()
    open_file = Path.open

    def open_on_full_disk(path, mode="r", **options):
        return FullDisk() if mode == "wb" else open_file(path, mode, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", open_on_full_disk)
        with pytest.raises(OutputError, match=r"checkpoint\.pt: cannot be written \(No space left"):
            train(tmp_path)

    assert (tmp_path / "checkpoint.pt").read_bytes() == before
    assert [path for path in tmp_path.iterdir() if path.name.startswith(".palnet-")] == []
    assert_equal_bits(train(tmp_path)[0], train(tmp_path / "whole")[0])


def test_run_in_parts_goes_on_as_a_whole(tmp_path):
    """From a processor, which computes in parts, on to a GPU: what is done is not done again."""
    done, _ = train(tmp_path, settings=replace(SETTINGS, n_parts=2))

    again, lesson = train(tmp_path, settings=replace(SETTINGS, n_parts=1))

    assert not lesson.batches
    assert_equal_bits(done, again)
