# SPDX-License-Identifier: Apache-2.0
"""The last round of the landmark network on a GPU that is lent for minutes: no time to wait.

One process generates people and cuts their patches on every core, others train on what is there:

    python -m benchmarks.train_while_generating generate --folder work --seconds 640 --jobs 13 \
        --ict ict_facekit_light.npz --heads anny_train.npz --model palnet50 --model held_out.npz
    python -m benchmarks.train_while_generating train --folder work --seconds 600 --model palnet50

The network of `--model` grows to the large size; what comes out are its weights and curve. Recipes
say the same with a fixed number of people and batches (`palnet train`); here the clock decides.
"""

from __future__ import annotations

import argparse
import csv
import threading
import time
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from palnet._files import replacing
from palnet.model import read_model
from palnet.network.landmarks import OFFSET_UNIT_MM
from palnet.network.sizes import LARGE_SIZE
from palnet.scheme import load_scheme
from palnet.synthesis import PRESETS, ScanGenerator, read_morphable_model
from palnet.training.drawing import Drawing, PlacedPatches, draw_batch
from palnet.training.landmarks import begin_network, landmark_loss
from palnet.training.loop import choose_device
from palnet.training.patches import prepare_patches
from palnet.training.pipeline import with_heads

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from palnet.face.atlas import FaceAtlas

# The first people validate; the seeds of training go on from there, sources in turn.
FIRST_SEED, N_VALIDATION = 1_200_000, 200
SEED = 12
WARM_UP, WEIGHT_DECAY, LARGEST_GRADIENT = 0.1, 0.01, 1.0
REPORT_S, POLL_S = 20.0, 0.5
VALIDATED_TOGETHER = 50


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
    add("--most", type=int, default=20_000, help="people to have room for [%(default)s]")
    add("--least", type=int, default=1_000, help="people to wait for [%(default)s]")
    arguments = parser.parse_args()
    (generate if arguments.what == "generate" else train)(arguments)


# --- people ---------------------------------------------------------------------------------------


def generate(arguments: argparse.Namespace) -> None:
    """Write the patches of person after person until the time is over."""
    end = time.monotonic() + arguments.seconds
    scheme, presets = load_scheme(), tuple(PRESETS.values())
    paths = (arguments.ict, arguments.heads)
    sources = [with_heads(read_morphable_model(p, scheme), for_calibration=False) for p in paths]
    generators = [ScanGenerator(source, presets) for source in sources]
    # A model that knows one source alone trains on its people alone.
    atlases = []
    for name in arguments.model:
        model = read_model(name)
        known = [source.name in str(model.metadata["source"]) for source in sources]
        atlases.append((Path(name).stem, model.atlas, known))
        for part in ("training", "validation"):
            (arguments.folder / Path(name).stem / part).mkdir(parents=True, exist_ok=True)
    work = partial(_write_person, generators, atlases, arguments.folder)
    seeds = range(FIRST_SEED, FIRST_SEED + arguments.most)
    with get_context("fork").Pool(arguments.jobs) as pool:
        for count, _ in enumerate(pool.imap_unordered(work, seeds, chunksize=4), start=1):
            if count % 500 == 0:
                print(f"{count} people", flush=True)
            if time.monotonic() > end:
                break
        pool.terminate()


def _write_person(
    generators: list[ScanGenerator],
    atlases: list[tuple[str, FaceAtlas, list[bool]]],
    folder: Path,
    seed: int,
) -> None:
    """Draw one person, and cut the patches for every model that knows the source."""
    which = seed % len(generators)
    scan = generators[which].draw(seed)
    validates = seed < FIRST_SEED + N_VALIDATION
    for name, atlas, known in atlases:
        if not known[which]:
            continue
        arrays = prepare_patches(atlas, scan, seed, thinned=not validates)
        path = folder / name / ("validation" if validates else "training") / f"{seed}.npz"
        with replacing(path, overwrite=True) as draft, draft.open("wb") as stream:
            np.savez(stream, **arrays)  # type: ignore[arg-type]


class _Store:
    """Patches on the device, with room for more; a thread adds what appears in a folder."""

    def __init__(self, folder: Path, room: int, device: torch.device) -> None:
        self.folder, self.room, self.device = folder, room, device
        self.count = 0
        self._seen: set[Path] = set()
        self._columns: dict[str, torch.Tensor] = {}

    @property
    def patches(self) -> PlacedPatches:
        """All columns, the first `count` rows of which are filled."""
        return PlacedPatches(**self._columns)

    def fill(self) -> None:
        """Add the files that are new."""
        for path in sorted(set(self.folder.glob("*.npz")) - self._seen):
            if self.count == self.room:
                return
            self._seen.add(path)
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
                self._add({name: arrays[name] for name in PlacedPatches._fields})

    def _add(self, row: Mapping[str, np.ndarray[Any, Any]]) -> None:
        for name, values in row.items():
            tensor = torch.from_numpy(np.ascontiguousarray(values))
            if name not in self._columns:
                shape = (self.room, *tensor.shape)
                self._columns[name] = torch.zeros(shape, dtype=tensor.dtype, device=self.device)
            self._columns[name][self.count] = tensor.to(self.device)
        self.count += 1

    def wait_for(self, least: int) -> None:
        """Fill until so many are there."""
        while self.count < least:
            self.fill()
            time.sleep(POLL_S)

    def follow(self) -> None:
        """Go on filling beside the training."""
        threading.Thread(target=self._follow, daemon=True).start()

    def _follow(self) -> None:
        while self.count < self.room:
            self.fill()
            time.sleep(POLL_S)


# --- training -------------------------------------------------------------------------------------


def train(arguments: argparse.Namespace) -> None:
    """Train until the time is over, and write weights and curve."""
    (name,) = arguments.model
    model, device = read_model(name), choose_device()
    folder = arguments.folder / Path(name).stem
    of_all = "anny" in str(model.metadata["source"])
    validation = _Store(folder / "validation", N_VALIDATION // (1 if of_all else 2), device)
    store = _Store(folder / "training", arguments.most, device)
    validation.wait_for(validation.room)
    store.wait_for(arguments.least)
    store.follow()
    weights = model.network("landmarks")
    network = begin_network(len(model.scheme), LARGE_SIZE, SEED, weights).to(device)
    mirror = torch.tensor(model.scheme.mirror, device=device)
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=WEIGHT_DECAY)
    rng = torch.Generator(device).manual_seed(SEED)
    drawing = Drawing(arguments.batch, 64, arguments.warp)
    run = torch.compile(network) if device.type == "cuda" else network

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

    validate = partial(_validate, network, validation, mirror)
    rows = _run_by_the_clock(step, validate, store, arguments)
    with (folder / "curve.csv").open("w", newline="", encoding="utf-8") as curve:
        csv.writer(curve).writerows(rows)
    state = {key: value.cpu().numpy() for key, value in network.state_dict().items()}
    np.savez_compressed(folder / "weights.npz", **state)


def _run_by_the_clock(
    step: Callable[[float], torch.Tensor],
    validate: Callable[[], float],
    store: _Store,
    arguments: argparse.Namespace,
) -> list[list[object]]:
    """Take steps: the rate goes up, then down by half a cosine to nothing when time is over."""
    rows: list[list[object]] = [["step", "seconds", "people", "rate", "loss", "validation_mm"]]
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
            rows.append([n_steps, round(now - start), store.count, f"{share:.3f}", loss, error_mm])
            print(*rows[-1], flush=True)
            losses.clear()
    return rows


def _validate(network: torch.nn.Module, validation: _Store, mirror: torch.Tensor) -> float:
    """Mean error of first starts, in single precision."""
    network.eval()
    errors = []
    everybody = torch.arange(validation.count, device=mirror.device)
    for scans in torch.split(everybody, VALIDATED_TOGETHER):
        batch = draw_batch(validation.patches, scans, mirror, None)
        with torch.no_grad():
            raw = network(batch.points, batch.share, batch.centres_mm)
        found = raw[..., :3] * OFFSET_UNIT_MM + batch.centres_mm
        errors.append(torch.linalg.vector_norm(found - batch.truth_mm, dim=2)[batch.visible])
    network.train()
    return float(torch.cat(errors).mean())


if __name__ == "__main__":
    main()
