# SPDX-License-Identifier: Apache-2.0
"""Plan a batch: which files each scan will produce."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from palnet._files import is_folder
from palnet.landmarks import printable_name
from palnet.surface import MESH_SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from palnet.landmarks import Frame

__all__ = [
    "MAX_DEPTH",
    "BatchOptions",
    "ScanJob",
    "name_with_folders",
    "plan_jobs",
    "tell_apart",
]

# Number of parent folders that a name may include.
MAX_DEPTH = 10
# For each scan, at most this many others that would write the same files are named.
_MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """What to do with every scan.

    Attributes
    ----------
    output : Path or None
        Folder for all files; None writes beside each scan.
    formats : tuple of str
        Names of landmark formats.
    frame : {"file", "LPS", "RAS"}
        Frame of the written landmarks.
    unit : str
        Unit of the scans, or "auto".
    model : str or None
        Name or path of a model; None takes the default one.
    preview : bool
        Whether to draw a picture of each scan.
    use_color : bool
        Whether the color of scans that have any is read.
    overwrite : bool
        Whether existing files may be replaced.
    resume : bool
        Whether scans finished by an earlier run are left as they are.
    """

    output: Path | None = None
    formats: tuple[str, ...] = ("mrk.json", "csv")
    frame: Frame = "file"
    unit: str = "auto"
    model: str | None = None
    preview: bool = False
    use_color: bool = True
    overwrite: bool = False
    resume: bool = False


@dataclass(frozen=True, slots=True)
class ScanJob:
    """One scan and the files it will produce.

    Attributes
    ----------
    scan : Path
        The mesh file.
    specimen : str
        Name of the specimen in the files: the file name in printable characters.
    landmark_files : tuple of Path
        One per format of the options.
    record_file : Path
        The ``.palnet.json``.
    preview_file : Path or None
        The picture, if requested.
    options : BatchOptions
        How to process the scan.
    obstacle : str
        Why the scan cannot be processed; empty if it can.
    """

    scan: Path
    specimen: str
    landmark_files: tuple[Path, ...]
    record_file: Path
    preview_file: Path | None
    options: BatchOptions
    obstacle: str = ""

    @property
    def files(self) -> tuple[Path, ...]:
        """All files that the job writes."""
        picture = () if self.preview_file is None else (self.preview_file,)
        return (*self.landmark_files, self.record_file, *picture)


def plan_jobs(scans: Sequence[Path], options: BatchOptions) -> list[ScanJob]:
    """Decide which files each scan will produce, before any work begins.

    Parameters
    ----------
    scans : sequence of Path
        Mesh files.
    options : BatchOptions
        How to process them.

    Returns
    -------
    list of ScanJob
        One per scan. Specimens of the same name in several folders are prefixed with as many folder
        names as tell them apart, and so are their files if all go into one folder. All scans that
        would still write the same files get an obstacle.
    """
    # A folder that cannot be listed writes no files, nor does what comes with a mesh, as textures.
    # By text, since Windows takes paths for equal that differ in upper and lower case.
    meshes = {str(scan): scan for scan in scans if _may_be_mesh(scan)}
    stems = [scan.stem for scan in meshes.values()]
    apart = dict(zip(meshes, tell_apart(list(meshes.values()), stems), strict=True))
    # Files in different folders may share a name; specimens in one table may not.
    specimens = [apart.get(str(scan), scan.stem) for scan in scans]
    names = specimens if options.output else [scan.stem for scan in scans]
    targets = [
        _targets(scan, name, options) if str(scan) in meshes else set()
        for scan, name in zip(scans, names, strict=True)
    ]
    writers = _writers(scans, targets)
    return [
        _plan_job(scan, name, specimen, _others(scan, files, writers), options)
        for scan, name, specimen, files in zip(scans, names, specimens, targets, strict=True)
    ]


def tell_apart(paths: Sequence[Path], names: Sequence[str]) -> list[str]:
    """Prefix names that occur more than once with the names of their folders.

    Names are alike if some file system takes them for one: many ignore case, and accents are
    encoded in two ways.

    Parameters
    ----------
    paths : sequence of Path
        Absolute paths.
    names : sequence of str
        The name of each file.

    Returns
    -------
    list of str
        The names, with as many folders as needed, up to `MAX_DEPTH`.
    """
    apart = list(names)
    for depth in range(1, MAX_DEPTH + 1):
        times = Counter(map(_key, apart))
        apart = [
            "_".join((*_folders(path, depth), own)) if times[_key(name)] > 1 else name
            for name, path, own in zip(apart, paths, names, strict=True)
        ]
    return apart


def _key(name: str) -> str:
    return printable_name(name).casefold()


def name_with_folders(scan: Path, depth: int) -> str:
    """Prefix the name of a scan with those of its folders, without drive or root.

    Parameters
    ----------
    scan : Path
        The mesh file, as an absolute path.
    depth : int
        Number of folders.

    Returns
    -------
    str
        Joined by underscores: the scan's name if another scan has the same one.
    """
    return "_".join((*_folders(scan, depth), scan.stem))


def _folders(path: Path, depth: int) -> tuple[str, ...]:
    return path.parent.relative_to(path.anchor).parts[-depth:]


def _files_of(scan: Path, name: str, options: BatchOptions) -> tuple[list[Path], Path, Path | None]:
    """Return the landmark files, record and picture of a scan."""
    from palnet.exchange import get_format

    folder = (options.output or scan.parent).absolute()
    return (
        [folder / f"{name}{get_format(form).suffix}" for form in options.formats],
        folder / f"{name}.palnet.json",
        folder / f"{name}.palnet.png" if options.preview else None,
    )


def _targets(scan: Path, name: str, options: BatchOptions) -> set[str]:
    """Return the keys of the files that two scans must not share."""
    landmark_files, record, _ = _files_of(scan, name, options)
    return {_key(str(path)) for path in (*landmark_files, record)}


def _may_be_mesh(scan: Path) -> bool:
    """Whether a path is that of a file called like a mesh; others are refused as unreadable."""
    return scan.suffix.lower() in MESH_SUFFIXES and not is_folder(scan)


def _writers(scans: Sequence[Path], targets: Sequence[set[str]]) -> dict[str, list[Path]]:
    """List the scans that would write each file."""
    writers: dict[str, list[Path]] = defaultdict(list)
    for scan, files in zip(scans, targets, strict=True):
        for file in files:
            writers[file].append(scan)
    return writers


def _others(scan: Path, files: set[str], writers: dict[str, list[Path]]) -> list[Path]:
    """Some of the other scans that would write one of the files; nobody reads thousands."""
    most = _MOST_NAMED + 2  # the scan itself, and one more to know that there are others
    return sorted({other for file in files for other in writers[file][:most]} - {scan})


def _plan_job(
    scan: Path, name: str, specimen: str, others: list[Path], options: BatchOptions
) -> ScanJob:
    landmark_files, record, preview = _files_of(scan, name, options)
    return ScanJob(
        scan=scan,
        specimen=printable_name(specimen),
        landmark_files=tuple(landmark_files),
        record_file=record,
        preview_file=preview,
        options=options,
        obstacle=_obstacle(landmark_files, others, options),
    )


def _obstacle(landmark_files: list[Path], others: list[Path], options: BatchOptions) -> str:
    """Say why a scan's files cannot be written, to complete a sentence; empty if they can."""
    from palnet.exchange import find_format

    if others:
        names = ", ".join(map(str, others[:_MOST_NAMED]))
        names += " and others" if len(others) > _MOST_NAMED else ""
        remedy = "Rename one, or run them one by one, each into a folder of its own (-o)."
        return f"would write the same files as {names}. {remedy}"
    for file, form in zip(landmark_files, options.formats, strict=True):
        read_as = find_format(file).name
        if read_as != form:
            return f"would write {file.name}, which is read as {read_as}, not {form}. Rename it."
    return ""
