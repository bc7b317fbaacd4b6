# SPDX-License-Identifier: Apache-2.0
"""Train the last round of the landmark network on a GPU that is only available for minutes.

One process generates people and cuts their patches on all cores, others train on those so far:

    python -m benchmarks.train_while_generating generate --folder work --seconds 640 --jobs 13 \
        --ict ict_facekit_light.npz --heads anny_train.npz --model palnet50 --model held_out.npz
    python -m benchmarks.train_while_generating train --folder work --seconds 600 --model palnet50

The network of `--model` is grown to the large size. The result is weights and curve, before the
joint layer is refitted and expected errors are calibrated. The last rounds of the recipes are
similar, with a fixed number of people and batches (`palnet train`); here, time is the limit.
Weights and curve are written after every validation, as the lease of the GPU may end early. `train`
waits two minutes for people, and ends with an error if there is none.
"""

from __future__ import annotations

import argparse
import csv
import os
import threading
import time
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from palnet._stored import read_arrays, write_arrays
from palnet.errors import PalnetError
from palnet.model import read_model
from palnet.network.sizes import LARGE_SIZE
from palnet.scheme import load_scheme
from palnet.synthesis import PRESETS, ScanGenerator, read_morphable_model
from palnet.training.batches import Drawing, PatchTensors, draw_batch
from palnet.training.generated.landmarks import begin_network, validation_error_mm
from palnet.training.generated.patches import prepare_patches
from palnet.training.generated.pipeline import with_heads
from palnet.training.loop import choose_device, export_weights
from palnet.training.losses import landmark_loss
from palnet.training.patches import MOST_DRAWN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from palnet.model import Model

# Validation people; training people follow, the sources in turn.
FIRST_VALIDATION_SEED, N_VALIDATION = 1_690_000, 200
END_OF_VALIDATION = FIRST_VALIDATION_SEED + N_VALIDATION
SEED = 12
WARM_UP, WEIGHT_DECAY, LARGEST_GRADIENT = 0.1, 0.01, 1.0
REPORT_S, POLL_S, LONGEST_WAIT_S = 20.0, 0.5, 120.0
SOURCES = ("ict_facekit", "anny")


def main() -> None:
    """Generate, or train."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("what", choices=("generate", "train"))
    add("--folder", type=Path, required=True, help="patches: a folder a model in it")
    add("--model", action="append", required=True, help="whose atlas cuts, or who is trained")
    add("--seconds", type=float, required=True, help="how long")
    add("--ict", type=Path, help="the packed ICT-FaceKit model")
    add("--heads", type=Path, help="what benchmarks.make_anny_heads wrote")
    add("--jobs", type=int, default=2, help="processes that generate [%(default)s]")
    add("--batch", type=int, default=256, help="[%(default)s]")
    add("--peak-rate", type=float, default=1e-3, help="[%(default)s]")
    add("--warp", type=float, default=0.5, help="[%(default)s]")
    add("--first-seed", type=int, default=1_780_000, help="of those who train, 1690200 or more")
    add("--most", type=int, default=20_000, help="people to have room for [%(default)s]")
    add("--least", type=int, default=1_000, help="people to wait for [%(default)s]")
    add("--wide", type=float, default=0.4, help="share of people wider than a source [%(default)s]")
    arguments = parser.parse_args()
    (generate if arguments.what == "generate" else train)(arguments)


# --- people ---------------------------------------------------------------------------------------

_write: Callable[[int], None]


def generate(arguments: argparse.Namespace) -> None:
    """Write the patches of one person after another until the time is over."""
    global _write  # noqa: PLW0603  # inherited by the processes, as heads are too large to send
    end = time.monotonic() + arguments.seconds
    scheme, presets = load_scheme(), tuple(PRESETS.values())
    paths = (arguments.ict, arguments.heads)
    sources = [with_heads(read_morphable_model(p, scheme), for_calibration=False) for p in paths]
    models = {Path(name).stem: read_model(name) for name in arguments.model}
    for name in models:
        for part in ("training", "validation"):
            (arguments.folder / name / part).mkdir(parents=True, exist_ok=True)
    wide = [replace(source, wide_share=arguments.wide) for source in sources]
    plain, wider = ([ScanGenerator(one, presets) for one in some] for some in (sources, wide))
    _write = partial(_write_person, plain, wider, models, arguments.folder)
    validation = range(FIRST_VALIDATION_SEED, END_OF_VALIDATION)
    seeds = (*validation, *range(arguments.first_seed, arguments.first_seed + arguments.most))
    with get_context("fork").Pool(arguments.jobs) as pool:
        for count, _ in enumerate(pool.imap_unordered(_write_one, seeds, chunksize=4), start=1):
            if count % 500 == 0:
                print(f"{count} people", flush=True)
            if time.monotonic() > end:
                break
        pool.terminate()


def _write_one(seed: int) -> None:
    """Write the patches of one person; leave out a person for whom none can be cut."""
    try:
        _write(seed)
    except PalnetError as err:
        print(f"{seed}: {err}", flush=True)


def _write_person(
    plain: list[ScanGenerator],
    wider: list[ScanGenerator],
    models: Mapping[str, Model],
    folder: Path,
    seed: int,
) -> None:
    """Draw one person, and cut the patches for every model trained on the source."""
    validates = seed in range(FIRST_VALIDATION_SEED, END_OF_VALIDATION)
    which = seed % len(SOURCES)
    scan = (plain if validates else wider)[which].draw(seed)
    for name, model in models.items():
        if not _knows(model, SOURCES[which]):
            continue
        arrays = prepare_patches(model.atlas, scan, seed, thinned=not validates)
        path = folder / name / ("validation" if validates else "training") / f"{seed}.npz"
        write_arrays(path, arrays)


def _knows(model: Model, source: str) -> bool:
    """Whether a model was trained on people of a source; only those are used for it here."""
    return source in str(model.metadata["source"])


class _Store:
    """Patches on the device, with room for more; a thread adds new files of a folder."""

    def __init__(self, folder: Path, room: int, device: torch.device) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.room, self.device = folder, room, device
        self.count = 0
        self._seen: set[str] = set()
        self._columns: dict[str, torch.Tensor] = {}
        self._failure: Exception | None = None

    @property
    def patches(self) -> PatchTensors:
        """Return all arrays, of which the first `count` rows are filled."""
        if self._failure is not None:
            raise self._failure
        return PatchTensors(**self._columns)

    def fill(self) -> None:
        """Add new files; names of drafts begin with a dot."""
        with os.scandir(self.folder) as entries:
            names = {entry.name for entry in entries}
        for name in sorted(names - self._seen):
            if self.count == self.room:
                return
            if name.startswith("."):
                continue
            self._seen.add(name)
            self._add(read_arrays(self.folder / name, *PatchTensors._fields))

    def _add(self, row: Mapping[str, NDArray[Any]]) -> None:
        for name, values in row.items():
            tensor = torch.from_numpy(np.ascontiguousarray(values))
            if name not in self._columns:
                shape = (self.room, *tensor.shape)
                self._columns[name] = torch.zeros(shape, dtype=tensor.dtype, device=self.device)
            self._columns[name][self.count] = tensor.to(self.device)
        self.count += 1

    def wait_for(self, least: int) -> None:
        """Fill until there are at least `least`, for `LONGEST_WAIT_S` at most; fail without any."""
        end = time.monotonic() + LONGEST_WAIT_S
        while self.count < least and time.monotonic() < end:
            self.fill()
            time.sleep(POLL_S)
        if not self.count:
            msg = (
                f"{self.folder}: nobody was written in {LONGEST_WAIT_S:g} s. Start generate before "
                "train, with the same --folder and --model."
            )
            raise SystemExit(msg)

    def follow(self) -> None:
        """Keep filling during the training."""
        threading.Thread(target=self._follow, daemon=True).start()

    def _follow(self) -> None:
        try:
            while self.count < self.room:
                self.fill()
                time.sleep(POLL_S)
        except Exception as err:  # noqa: BLE001  # reported by the training
            self._failure = err


# --- training -------------------------------------------------------------------------------------


def train(arguments: argparse.Namespace) -> None:
    """Train until the time is over, and write weights and curve."""
    (name,) = arguments.model
    model, device = read_model(name), choose_device()
    folder = arguments.folder / Path(name).stem
    share = sum(_knows(model, source) for source in SOURCES) / len(SOURCES)
    validation = _Store(folder / "validation", int(N_VALIDATION * share), device)
    store = _Store(folder / "training", arguments.most, device)
    # A few people may have been left out, so the wait is limited.
    validation.wait_for(validation.room)
    store.wait_for(arguments.least)
    store.follow()
    weights = model.network("landmarks")
    network = begin_network(len(model.scheme), LARGE_SIZE, SEED, weights).to(device)
    mirror = torch.tensor(model.scheme.mirror, device=device)
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=WEIGHT_DECAY)
    rng = torch.Generator(device).manual_seed(SEED)
    drawing = Drawing(arguments.batch, MOST_DRAWN, arguments.warp)
    run = torch.compile(network, dynamic=False) if device.type == "cuda" else network

    def step(rate: float) -> torch.Tensor:
        optimizer.param_groups[0]["lr"] = rate
        size = (arguments.batch,)
        chosen = torch.randint(store.count, size, generator=rng, device=device)
        batch = draw_batch(store.patches, chosen, mirror, rng, drawing)
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device.type, torch.bfloat16):
            raw = run(batch.points, batch.share, batch.centres_mm)
        loss = landmark_loss(raw.float(), batch.centres_mm, batch.truth_mm, batch.visible)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), LARGEST_GRADIENT)
        optimizer.step()
        return loss.detach()

    validate = partial(_validate, network, validation)
    for rows in _run_by_the_clock(step, validate, store, arguments):
        with (folder / "curve.csv").open("w", newline="", encoding="utf-8") as curve:
            csv.writer(curve).writerows(rows)
        write_arrays(folder / "weights.npz", export_weights(network))


def _run_by_the_clock(
    step: Callable[[float], torch.Tensor],
    validate: Callable[[], float],
    store: _Store,
    arguments: argparse.Namespace,
) -> Iterator[list[list[object]]]:
    """Train with a learning rate that rises, then falls by half a cosine to zero at the time limit.

    Yields the rows of the curve after every validation.
    """
    rows: list[list[object]] = [["step", "loss", "validation_mm", "seconds", "people", "rate"]]
    step(0.0)  # compiles, which may take a minute, before the clock starts
    start = last = time.monotonic()
    losses: list[torch.Tensor] = []
    done, n_steps = 0.0, 0
    while done < 1:
        now = time.monotonic()
        done = min((now - start) / arguments.seconds, 1.0)
        after = (done - WARM_UP) / (1 - WARM_UP)
        share = done / WARM_UP if done < WARM_UP else (1 + np.cos(np.pi * after)) / 2
        losses.append(step(float(arguments.peak_rate * share)))
        n_steps += 1
        if now - last > REPORT_S or done >= 1:
            last = now
            loss, error_mm = float(torch.stack(losses).mean()), validate()
            figures = (f"{loss:.4f}", f"{error_mm:.4f}", round(now - start, 1), store.count)
            rows.append([n_steps, *figures, f"{arguments.peak_rate * share:.2e}"])
            print(*rows[-1], flush=True)
            losses.clear()
            yield rows


def _validate(network: torch.nn.Module, validation: _Store) -> float:
    """Compute the mean error on the validation people, in single precision."""
    network.eval()
    patches = PatchTensors(*(values[: validation.count] for values in validation.patches))
    error_mm = validation_error_mm(network, patches)
    network.train()
    return error_mm


if __name__ == "__main__":
    main()
