# SPDX-License-Identifier: Apache-2.0
"""Annotated scans in a folder: which files belong together, whose they are, and their problems."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

from palnet._plausible import doubt_size, measure_oddness
from palnet.errors import (
    FormatError,
    MeshError,
    PalnetError,
    TrainingError,
    UsageError,
)
from palnet.exchange import FORMATS, stem_of
from palnet.exchange._rows import find_delimiter, first_line, split_rows
from palnet.exchange._text import read_file_text
from palnet.landmarks import LandmarkSet, printable_name
from palnet.surface import MESH_SUFFIXES, plausible_units, read_mesh

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from palnet.landmarks import Space
    from palnet.scheme import Scheme
    from palnet.surface import Mesh, Unit

__all__ = [
    "AnnotatedScan",
    "DataSet",
    "Problem",
    "is_people_file",
    "load_annotated",
    "load_scan",
    "name_people",
    "place_truth",
    "say_refusal",
    "specimen_of",
]

PEOPLE_FILE = "people.csv"
_ENDINGS = (*MESH_SUFFIXES, *(entry.suffix for entry in FORMATS.values()))
# What parts a person from a visit in a name, such as P01_a.
_SEPARATOR = re.compile(r"[ _.-]+")
_WORD = re.compile(r"\d+|[^\W\d_]+")
# Larger groups of like names or of one folder are sites or series.
_MOST_VISITS = 6
# Problems that exclude a scan from the data set.
_LEFT_OUT = (
    *("unreadable", "bad_landmarks", "ambiguous_files", "repeated_name"),
    *("no_landmarks", "no_mesh"),
)


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem found in a data set.

    Attributes
    ----------
    kind : str
        One of `palnet.data_sets.checking.KINDS`.
    specimen : str
        The scan or file concerned; empty for the whole data set.
    text : str
        What was found and what to do.
    codes : tuple of str
        The landmarks concerned; empty for all, or none.
    """

    kind: str
    specimen: str
    text: str
    codes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False, slots=True)
class AnnotatedScan:
    """A scan and its landmarks, not yet loaded.

    Attributes
    ----------
    specimen : str
        Name, unique in the data set.
    person : str
        Person scanned.
    mesh_path : Path
        The mesh.
    landmarks : LandmarkSet or None
        As read; None if given as vertices of the mesh.
    vertices : tuple of int
        The vertex of each landmark, if given as vertices.
    matrix_path : Path or None
        File with the 4 x 4 matrix from the scan, in millimetres, to the common frame.
    """

    specimen: str
    person: str
    mesh_path: Path
    landmarks: LandmarkSet | None
    vertices: tuple[int, ...] = ()
    matrix_path: Path | None = None


@dataclass(frozen=True, eq=False, slots=True)
class DataSet:
    """The data set found in a folder.

    Attributes
    ----------
    layout : str
        "lafas", "facescape" or "plain".
    scheme : Scheme
        Landmark scheme.
    scans : tuple of AnnotatedScan
        Sorted by name.
    problems : tuple of Problem
        Problems found while reading; scans with such problems are left out.
    """

    layout: str
    scheme: Scheme
    scans: tuple[AnnotatedScan, ...]
    problems: tuple[Problem, ...]

    @property
    def left_out(self) -> list[str]:
        """One line per scan of the folder that is not in `scans`, with the reason."""
        names = {scan.specimen for scan in self.scans}
        problems = [each for each in self.problems if each.kind in _LEFT_OUT]
        known = names | {each.specimen for each in problems}
        why: dict[str, list[str]] = {}
        for problem in problems:
            # A file that cannot be read has its own name; its scan may be told for lack of it.
            stem = stem_of(Path(problem.specimen))
            name = stem if problem.kind == "unreadable" and stem in known else problem.specimen
            if name not in names:
                why.setdefault(name, []).append(problem.text)
        return [f"{specimen}: {' '.join(texts)}" for specimen, texts in why.items()]


def load_scan(scan: AnnotatedScan, scheme: Scheme) -> tuple[Mesh, Unit, LandmarkSet]:
    """Read the mesh and convert the landmarks to its file coordinates.

    Convention: landmarks in the frame "file" are in the coordinates and unit of the mesh file; the
    unit is inferred from the extent of mesh and landmarks. Those in LPS or RAS are in millimetres
    along the axes that the mesh declares.

    Parameters
    ----------
    scan : AnnotatedScan
        The scan.
    scheme : Scheme
        Landmark scheme.

    Returns
    -------
    mesh : Mesh
        As in the file.
    unit : Unit
        The plausible unit of the mesh in which the landmarks are most like a face in size.
    landmarks : LandmarkSet
        In the frame "file" of the mesh.

    Raises
    ------
    MeshError
        If the mesh cannot be read, or a landmark's vertex does not exist.
    UnitError
        If the size fits no unit.
    """
    mesh = read_mesh(scan.mesh_path)
    units = plausible_units(mesh)
    place = partial(place_truth, scheme=scheme, specimen=scan.specimen, space=mesh.space)
    if scan.landmarks is None:
        last = max(scan.vertices)
        if last >= len(mesh.points):
            msg = (
                f"{scan.mesh_path}: a landmark is at vertex {last}, but the mesh has "
                f"{len(mesh.points)} vertices. Give the indices of this mesh topology."
            )
            raise MeshError(msg)
        is_used = np.isin(scan.vertices, mesh.triangles)
        if not is_used.all():
            first = scan.vertices[int(np.argmin(is_used))]
            msg = (
                f"{scan.mesh_path}: a landmark is at vertex {first}, which no triangle of "
                "the mesh uses. Repair the mesh, or leave it out."
            )
            raise MeshError(msg)
        positions = mesh.points[list(scan.vertices)]
    elif scan.landmarks.frame == "file":
        positions = scan.landmarks.positions
    else:
        in_mm = scan.landmarks.to_frame(mesh.space).positions
        unit = units[0] if len(units) == 1 else min(units, key=partial(_median_gap_mm, mesh, in_mm))
        truth = place(in_mm / unit.mm_per_unit, mm_per_unit=unit.mm_per_unit)
        return mesh, unit, truth
    # The mesh alone is ambiguous: an infant's face in mm has the numbers of a bust in cm.
    candidates = [place(positions, mm_per_unit=unit.mm_per_unit) for unit in units]
    spanning = [each for each in candidates if doubt_size(each) is None] or candidates[:1]
    landmarks = min(spanning, key=lambda each: measure_oddness(each) or 0.0)  # first of equals
    return mesh, units[candidates.index(landmarks)], landmarks


def load_annotated(
    scan: AnnotatedScan, scheme: Scheme
) -> tuple[Mesh, tuple[Unit, ...], LandmarkSet]:
    """Read a scan for a training with `load_scan`.

    Parameters
    ----------
    scan : AnnotatedScan
        The scan.
    scheme : Scheme
        Landmark scheme.

    Returns
    -------
    mesh : Mesh
        As in the file.
    units : tuple of Unit
        That of the landmarks, then others that may be meant if all are unknown to the mean face.
    landmarks : LandmarkSet
        In the frame "file" of the mesh and the first unit.

    Raises
    ------
    TrainingError
        If the scan has no landmark of the scheme.
    """
    mesh, unit, truth = load_scan(scan, scheme)
    if not truth.is_placed.any():
        msg = "no landmark is placed. Place some, or leave the scan out."
        raise TrainingError(msg)
    others: list[Unit] = []
    is_in_mm = scan.landmarks is not None and scan.landmarks.frame != "file"
    if not is_in_mm and measure_oddness(truth) is None:
        for other in plausible_units(mesh):
            in_other = replace(truth, mm_per_unit=other.mm_per_unit)
            others += [other] if other != unit and doubt_size(in_other) is None else []
    return mesh, (unit, *others), truth


def place_truth(
    positions: NDArray[np.float64],
    scheme: Scheme,
    specimen: str,
    *,
    mm_per_unit: float,
    space: Space,
) -> LandmarkSet:
    """Make a landmark set from true positions in file coordinates: placed, or missing if NaN."""
    is_there = np.asarray(np.isfinite(positions).all(axis=1))
    return LandmarkSet(
        scheme=scheme,
        positions=positions,
        status=tuple("corrected" if there else "missing" for there in is_there.tolist()),
        expected_error_mm=np.full(len(scheme), np.nan),
        mm_per_unit=mm_per_unit,
        frame="file",
        specimen=specimen,
        space=space,
    )


def _median_gap_mm(mesh: Mesh, landmarks_mm: NDArray[np.float64], unit: Unit) -> float:
    """Median distance of landmarks from the vertices of a mesh in a given unit."""
    placed = landmarks_mm[np.isfinite(landmarks_mm).all(axis=1)]
    if not len(placed):
        return 0.0
    gaps, _ = cKDTree(mesh.points * unit.mm_per_unit).query(placed)
    return float(np.median(gaps))


def say_refusal(err: PalnetError) -> str:
    """Return why a scan is refused, and what to do if its unit is asked for, as by a detection."""
    is_of_unit = "its unit" in str(err)
    remedy = "The unit of annotated scans cannot be given: scale mesh and landmarks to millimeters."
    return f"{err} {remedy}" if is_of_unit else str(err)


def name_people(
    scans: Sequence[AnnotatedScan], folder: Path, files: Sequence[Path]
) -> tuple[list[AnnotatedScan], list[Problem]]:
    """Assign scans to people by the ``people.csv`` tables in the folder and its subfolders.

    Parameters
    ----------
    scans : sequence of AnnotatedScan
        Scans with the person assumed by the layout.
    folder : Path
        The data set's folder; a table has the columns specimen and person.
    files : sequence of Path
        All files of the folder and its subfolders, including the tables.

    Returns
    -------
    scans : list of AnnotatedScan
        With the person from the tables, if listed.
    problems : list of Problem
        Rows for missing scans, and names that may mean the same person.

    Raises
    ------
    UsageError
        If a table cannot be read, shares a folder with another, names none of the scans, or
        assigns a scan to two people.
    """
    known = {scan.specimen for scan in scans}
    problems: list[Problem] = []
    person_of: dict[str, str] = {}
    elsewhere: dict[str, Path] = {}
    for path in _people_tables(files):
        # A table covers only its own folder and subfolders, so a copy in a subfolder affects no
        # other scans.
        below = {scan.specimen for scan in scans if path.parent in scan.mesh_path.parents}
        rows = [(specimen_of(name, known), person) for name, person in _read_people_rows(path)]
        named = [(specimen, person) for specimen, person in rows if specimen in below]
        for specimen, person in named:
            if person_of.setdefault(specimen, person) != person:
                msg = f"{path}: {specimen!r} is listed under two people. Keep one of the rows."
                raise UsageError(msg)
        if rows and below and not named:
            msg = (
                f"{path}: names none of the scans. Name each scan by its file name without the "
                "ending; capitals count."
            )
            raise UsageError(msg)
        text = f"{path.relative_to(folder)} names it, but there is no such scan (capitals count)."
        unknown = dict.fromkeys(name for name, _ in rows if name not in known)
        problems += [Problem("unknown_specimen", name, text) for name in unknown]
        elsewhere |= {name: path.relative_to(folder) for name, _ in rows if name in known - below}
    for name, table in elsewhere.items():
        if name not in person_of:
            text = (
                f"{table} names it, but counts only for scans beside and below it, and the scan is "
                "elsewhere: it counts as a person. Move the table up."
            )
            problems.append(Problem("unknown_specimen", name, text))
    alone = [scan for scan in scans if scan.specimen not in person_of]
    named_scans = [replace(s, person=person_of.get(s.specimen) or s.person) for s in scans]
    problems += _alike_people(named_scans, person_of.values())
    return named_scans, [*problems, *_several_visits(alone), *_unlisted_visits(alone, person_of)]


def specimen_of(name: str, known: Container[str]) -> str:
    """Strip blanks and the ending of a mesh or landmark file, as in a listing, from a name.

    Parameters
    ----------
    name : str
        Name of a specimen, as in a table.
    known : container of str
        Names that are kept as they are.

    Returns
    -------
    str
        The name of the specimen.

    Examples
    --------
    >>> specimen_of("scans/P01.PLY", ()), specimen_of("P01.mrk.json", ()), specimen_of(" P.01", ())
    ('P01', 'P01', 'P.01')
    >>> specimen_of("face.pp ", {"face.pp"})
    'face.pp'
    """
    if name in known:
        return name
    bare = name.strip()
    if bare in known:
        return bare
    file = Path(bare).name
    ends = [end for end in _ENDINGS if file.lower().endswith(end) and len(file) > len(end)]
    return file[: -len(max(ends, key=len))] if ends else bare


def is_people_file(path: Path) -> bool:
    """Whether a file name is that of a table of people, ignoring case as Windows does."""
    return path.name.lower() == PEOPLE_FILE


def _people_tables(files: Sequence[Path]) -> list[Path]:
    """List the tables of people; a folder may have only one."""
    in_folder: dict[Path, Path] = {}
    for path in filter(is_people_file, files):
        other = in_folder.setdefault(path.parent, path)
        if other != path:
            msg = f"{path}: {other.name} is in the same folder. Keep one of the two."
            raise UsageError(msg)
    return list(in_folder.values())


def _alike_people(scans: Sequence[AnnotatedScan], persons: Collection[str]) -> Iterator[Problem]:
    """Find names that may be spellings of one person, who would be split between parts."""
    spellings: dict[tuple[str, ...], set[str]] = {}
    for person in (*(scan.person for scan in scans), *persons):
        spellings.setdefault(_plain_words(person), set()).add(person)
    of_tables = {_plain_words(person) for person in persons}
    for plain, alike in sorted(spellings.items()):
        if plain in of_tables and len(alike) > 1:
            names = ", ".join(sorted(alike))
            text = (
                f"{names} differ only in capitals, accents, separators or leading zeros. Write one "
                "person's name in one way."
            )
            yield Problem("alike_people", "", text)


def _plain_words(name: str) -> tuple[str, ...]:
    """Words and numbers of a name, without what is easily written in another way."""
    letters = unicodedata.normalize("NFKD", name.casefold())
    plain = "".join(c for c in letters if not unicodedata.combining(c))
    words = [word.lstrip("0") or "0" for word in _WORD.findall(plain)]
    return tuple(words) or (name,)


def _several_visits(scans: Sequence[AnnotatedScan]) -> Iterator[Problem]:
    """Find names or folders that suggest several scans of each person, if no table lists them."""
    by_name: dict[object, list[str]] = defaultdict(list)
    by_folder: dict[object, list[str]] = defaultdict(list)
    for scan in scans:
        by_name[_stem_of_visit(scan.specimen)].append(scan.specimen)
        by_folder[scan.mesh_path.parent].append(scan.specimen)
    for groups in (by_name, by_folder):
        visits = [names for names in groups.values() if len(names) > 1]
        n_alike = sum(map(len, visits))
        is_usual = len(visits) > 1 and 2 * n_alike > len(scans)
        if is_usual and max(map(len, visits)) <= _MOST_VISITS:
            text = (
                f"{' and '.join(visits[0])} may be one person's, and so may {n_alike} scans in "
                f"all; each counts as a person. If so, list them in {PEOPLE_FILE} (specimen,person)"
                ": else people who are trained on are tested, too."
            )
            yield Problem("several_visits", "", text)
            return


def _unlisted_visits(
    alone: Sequence[AnnotatedScan], person_of: Mapping[str, str]
) -> Iterator[Problem]:
    """Find scans in no table that are named like the listed visits of one person."""
    listed: dict[str, list[str]] = defaultdict(list)
    for specimen in person_of:
        listed[_stem_of_visit(specimen)].append(specimen)
    n_alone = Counter(_stem_of_visit(scan.specimen) for scan in alone)
    for scan in alone:
        stem = _stem_of_visit(scan.specimen)
        visits = listed.get(stem, [])
        is_series = len(visits) + n_alone[stem] > _MOST_VISITS
        if len({person_of[each] for each in visits}) == 1 and not is_series:
            text = (
                f"is in no {PEOPLE_FILE} and counts as a person, but is named like {visits[0]} of "
                f"{person_of[visits[0]]}. If it is one more visit, list it."
            )
            yield Problem("several_visits", scan.specimen, text)


def _stem_of_visit(specimen: str) -> str:
    """Return a name without its last part: P01 of P01_a; the name itself if it has one part."""
    return "_".join(_SEPARATOR.split(specimen)[:-1]) or specimen


def _read_people_rows(path: Path) -> list[tuple[str, str]]:
    """Specimen and person of each row that has both, spelled as for the scans."""
    header, rows = _read_people_table(path)
    # R writes row numbers into an extra column, which the header may lack.
    is_longer = bool(rows) and all(len(row) == len(header) + 1 for row in rows)
    shift = int(is_longer and all(row[0] == str(number) for number, row in enumerate(rows, 1)))
    places = header.index("specimen") + shift, header.index("person") + shift
    pairs = [
        (printable_name(row[places[0]].strip()), printable_name(row[places[1]].strip()))
        for row in rows
        if len(row) > max(places)
    ]
    return [(specimen, person) for specimen, person in pairs if specimen and person]


def _read_people_table(path: Path) -> tuple[list[str], list[list[str]]]:
    """Header and rows, read like a table of landmarks."""
    try:
        text = read_file_text(path)
        delimiter = find_delimiter(text, ("specimen", "person"))
        rows = split_rows(path, text, delimiter, is_typed=True)
        header, *body = [fields for _, fields in rows]
    except FormatError as err:
        raise UsageError(str(err)) from err
    names = [cell.strip().lower() for cell in header]
    if not {"specimen", "person"} <= set(names):
        msg = f"{path}: must have the columns specimen and person; got {first_line(text)!r}."
        raise UsageError(msg)
    return names, body
