# SPDX-License-Identifier: Apache-2.0
"""The materials of an OBJ file: which picture each names, and where it lies."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from os import PathLike

__all__ = [
    "Materials",
    "bare_name",
    "find_beside",
    "find_texture",
    "read_materials",
    "statements",
]

MAPS = ("map_kd", "map_ka")
"""Statements that name a picture of the color, the better one first."""

N_WORDS = {
    "-blendu": 1, "-blendv": 1, "-boost": 1, "-bm": 1, "-cc": 1, "-clamp": 1, "-imfchan": 1,
    "-mm": 2, "-o": 3, "-s": 3, "-t": 3, "-texres": 1, "-type": 1,
}  # fmt: skip
"""Options before the name of a picture, and the number of words that follow at most."""

NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")

MAX_MATERIAL_BYTES = 1 << 24
"""No file of materials is as large as this."""

MAX_NAME = 4096
"""No options and names of files are as long as this: a damaged line would take hours."""


class Materials(NamedTuple):
    """What an OBJ file says of its materials.

    Attributes
    ----------
    pictures : dict of str to str
        For each material with a picture, the picture's name as it stands in the file.
    defined : frozenset of str
        All materials, with and without a picture.
    missing : tuple of str
        Files of materials that are named and cannot be read.
    folders : tuple of Path
        Where pictures may lie.
    """

    pictures: dict[str, str]
    defined: frozenset[str]
    missing: tuple[str, ...]
    folders: tuple[Path, ...]


def find_texture(obj: str | PathLike[str]) -> Path | None:
    """Find the picture that holds the color of an OBJ file.

    Parameters
    ----------
    obj : str or PathLike
        The OBJ file; its files of materials and the pictures lie beside it, or where they say.

    Returns
    -------
    Path or None
        The picture, if the materials that the file uses name exactly one, and it is there.
    """
    path = Path(obj)
    try:
        data = path.read_bytes()
    except OSError:
        return None
    materials = read_materials(path, data)
    used = {name for _, name in statements(data, b"usemtl")} or materials.pictures.keys()
    names = {name for used_one, name in materials.pictures.items() if used_one in used}
    found = {find_beside(name, materials.folders) for name in names}
    return next(iter(found)) if len(found) == 1 else None


def statements(data: bytes, keyword: bytes) -> Iterator[tuple[int, str]]:
    """Yield offset and argument of each line that starts with a keyword and has an argument."""
    end_of_line = b"\n" if b"\n" in data else b"\r"
    at = data.find(keyword)
    while at >= 0:
        start = data.rfind(end_of_line, 0, at) + 1
        end = data.find(end_of_line, at)
        end = len(data) if end < 0 else end
        argument = data[at + len(keyword) : end]
        if not data[start:at].strip() and argument[:1].isspace() and argument.strip():
            yield at, _decode(argument).strip()
        at = data.find(keyword, end)


def read_materials(obj: Path, data: bytes) -> Materials:
    """Read the files of materials that an OBJ file with the content `data` names."""
    pictures: dict[str, str] = {}
    defined: set[str] = set()
    missing: list[str] = []
    folders = [obj.parent]
    # Some programs repeat it before each object.
    for argument in dict.fromkeys(text[:MAX_NAME] for _, text in statements(data, b"mtllib")):
        # One name with blanks, or several names.
        named = {each: find_beside(each, (obj.parent,)) for each in [argument, *argument.split()]}
        if named[argument] is not None or not any(named.values()):
            named = {argument: named[argument]}
        else:
            del named[argument]
        for name, path in named.items():
            text = _read_text(path)
            if path is None or text is None:
                missing.append(name)
                continue
            folders.append(path.parent)
            for material, maps in _parse(text).items():
                defined.add(material)
                if maps:
                    pictures.setdefault(material, maps.get(MAPS[0]) or maps[MAPS[1]])
    return Materials(
        pictures, frozenset(defined), tuple(dict.fromkeys(missing)), tuple(dict.fromkeys(folders))
    )


def find_beside(name: str, folders: tuple[Path, ...]) -> Path | None:
    r"""Find a file by the name that stands in another file; None if it is not there.

    Looked for as it stands relative to each folder, then the bare name in the folder, also if only
    upper and lower case or the form of accented letters differ. A path such as ``C:\scans\a.jpg``
    of this or another computer counts last, or by its bare name.
    """
    given, bare = _with_slashes(name), bare_name(name)
    is_absolute = given.startswith("/") or given[1:2] == ":"
    if not bare:
        return None
    for folder in folders:
        tries = [bare] if is_absolute else [given, bare]
        for path in (folder / each for each in tries):
            if _is_file(path):
                return path
        alike = _find_alike(folder, bare)
        if alike is not None:
            return alike
    # A name with two slashes is another computer's, which is not asked because a scan says so.
    path = Path(given)
    is_here = path.is_absolute() and not given.startswith("//")
    return path if is_here and _is_file(path) else None


def bare_name(name: str) -> str:
    """Return the name of a file without its folders, which may be called after a patient."""
    return _with_slashes(name).rsplit("/", 1)[-1]


def _with_slashes(name: str) -> str:
    """Return a name as it stands in another file, of any system, as a path."""
    return name.strip().strip('"').replace("\\", "/")


def _is_file(path: Path) -> bool:
    """Whether there is such a file; False for a name that no file can have."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _find_alike(folder: Path, name: str) -> Path | None:
    """Find the file whose name differs in case or in the form of accented letters only."""
    wanted = _alike(name)
    try:
        found = sorted(each for each in folder.iterdir() if _alike(each.name) == wanted)
    except OSError:
        return None
    return next((each for each in found if _is_file(each)), None)


def _alike(name: str) -> str:
    """Return the same text for names that some system takes for the same."""
    return unicodedata.normalize("NFC", name).casefold()


def _read_text(path: Path | None) -> str | None:
    """Read a file of materials; None if that is not possible."""
    if path is None:
        return None
    try:
        with path.open("rb") as stream:
            return _decode(stream.read(MAX_MATERIAL_BYTES).removeprefix(b"\xef\xbb\xbf"))
    except OSError:
        return None


def _decode(data: bytes) -> str:
    """Decode UTF-8, or what programs of Western Windows write."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")


def _parse(text: str) -> dict[str, dict[str, str]]:
    """Return for each material the names of its pictures by statement."""
    maps: dict[str, dict[str, str]] = {}
    material = ""
    for line in text.replace("\r", "\n").split("\n"):
        keyword, _, argument = line.strip().replace("\t", " ").partition(" ")
        if keyword.lower() == "newmtl":
            material = argument.strip()
            maps.setdefault(material, {})
        elif keyword.lower() in MAPS and (name := _without_options(argument[:MAX_NAME])):
            maps.setdefault(material, {}).setdefault(keyword.lower(), name)
    return maps


def _without_options(argument: str) -> str:
    """Return the name behind the options of a map statement; they are not applied."""
    rest = argument.strip()
    while (option := rest.split(" ", 1)[0].lower()) in N_WORDS:
        rest = rest[len(option) :].strip()
        for number in range(N_WORDS[option]):
            word, _, behind = rest.partition(" ")
            # Of up to three numbers, two may be missing.
            if number and not NUMBER.fullmatch(word):
                break
            rest = behind.strip()
    return rest.strip('"')
