# SPDX-License-Identifier: Apache-2.0
"""Scans for the benchmarks: held-out generated people, and the real scans."""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.spatial.transform import Rotation

from palnet.errors import ModelFileError
from palnet.model import read_model
from palnet.scheme import load_scheme
from palnet.surface import Mesh, read_mesh
from palnet.surface._units import MM_PER_UNIT
from palnet.synthesis import EVERY_PRESET, PRESETS, ScanGenerator, read_morphable_model

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from palnet.synthesis import GeneratedScan

__all__ = [
    "Placement",
    "PosesTask",
    "RealScan",
    "Task",
    "add_common_options",
    "add_people_options",
    "cut_to_face",
    "draw_placement",
    "generator_of",
    "place_mesh",
    "read_real_scans",
    "settings_of",
    "tasks_in_poses",
    "tasks_in_turn",
]

# Seeds from here on are test people, never used for training, tuning or calibration.
FIRST_TEST_SEED = 3_000_000
MAX_SHIFT_MM = 1000.0


def add_common_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that most benchmarks share."""
    shared = os.environ.get("PALNET_SHARED")
    folder = Path(shared) / "data" if shared else Path("data")
    parser.add_argument("--model", type=_model, help="name or path of a model [the shipped one]")
    ict = folder / "ict_facekit/ict_facekit_light.npz"
    parser.add_argument("--ict", type=Path, default=ict, help="ICT-FaceKit, packed [%(default)s]")
    parser.add_argument("--output", type=Path, help="JSON file [benchmarks/results/NAME.json]")
    real = folder / "real_scans"
    parser.add_argument("--real", type=Path, default=real, help="real scans [%(default)s]")


def add_people_options(
    parser: argparse.ArgumentParser,
    *,
    people: int,
    first_seed: int = FIRST_TEST_SEED,
    jobs: int = 2,
    needs_heads: bool = False,
) -> None:
    """Add the options of a benchmark on generated people, with these defaults."""
    add = parser.add_argument
    add("--people", type=int, default=people, help="[%(default)s]")
    add("--first-seed", type=int, default=first_seed, help="[%(default)s]")
    add("--jobs", type=int, default=jobs, help="processes [%(default)s]")
    heads = "of anny, for every other person: the file of benchmarks.make_anny_heads"
    add("--heads", type=Path, required=needs_heads, help=heads)


def _model(name_or_path: str) -> str:
    """Check that a model can be read; a detection without one counts like a refused scan."""
    try:
        read_model(name_or_path)
    except ModelFileError as err:
        raise argparse.ArgumentTypeError(str(err)) from err
    return name_or_path


def settings_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the given options, without local folders."""
    return {
        name: value.name if isinstance(value, Path) else value
        for name, value in vars(arguments).items()
        if name != "output"
    }


@lru_cache(maxsize=2)
def generator_of(path: Path, presets: tuple[str, ...] = tuple(PRESETS)) -> ScanGenerator:
    """Return the scan generator of a packed source, read once per process."""
    model = read_morphable_model(path, load_scheme())
    return ScanGenerator(model, tuple(EVERY_PRESET[name] for name in presets))


@dataclass(frozen=True)
class Task:
    """A generated person: seed, name and file of the source, presets; and the model to use."""

    seed: int
    source: str
    path: Path
    model: str | None
    presets: tuple[str, ...] = tuple(PRESETS)

    @property
    def name(self) -> str:
        """Name of the scan."""
        return f"{self.seed} {self.source}"

    def draw(self) -> GeneratedScan:
        """Draw the scan."""
        return generator_of(self.path, self.presets).draw(self.seed)


def tasks_in_turn(
    arguments: argparse.Namespace, presets: tuple[str, ...] = tuple(PRESETS)
) -> list[Task]:
    """List the requested people, from each source in turn."""
    sources = [("ICT-FaceKit", arguments.ict)]
    if arguments.heads:
        sources.append(("anny", arguments.heads))
    return [
        Task(arguments.first_seed + k, *sources[k % len(sources)], arguments.model, presets)
        for k in range(arguments.people)
    ]


@dataclass(frozen=True, eq=False)
class PosesTask:
    """One scan in many poses: a real one, or a person who is drawn where it is measured."""

    scan: Mesh | Task
    seed: int
    n_poses: int
    model: str | None

    @property
    def name(self) -> str:
        """Name of the scan."""
        return self.scan.name


def tasks_in_poses(arguments: argparse.Namespace, real: list[Mesh]) -> list[PosesTask]:
    """List the real scans and the requested people."""
    rest = (arguments.poses, arguments.model)
    people = tasks_in_turn(arguments)
    return [
        *(PosesTask(mesh, number, *rest) for number, mesh in enumerate(real)),
        *(PosesTask(person, person.seed, *rest) for person in people),
    ]


@dataclass(frozen=True, eq=False)
class RealScan:
    """A real scan in millimetres, with the few points that its source provides."""

    name: str
    mesh: Mesh
    points_mm: dict[str, NDArray[np.float64]]
    grades: dict[str, str]


def read_real_scans(folder: Path) -> list[RealScan]:
    """Read ``<folder>/*/mesh.ply`` with its ``scan.json``."""
    scans = []
    for description in sorted(folder.glob("*/scan.json")):
        about = json.loads(description.read_text(encoding="utf-8"))
        factor = float(about["unit_to_mm"])
        mesh = read_mesh(description.with_name("mesh.ply"))
        points = {c: factor * np.array(p["position"]) for c, p in about["points"].items()}
        grades = {code: point["grade"] for code, point in about["points"].items()}
        in_mm = Mesh(mesh.points * factor, mesh.triangles, name=about["name"])
        scans.append(RealScan(about["name"], in_mm, points, grades))
    if not scans:
        msg = f"{folder}: no scans (*/scan.json). Give the folder by --real or PALNET_SHARED."
        raise SystemExit(msg)
    return scans


def cut_to_face(mesh: Mesh, landmarks_mm: NDArray[np.floating], share: float) -> Mesh:
    """Crop to a share of the face height (nasion to gnathion) about subnasale."""
    nasion, subnasale, gnathion = (
        landmarks_mm[load_scheme().index_of(code)] for code in ("n", "sn", "gn")
    )
    radius_mm = share * np.linalg.norm(nasion - gnathion)
    is_near = np.linalg.norm(mesh.points - subnasale, axis=1) < radius_mm
    kept = mesh.triangles[is_near[mesh.triangles].all(axis=1)]
    return Mesh(mesh.points, kept, name=mesh.name)


@dataclass(frozen=True, eq=False)
class Placement:
    """How a scan is written to a file: rotation, translation and unit."""

    rotation: NDArray[np.float64]
    shift_mm: NDArray[np.float64]
    unit: str

    @property
    def mm_per_unit(self) -> float:
        """Millimetres in one unit of the file."""
        return MM_PER_UNIT[self.unit]

    @property
    def placed_from_scan(self) -> NDArray[np.float64]:
        """The rigid transform as a matrix (4, 4) on millimetres."""
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = self.rotation, self.shift_mm
        return matrix

    def to_file(self, points_mm: NDArray[np.floating]) -> NDArray[np.float64]:
        """Convert scan millimetres to file coordinates."""
        return np.asarray((points_mm @ self.rotation.T + self.shift_mm) / self.mm_per_unit)

    def from_file(self, positions: NDArray[np.floating]) -> NDArray[np.float64]:
        """Convert file coordinates to scan millimetres."""
        return np.asarray((positions * self.mm_per_unit - self.shift_mm) @ self.rotation)


def draw_placement(rng: np.random.Generator, unit: str | None = None) -> Placement:
    """Draw a uniform rotation, a shift of up to a metre, and one of the five units."""
    rotation = Rotation.from_quat(rng.normal(size=4)).as_matrix()
    direction = rng.normal(size=3)
    shift = direction / np.linalg.norm(direction) * rng.uniform(0, MAX_SHIFT_MM)
    return Placement(rotation, shift, unit or str(rng.choice(list(MM_PER_UNIT))))


def place_mesh(mesh: Mesh, placement: Placement) -> Mesh:
    """Return the mesh as a file would hold it."""
    return Mesh(placement.to_file(mesh.points), mesh.triangles, name=mesh.name)
