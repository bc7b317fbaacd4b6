# SPDX-License-Identifier: Apache-2.0
"""`palnet finetune` for a lab whose definitions differ, by the number of people it has annotated.

A lab is imitated: each landmark is defined beside ours, on the skin, the same on all people and
mirrored on the left; and its labels scatter about the definition as one pass of a person does. The
people are new, half of each source, captured by stereo cameras. Folds of people test the result.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks._contestants import place_by_atlas_and_model, read_pairs
from benchmarks._data import (
    Task,
    add_common_options,
    add_people_options,
    draw_placement,
    place_mesh,
    settings_of,
    tasks_in_turn,
)
from benchmarks._memory import in_new_process
from benchmarks._pool import run_tasks
from benchmarks._report import Report
from benchmarks._trainings import Limits, Training, make_protocol, run_training
from palnet._run_folder import claim_folder
from palnet.data_sets.dataset import place_truth
from palnet.data_sets.layouts import read_data_set
from palnet.exchange import write_specimens
from palnet.model import read_model
from palnet.scheme import load_scheme
from palnet.similarity import (
    fit_similarity,
    invert_similarity,
    rotate_directions,
)
from palnet.surface import parse_unit, prepare_surface, project_onto_triangles
from palnet.surface._write import write_ply

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from palnet.evaluation import Pair

# Seeds used only by this benchmark.
FIRST_SEED = 3_500_000
PRESETS = ("two_pods", "five_pods", "vectra")
# Standard deviation of a definition's offset along each axis; on the skin most of it is left.
DEFINITION_MM = 1.2
# A pass of a person is off by the distance between two passes over the square root of two; the mean
# distance of a scatter in the plane of the skin is its standard deviation times this.
RAYLEIGH = float(np.sqrt(np.pi / 2))
LABELS_FILE = "labels.csv"
COLUMNS = (
    *("people trained on", "people tested"),
    *("mean mm", "median", "95th", "within 2 mm %", "from the labels"),
)


@dataclass(frozen=True, eq=False)
class Annotated:
    """A person of the lab: where its definitions and its labels are, in the file's numbers.

    Attributes
    ----------
    name : str
        Name of the scan.
    person : str
        People of one head are one person.
    defined_mm, labeled_mm : ndarray of shape (n_landmarks, 3)
        NaN where the scan does not show the landmark.
    """

    name: str
    person: str
    defined_mm: NDArray[np.float64]
    labeled_mm: NDArray[np.float64]


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_common_options(parser)
    add_people_options(parser, people=60, first_seed=FIRST_SEED, needs_heads=True)
    add = parser.add_argument
    add("--work", type=Path, required=True, help="folder that keeps scans and trainings")
    add("--sizes", default="18,60", help="numbers of annotated people [%(default)s]")
    add("--folds", type=int, default=3, help="of people [%(default)s]")
    arguments = parser.parse_args()
    sizes = sorted(int(size) for size in arguments.sizes.split(","))
    if sizes[-1] != arguments.people:
        parser.error(f"--sizes: the last must be --people, {arguments.people}; got {sizes[-1]}")
    about = {key: value for key, value in settings_of(arguments).items() if key != "jobs"}
    arguments.work.mkdir(parents=True, exist_ok=True)
    claim_folder(arguments.work, about)
    tasks = tasks_in_turn(arguments, PRESETS)
    people = list(run_tasks(_Annotate(arguments.work), tasks, jobs=arguments.jobs))
    rows: list[tuple[Any, ...]] = []
    for size in sizes:
        rows += _rows(*_finetune(arguments, people[:size]), people, size, arguments.folds)
    report = Report("own_labels", settings_of(arguments))
    title = "A lab with definitions of its own: distance from them"
    report.add_table(title, ("landmarks", *COLUMNS), rows)
    report.finish(arguments.output)


@dataclass(frozen=True)
class _Annotate:
    """Writes the scan of a person, and annotates it."""

    work: Path

    def __call__(self, task: Task) -> Annotated:
        scan = task.draw()
        rng = np.random.default_rng([task.seed, 7])
        model, truth_mm = read_model(task.model), scan.landmarks_mm
        scan_from_face = invert_similarity(fit_similarity(truth_mm, model.atlas.landmark_mean_mm))
        offsets_mm = rotate_directions(scan_from_face, _definitions_mm())
        surface = prepare_surface(scan.to_mesh(), parse_unit("mm"))
        defined_mm = project_onto_triangles(surface, truth_mm + offsets_mm).points_mm
        scatter_mm = rng.normal(size=truth_mm.shape) * _one_pass_mm()[:, None]
        labeled_mm = project_onto_triangles(surface, defined_mm + scatter_mm).points_mm
        placement = draw_placement(np.random.default_rng([task.seed, 1]), "mm")
        name = f"{task.seed}-{task.source.lower()}"
        (self.work / "lab").mkdir(exist_ok=True)
        mesh = replace(place_mesh(scan.to_mesh(), placement), name=name)
        write_ply(mesh, self.work / "lab" / f"{name}.ply", overwrite=True)
        is_hidden = ~scan.visible[:, None]
        head = scan.description.get("head")
        return Annotated(
            name,
            name if head is None else f"head {head}",
            np.where(is_hidden, np.nan, placement.to_file(defined_mm)),
            np.where(is_hidden, np.nan, placement.to_file(labeled_mm)),
        )


def _definitions_mm() -> NDArray[np.float64]:
    """Offsets of the lab's definitions in the face frame; mirrored, none to a side on the midline.

    Of a landmark that stands out from the skin only what lies along the skin counts.
    """
    scheme = load_scheme()
    offsets = np.random.default_rng(FIRST_SEED).normal(scale=DEFINITION_MM, size=(len(scheme), 3))
    for row, other in enumerate(scheme.mirror):
        if other == row:
            offsets[row, 0] = 0.0
        elif other < row:
            offsets[row] = offsets[other] * [-1.0, 1.0, 1.0]
    return offsets


def _one_pass_mm() -> NDArray[np.float64]:
    """Standard deviation of the labels of one pass, along each axis of the skin."""
    apart_mm = np.array([each.intra_observer_mm or np.nan for each in load_scheme().landmarks])
    return np.asarray(apart_mm / (np.sqrt(2) * RAYLEIGH))


def _finetune(
    arguments: argparse.Namespace, people: Sequence[Annotated]
) -> tuple[list[Pair], list[Pair]]:
    """Fine-tune on folds of some people; return all of them before and after."""
    run = arguments.work / f"people-{len(people)}"
    cohort = run / "lab"
    cohort.mkdir(parents=True, exist_ok=True)
    for person in people:
        link = cohort / f"{person.name}.ply"
        if not link.exists():
            link.hardlink_to(arguments.work / "lab" / link.name)
    scheme = load_scheme()
    labels = (
        place_truth(person.labeled_mm, scheme, person.name, mm_per_unit=1.0, space="LPS")
        for person in people
    )
    write_specimens(labels, cohort / LABELS_FILE, overwrite=True)
    rows = [f"{person.name},{person.person}\n" for person in people]
    (cohort / "people.csv").write_text("specimen,person\n" + "".join(rows), encoding="utf-8")
    limits = Limits(arguments.folds, n_points=0, n_epochs=None, n_steps=None)
    protocol = make_protocol("finetune", limits, len(people), arguments.model)
    training = Training(cohort, protocol, run / "folds", float("inf"), arguments.jobs, False)
    in_new_process(run_training, training)
    names = [person.name for person in people]
    _, before = place_by_atlas_and_model(
        read_data_set(cohort), names, arguments.model, run / "folds" / "faces", jobs=arguments.jobs
    )
    return before, read_pairs(run / "folds")


def _labels(people: Sequence[Annotated]) -> NDArray[np.float64]:
    """Distances of the labels from the definitions, and from themselves: (2, n)."""
    off_mm = np.concatenate([_distance(each.labeled_mm, each.defined_mm) for each in people])
    return np.stack([off_mm, np.full_like(off_mm, np.nan)])


def _errors(pairs: Sequence[Pair], people: Sequence[Annotated]) -> NDArray[np.float64]:
    """Distances of what was placed from the definitions, and from the labels: (2, n)."""
    by_name = {person.name: person for person in people}
    found = [(pair.predicted.positions_mm, by_name[pair.specimen]) for pair in pairs]
    to_both = [
        np.concatenate([_distance(placed, person.defined_mm) for placed, person in found]),
        np.concatenate([_distance(placed, person.labeled_mm) for placed, person in found]),
    ]
    return np.stack(to_both)


def _distance(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distances of landmarks that both have."""
    apart = np.linalg.norm(one - other, axis=1)
    return np.asarray(apart[~np.isnan(other[:, 0])])


def _rows(
    before: Sequence[Pair],
    after: Sequence[Pair],
    people: Sequence[Annotated],
    size: int,
    n_folds: int,
) -> list[tuple[Any, ...]]:
    """Compare on the same people: those tested, as an outlier of a cohort is in no fold."""
    names = {pair.specimen for pair in after}
    tested = [person for person in people if person.name in names]
    compared = [pair for pair in before if pair.specimen in names]
    n_trained, n_tested = size * (n_folds - 1) // n_folds, len(tested)
    return [
        ("shipped model", "-", n_tested, *_summarize(_errors(compared, people))),
        ("one pass of a person: the labels", "-", n_tested, *_summarize(_labels(tested))),
        ("fine-tuned, on others", n_trained, n_tested, *_summarize(_errors(after, people))),
    ]


def _summarize(errors_mm: NDArray[np.float64]) -> tuple[Any, ...]:
    """Summarize the errors of a row."""
    defined, labeled = errors_mm
    within = 100 * float(np.mean(defined < 2))
    middle, far = np.quantile(defined, [0.5, 0.95])
    mean_of_labels = "-" if np.isnan(labeled).all() else float(labeled.mean())
    return float(defined.mean()), float(middle), float(far), within, mean_of_labels


if __name__ == "__main__":
    main()
