# SPDX-License-Identifier: Apache-2.0
"""`palnet measure`: landmarks in, one table for all and one page a specimen out."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from palnet.commands._landmark_files import add_reading_options, find_landmark_files, read_all

if TYPE_CHECKING:
    from palnet.landmarks import LandmarkSet
    from palnet.measurement import Measurement, MeasurementPlan
    from palnet.surface import Mesh

__all__ = ["add_parser", "measure"]

TABLE_NAME = "measurements.csv"

_EPILOG = """\
It writes DIR/measurements.csv, a row a specimen and measurement, and DIR/<name>.html, a page a
specimen that prints well. Arcs along the skin need the scan: the mesh file that lies beside the
landmark file under the same name is taken, or those given with --scan. Exit code 0: all done; 1:
some files could not be used, one line each on stderr, the others measured; 2: wrong usage.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand.

    Parameters
    ----------
    subparsers : argparse subparsers
        Where to add it.
    """
    parser = subparsers.add_parser(
        "measure",
        help="distances, angles, indices, arcs and asymmetry",
        description="Take distances, angles, indices, arcs and asymmetry from landmark files, "
        "each with its expected error.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("landmarks", nargs="+", type=Path, metavar="FILE_OR_FOLDER", help="landmark files")
    add("--scan", action="append", type=Path, default=[], metavar="PATH", help=_SCAN_HELP)
    add("-o", "--output", type=Path, default=Path("palnet-measurements"), metavar="DIR",
        help="folder for the files [%(default)s]")  # fmt: skip
    add("--plan", metavar="JSON", help="what to measure [the plan of the landmark scheme]")
    add("--no-pages", action="store_true", help="write the table only")
    add_reading_options(parser)
    add("--overwrite", action="store_true", help="replace existing files")
    parser.set_defaults(run=measure)


_SCAN_HELP = "mesh file, or folder of mesh files named like the landmark files; may be repeated"


def measure(arguments: argparse.Namespace) -> int:
    """Run the subcommand.

    Parameters
    ----------
    arguments : argparse.Namespace
        Parsed arguments.

    Returns
    -------
    int
        Exit code.
    """
    from palnet._files import check_free, write_text
    from palnet.measurement import table_of_measurements

    files = find_landmark_files(arguments.landmarks)
    pages = _page_files(files, arguments.output)
    wanted = [] if arguments.no_pages else list(pages.values())
    for path in (arguments.output / TABLE_NAME, *wanted):
        check_free(path, overwrite=arguments.overwrite)
    scans = _Scans(arguments.scan, n_files=len(files))
    done: list[tuple[str, tuple[Measurement, ...]]] = []
    for path, landmarks in read_all(files, arguments):
        if landmarks is None:
            continue
        page = None if arguments.no_pages else pages[path]
        done.append((landmarks.specimen, _measure_one(landmarks, scans.of(path), page, arguments)))
        taken = sum(entry.is_measured for entry in done[-1][1])
        print(f"{path.name}: {taken} of {len(done[-1][1])} measurements", flush=True)
    if done:
        text = table_of_measurements(done)
        write_text(arguments.output / TABLE_NAME, text, overwrite=arguments.overwrite)
        print(f"{len(done)} of {len(files)} specimens: {arguments.output / TABLE_NAME}")
    return 0 if len(done) == len(files) else 1


def _measure_one(
    landmarks: LandmarkSet, scan: Path | None, page: Path | None, arguments: argparse.Namespace
) -> tuple[Measurement, ...]:
    from palnet._files import write_text
    from palnet.measurement import load_measurement_plan, measure, page_of_measurements

    plan: MeasurementPlan = load_measurement_plan(arguments.plan or landmarks.scheme.name)
    mesh, why = _read_scan(scan, landmarks)
    taken = measure(landmarks, mesh, plan)
    if page is not None:
        picture = why if mesh is None else _picture(mesh, landmarks)
        text = page_of_measurements(landmarks, taken, plan.sources, picture)
        write_text(page, text, overwrite=arguments.overwrite)
    return taken


def _read_scan(scan: Path | None, landmarks: LandmarkSet) -> tuple[Mesh | None, str]:
    """Read the scan in the landmarks' numbers; one that does not fit them is left out, said so."""
    from palnet.errors import PalnetError
    from palnet.measurement import match_scan
    from palnet.surface import read_mesh

    if scan is None:
        return None, "No picture: the scan was not given."
    try:
        return match_scan(read_mesh(scan), landmarks), ""
    except PalnetError as err:
        print(f"palnet: {scan.name}: measured without arcs: {err}", file=sys.stderr)
        return None, f"No picture: {err}"


def _picture(mesh: Mesh, landmarks: LandmarkSet) -> bytes | str:
    """Draw the scan, or say why that failed."""
    import tempfile
    from dataclasses import dataclass

    from palnet._page import atlas_of, face_from_landmarks
    from palnet.errors import PreviewError
    from palnet.preview import render_preview

    atlas = atlas_of(landmarks.scheme)
    if atlas is None or landmarks.is_placed.sum() < 3:
        return "No picture: which way this face looks is not known for its landmark scheme."

    @dataclass(frozen=True)
    class Scene:
        landmarks: LandmarkSet
        face_from_scan: object

    pose = face_from_landmarks(landmarks.positions_mm, atlas, with_scale=True)
    with tempfile.TemporaryDirectory(prefix="palnet-") as folder:
        path = Path(folder) / "scan.png"
        try:
            render_preview(mesh, Scene(landmarks, pose), path)  # type: ignore[arg-type]  # alike
        except PreviewError as err:
            return f"No picture: {err}"
        return path.read_bytes()


def _page_files(files: list[Path], folder: Path) -> dict[Path, Path]:
    """Name the page of each landmark file; two of one name would write over each other."""
    from palnet.errors import UsageError

    pages = {path: folder / f"{_stem(path)}.html" for path in files}
    taken: dict[Path, Path] = {}
    for path, page in pages.items():
        if page in taken:
            msg = (
                f"{taken[page]} and {path} would both give {page}. "
                "Measure them into different folders with -o."
            )
            raise UsageError(msg)
        taken[page] = path
    return pages


def _stem(path: Path) -> str:
    """Give the name without the ending of its format, which may have two dots."""
    from palnet.exchange import FORMATS

    for entry in FORMATS.values():
        if path.name.lower().endswith(entry.suffix):
            return path.name[: -len(entry.suffix)]
    return path.stem


class _Scans:
    """Finds the scan of a landmark file by its name."""

    def __init__(self, paths: list[Path], *, n_files: int) -> None:
        from palnet.errors import UsageError

        self._files = [path for path in paths if not path.is_dir()]
        self._folders = [path for path in paths if path.is_dir()]
        self._is_single = n_files == 1 and len(paths) == 1 and len(self._files) == 1
        absent = [str(path) for path in self._files if not path.is_file()]
        if absent:
            msg = f"--scan {', '.join(absent)}: there is no such file or folder. Check the path."
            raise UsageError(msg)

    def of(self, landmark_file: Path) -> Path | None:
        """Give the scan of a landmark file, None if there is none of its name."""
        from palnet.surface import MESH_SUFFIXES

        if self._is_single:  # whatever its name
            return self._files[0]
        stem = _stem(landmark_file)
        for path in self._files:
            if path.stem == stem:
                return path
        for folder in (*self._folders, landmark_file.parent):
            for suffix in sorted(MESH_SUFFIXES):
                if (folder / f"{stem}{suffix}").is_file():
                    return folder / f"{stem}{suffix}"
        return None
