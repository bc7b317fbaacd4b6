# SPDX-License-Identifier: Apache-2.0
"""Folder layouts of data sets: LAFAS, FaceScape, and meshes with landmark files beside them."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from palnet._caught import catching
from palnet._stored import listing, unpack_arrays
from palnet.data_sets.dataset import (
    AnnotatedScan,
    DataSet,
    Problem,
    is_people_file,
    name_people,
    specimen_of,
)
from palnet.data_sets.files import is_mesh, list_files
from palnet.errors import FormatError, UsageError
from palnet.exchange import (
    FORMATS,
    FormatWarning,
    begins_as_lafas,
    find_format,
    is_other_table,
    read_specimens,
    stem_of,
)
from palnet.landmarks import printable_name
from palnet.scheme import DEFAULT_SCHEME, Scheme, load_scheme

if TYPE_CHECKING:
    import os

    from palnet.landmarks import LandmarkSet

__all__ = ["read_data_set"]

MATRIX_FILE = "transformation_matrix.npy"
INDICES_FILE, INDICES_KEY = "landmark_indices.npz", "v10"
FACESCAPE_SCHEME = "ibug68"
NEUTRAL_ENDING = "_neutral.obj"
_ENDINGS = tuple(entry.suffix for entry in FORMATS.values())
_HEAD_CHARACTERS = 4096
# Formats round coordinates differently, by at most this.
SAME_MM = 0.01
# Number of files that a message lists; if there are more, the last entry gives their number.
MOST_NAMED = 5


def read_data_set(
    folder: str | os.PathLike[str], scheme: str | os.PathLike[str] | Scheme | None = None
) -> DataSet:
    """Find the scans of a data set and read their landmarks; meshes are read later.

    ``*_neutral.obj`` below a folder with ``landmark_indices.npz`` is FaceScape; a subfolder with an
    OBJ and a ``.txt`` of rows ``name<TAB>(x,y,z)`` is a subject of LAFAS; anything else is read as
    meshes with landmark files in any format of `palnet.exchange`, either beside each mesh and
    named like it, or one file for many.

    Parameters
    ----------
    folder : str or path
        The folder.
    scheme : str, path or Scheme, optional
        The landmark scheme, or its name or file; ``palnet50`` by default, and for FaceScape its
        68 points.

    Returns
    -------
    DataSet
        The scans, and the problems with the others.

    Raises
    ------
    UsageError
        If the folder does not exist, or is FaceScape and the scheme has other landmarks.
    """
    folder = Path(folder)
    if not folder.is_dir():
        msg = f"{folder}: is not a folder. Name the folder that holds the scans."
        raise UsageError(msg)
    files, unreadable = list_files(folder)
    if (folder / INDICES_FILE).exists():
        layout, known = "facescape", _facescape_scheme(folder, scheme)
        scans, problems = _read_facescape(folder, files)
    else:
        known = scheme if isinstance(scheme, Scheme) else load_scheme(scheme or DEFAULT_SCHEME)
        layout, scans, problems = _read_subjects_and_others(folder, files, known)
    scans, doubts = name_people(sorted(scans, key=lambda scan: scan.specimen), folder, files)
    return DataSet(layout, known, tuple(scans), (*unreadable, *problems, *doubts))


Found = tuple[list[AnnotatedScan], list[Problem]]
# The files directly in each folder.
Folders = dict["Path", list["Path"]]


def _facescape_scheme(folder: Path, scheme: str | os.PathLike[str] | Scheme | None) -> Scheme:
    """Return the scheme of FaceScape's points; refuse another one, rather than ignore it."""
    own = load_scheme(FACESCAPE_SCHEME)
    given = scheme if isinstance(scheme, Scheme) else load_scheme(scheme or FACESCAPE_SCHEME)
    if given.codes != own.codes:
        msg = (
            f"{folder}: has the {len(own)} landmarks of scheme '{own.name}', as FaceScape has; got "
            f"scheme '{given.name}'. Leave --scheme out, and train a model of these landmarks: "
            "palnet crossvalidate --recipe improved."
        )
        raise UsageError(msg)
    return given


def _read_facescape(folder: Path, files: list[Path]) -> Found:
    """Read every neutral mesh; the landmark vertices are the same in all."""
    try:
        vertices = unpack_arrays((folder / INDICES_FILE).read_bytes(), only=INDICES_KEY)[
            INDICES_KEY
        ]
        if vertices.shape != (68,) or vertices.dtype.kind not in "iu" or vertices.min() < 0:
            text = f"must hold 68 vertex numbers as {INDICES_KEY!r}; got shape {vertices.shape}."
            return [], [Problem("bad_indices", INDICES_FILE, text)]
    except (OSError, ValueError, KeyError) as err:
        text = f"cannot be read as 68 vertex numbers under {INDICES_KEY!r} ({err})."
        return [], [Problem("bad_indices", INDICES_FILE, text)]
    named = []
    for path in files:
        if not path.name.lower().endswith(NEUTRAL_ENDING):
            continue
        parts = [part for part in path.relative_to(folder).parts[:-1] if part != "models_reg"]
        person = parts[-1] if parts else path.name[: -len(NEUTRAL_ENDING)]
        named.append((printable_name(person), path))
    rows = tuple(vertices.tolist())
    scans, problems = [], []
    for person, paths in _by_name(named).items():
        if len(paths) > 1:
            problems.append(_repeated(person, paths))
        else:
            scans.append(AnnotatedScan(person, person, paths[0], None, rows))
    return scans, problems


def _read_subjects_and_others(
    folder: Path, files: list[Path], scheme: Scheme
) -> tuple[str, list[AnnotatedScan], list[Problem]]:
    """Read the subjects of LAFAS, and everything else as meshes with landmark files."""
    inside: dict[Path, list[Path]] = defaultdict(list)
    for path in files:
        inside[path.parent].append(path)
    subfolders = {path: found for path, found in inside.items() if path.parent == folder}
    subjects = {path: found for path, found in subfolders.items() if _has_lafas_rows(found)}
    alike = {p: found for p, found in subfolders.items() if p in subjects or _is_like_lafas(found)}
    lacking = _find_lacking(subfolders, subjects, files)
    is_lafas = subjects and not any(
        path.parent not in alike and path.parent not in lacking and is_mesh(path) for path in files
    )
    if is_lafas:  # rows that cannot be read are reported as such
        scans, problems = _read_lafas(alike, scheme)
        return "lafas", scans, [*problems, *lacking.values()]
    others = [p for p in files if p.parent not in subjects and p.parent not in lacking]
    parts = _read_lafas(subjects, scheme), _read_plain(others, scheme)
    scans = [scan for found, _ in parts for scan in found]
    by_name = _by_name([(scan.specimen, scan.mesh_path) for scan in scans])
    repeated = [_repeated(name, paths) for name, paths in by_name.items() if len(paths) > 1]
    scans = [scan for scan in scans if len(by_name.get(scan.specimen, ())) == 1]
    return "plain", scans, [*parts[0][1], *parts[1][1], *lacking.values(), *repeated]


def _has_lafas_rows(files: list[Path]) -> bool:
    """Whether there is an OBJ and a text file that begins with a LAFAS row."""
    return bool(_ending(files, ".obj")) and bool(_lafas_texts(files))


def _lafas_texts(files: list[Path]) -> list[Path]:
    return [text for text in _ending(files, ".txt") if begins_as_lafas(_head(text))]


def _find_lacking(subfolders: Folders, subjects: Folders, files: list[Path]) -> dict[Path, Problem]:
    """Find incomplete LAFAS subjects among complete ones."""
    if not subjects:
        return {}
    meshes = {path.stem.lower() for found in subjects.values() for path in _ending(found, ".obj")}
    elsewhere = [path for path in files if path.parent not in subjects and _is_table(path)]
    # One table may hold the landmarks of all meshes without their own file.
    has_table = not all(is_other_table(path) for path in elsewhere)
    lacking = {}
    for folder, found in subfolders.items():
        name, texts = printable_name(folder.name), _lafas_texts(found)
        if texts and folder not in subjects:
            text = f"{texts[0].name} has no .obj beside it. Add the mesh, or delete the text file."
            lacking[folder] = Problem("no_mesh", name, text)
        only = [path for path in found if is_mesh(path) or _is_table(path)]
        is_lone = len(only) == len(_ending(only, ".obj")) == 1 and not _ending(found, ".txt")
        if is_lone and (not has_table or only[0].stem.lower() in meshes):
            text = f"{only[0].name} has no .txt of landmarks beside it. Add it, or ignore this."
            lacking[folder] = Problem("no_landmarks", name, text)
    return lacking


def _head(path: Path) -> str:
    """Read the beginning of a file of any kind and length; empty if it cannot be read."""
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as stream:
            return stream.read(_HEAD_CHARACTERS)
    except OSError:
        return ""


def _is_like_lafas(files: list[Path]) -> bool:
    """Whether a folder holds an OBJ and a text file, and no landmark file named like the mesh."""
    names = {mesh.stem for mesh in _ending(files, ".obj")}
    tables = [path for path in files if path.name.lower().endswith(_ENDINGS)]
    is_marked = any(stem_of(table) in names for table in tables)
    return bool(names) and bool(_ending(files, ".txt")) and not is_marked


def _ending(files: list[Path], suffix: str) -> list[Path]:
    """Files with a suffix, ignoring case on every system."""
    return [path for path in files if path.suffix.lower() == suffix]


def _is_table(path: Path) -> bool:
    """Whether a file name is that of a landmark file."""
    return path.name.lower().endswith(_ENDINGS) and not is_people_file(path)


def _read_lafas(subjects: Folders, scheme: Scheme) -> Found:
    """Read one folder per subject: mesh, landmarks in LAFAS order, and optionally a matrix."""
    scans: list[AnnotatedScan] = []
    problems: list[Problem] = []
    for subject, files in subjects.items():
        name = printable_name(subject.name)
        meshes, texts = _ending(files, ".obj"), _ending(files, ".txt")
        if len(meshes) > 1 or len(texts) > 1:
            names = ", ".join(str(path) for path in (*meshes, *texts))
            text = f"expected one .obj and one .txt; got {names}. Move the others away."
            problems.append(Problem("ambiguous_files", name, text))
            continue
        found, more = _read_file(texts[0], scheme, format="lafas")
        problems += [Problem(p.kind, name, p.text) for p in more]
        matrix = subject / MATRIX_FILE
        for landmarks in found:
            scans.append(
                AnnotatedScan(
                    specimen=name,
                    person=name,
                    mesh_path=meshes[0],
                    landmarks=landmarks,
                    matrix_path=matrix if matrix.exists() else None,
                )
            )
    return scans, problems


def _read_plain(files: list[Path], scheme: Scheme) -> Found:
    """Read meshes, with landmark files beside them or for many at once."""
    meshes = [p for p in files if is_mesh(p)]
    tables = [p for p in files if _is_table(p)]
    stems = {(path.parent, printable_name(path.stem)) for path in meshes}
    names = {printable_name(path.stem) for path in meshes}
    found: dict[str, list[tuple[Path, LandmarkSet]]] = defaultdict(list)
    problems: list[Problem] = []
    for path in tables:
        stem = printable_name(stem_of(path))
        if stem not in names and is_other_table(path):
            text = f"{path.name} is left out: its first line names no coordinates."
            problems.append(Problem("other_table", "", text))
            continue
        sets, more = _read_file(path, scheme)
        problems += more
        for landmarks in sets:
            specimen = specimen_of(printable_name(landmarks.specimen), names)
            # A file renamed to match its mesh may still contain the old name.
            is_renamed = (path.parent, stem) in stems or (stem in names and specimen not in names)
            name = stem if len(sets) == 1 and is_renamed else specimen
            found[name].append((path, landmarks))
    scans, more = _match(meshes, found, {p.specimen for p in problems if p.kind == "bad_landmarks"})
    return scans, problems + more


def _match(
    meshes: list[Path], found: dict[str, list[tuple[Path, LandmarkSet]]], unreadable: set[str]
) -> Found:
    """Assign each mesh the landmarks of the same name."""
    scans: list[AnnotatedScan] = []
    problems: list[Problem] = []
    for name, paths in _by_name([(printable_name(path.stem), path) for path in meshes]).items():
        if len(paths) > 1:
            problems.append(_repeated(name, paths))
            for path in paths:
                found.pop(printable_name(path.stem), None)
            continue
        several = found.pop(name, [])
        several, passed_over = _fullest(several)
        problems += [Problem("passed_over", name, text) for text in passed_over]
        if len(several) > 1:
            names = ", ".join(str(file) for file, _ in several)
            text = f"has landmarks in {names}. Move all but one away."
            problems.append(Problem("ambiguous_files", name, text))
        elif several:
            matrix = paths[0].with_suffix(f".{MATRIX_FILE}")
            matrix_path = matrix if matrix.exists() else None
            scans.append(AnnotatedScan(name, name, paths[0], several[0][1], (), matrix_path))
        elif name not in unreadable:
            text = f"{paths[0].name} has no landmark file of its name."
            problems.append(Problem("no_landmarks", name, text))
    problems += [_meshless(name, [path for path, _ in found[name]]) for name in found]
    return scans, problems


def _meshless(name: str, paths: list[Path]) -> Problem:
    """Report landmark files of one name without a mesh of that name."""
    if len(paths) == 1:
        text = f"{paths[0].name} has landmarks, but there is no mesh of that name."
        return Problem("no_mesh", name, text)
    files = listing([str(path) for path in paths], MOST_NAMED)
    text = (
        f"{files} are landmark files of one name, but there is no mesh of that name. Name each "
        "file like its mesh."
    )
    return Problem("no_mesh", name, text)


def _fullest(
    several: list[tuple[Path, LandmarkSet]],
) -> tuple[list[tuple[Path, LandmarkSet]], list[str]]:
    """Among same-named files in one folder, keep the one whose format holds most.

    Of the files that a detection writes, that is the one users correct in Slicer. An annotation in
    another format is preferred to a detection that nobody reviewed. Differing positions are
    reported. Files of other names or folders are all kept, since it is unclear which one is meant.
    """
    order = list(FORMATS)
    kept: dict[Path, tuple[Path, LandmarkSet]] = {}
    lefts = []
    for path, landmarks in sorted(several, key=lambda e: order.index(find_format(e[0]).name)):
        key = path.parent / printable_name(stem_of(path))
        used, left = kept.setdefault(key, (path, landmarks)), (path, landmarks)
        place, other = (each.to_frame("LPS").positions for _, each in (used, left))
        if np.allclose(place, other, 0, SAME_MM, equal_nan=True):
            continue
        if used[1].is_unreviewed and not landmarks.is_unreviewed:
            kept[key], left = left, used
        lefts.append((key, left[0].name))
    return list(kept.values()), [
        f"{kept[key][0].name} is used; {name} beside it says something else." for key, name in lefts
    ]


def _read_file(
    path: Path, scheme: Scheme, format: str | None = None
) -> tuple[list[LandmarkSet], list[Problem]]:
    """Read strictly; if that fails, read what is certain and report the rest."""
    stem = printable_name(path.stem if format else stem_of(path))
    try:
        return read_specimens(path, scheme, format=format), []
    except FormatError as err:
        strict_text = str(err)
    try:
        with catching(FormatWarning, "always") as doubts:
            sets = read_specimens(path, scheme, format=format, strict=False)
    except FormatError:
        sets = []
    # The strict error is more informative; so it is than 50 doubts about landmarks of another
    # scheme, of which none is left.
    if not any(landmarks.is_placed.any() for landmarks in sets):
        return [], [Problem("bad_landmarks", stem, strict_text)]
    texts = [str(doubt.message) for doubt in doubts] or [strict_text]
    return sets, [Problem("doubtful_landmarks", stem, text) for text in texts]


def _by_name(named: list[tuple[str, Path]]) -> dict[str, list[Path]]:
    """Group by name ignoring case, as many file systems do, under the first spelling."""
    by_name: dict[str, list[Path]] = {}
    spelling: dict[str, str] = {}
    for name, path in named:
        by_name.setdefault(spelling.setdefault(name.casefold(), name), []).append(path)
    return by_name


def _repeated(name: str, paths: list[Path]) -> Problem:
    """Report a repeated name; predictions and folds are keyed by name, so it must be unique."""
    text = (
        f"{len(paths)} meshes have this name (capital letters do not matter): "
        f"{', '.join(map(str, paths))}. Rename all but one."
    )
    return Problem("repeated_name", name, text)
