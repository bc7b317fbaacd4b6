# SPDX-License-Identifier: Apache-2.0
"""The sidecar of a landmark file, ``<file>.frame.json``, for what its format cannot hold.

It is written if the landmark file alone would be misread: if the format does not hold frame and
unit and these are not the scan file's own millimetres, if it does not identify the landmarks, or if
a specimen's name was changed for writing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from palnet._stored import read_json
from palnet.errors import FormatError
from palnet.landmarks import FRAMES, Space
from palnet.scheme import DEFAULT_SCHEME, Scheme, scheme_from_dict, scheme_to_dict

if TYPE_CHECKING:
    import os

    from palnet.exchange._format import Format
    from palnet.landmarks import Frame, LandmarkSet

__all__ = ["Sidecar", "describe", "read_sidecar", "sidecar_path", "sidecar_text"]

SUFFIX = ".frame.json"
# A metre is 1000; larger units mean damage.
_LARGEST_UNIT = 1e9


@dataclass(frozen=True, slots=True)
class Sidecar:
    """Content of a sidecar.

    Attributes
    ----------
    frame : {"file", "LPS", "RAS"}
        Frame of the numbers.
    space : {"LPS", "RAS"}
        The anatomical axes of the numbers.
    mm_per_unit : float
        Millimetres per unit of the numbers.
    scheme : Scheme or str
        A lab's own landmark scheme, or the name of one that comes with palnet.
    landmarks : tuple of str
        Codes of the landmarks, in the order of the file.
    specimen : str
        Name of the only specimen if the format does not hold it; else empty.
    renamed : dict
        The original name of each specimen that was written with another one.
    """

    frame: Frame
    space: Space
    mm_per_unit: float
    scheme: Scheme | str
    landmarks: tuple[str, ...]
    specimen: str = ""
    renamed: dict[str, str] = field(default_factory=dict)


def sidecar_path(path: str | os.PathLike[str]) -> Path:
    """Return the path of a landmark file's sidecar."""
    path = Path(path)
    return path.with_name(path.name + SUFFIX)


def describe(
    landmarks: LandmarkSet, path: Path, format: Format, renamed: dict[str, str]
) -> Sidecar | None:
    """Make the sidecar for a file of such landmarks; None if the file needs none."""
    specimen = ""
    if format.specimen_names == "none" and landmarks.specimen != path.name[: -len(format.suffix)]:
        specimen = landmarks.specimen
    assumed = (landmarks.space, landmarks.space) if format.holds_axes else ("file", "LPS")
    is_as_assumed = (landmarks.frame, landmarks.space, landmarks.mm_per_unit) == (*assumed, 1.0)
    scheme = landmarks.scheme
    is_default = scheme.is_shipped and scheme.name == DEFAULT_SCHEME
    has_names = format.holds_codes and is_default
    if format.holds_unit or (is_as_assumed and has_names and not renamed and not specimen):
        return None
    return Sidecar(
        frame=landmarks.frame,
        space=landmarks.space,
        mm_per_unit=landmarks.mm_per_unit,
        scheme=scheme.name if scheme.is_shipped else scheme,
        landmarks=scheme.codes,
        specimen=specimen,
        renamed=renamed,
    )


def sidecar_text(sidecar: Sidecar) -> str:
    """Format as JSON, one entry per line."""
    entries = {key: getattr(sidecar, key) for key in Sidecar.__dataclass_fields__}
    if isinstance(sidecar.scheme, Scheme):
        entries["scheme"] = scheme_to_dict(sidecar.scheme)
    content = {key: value for key, value in entries.items() if value}
    rows = (f' "{key}": {json.dumps(value, ensure_ascii=False)}' for key, value in content.items())
    return "{\n" + ",\n".join(rows) + "\n}\n"


def read_sidecar(path: Path) -> Sidecar | None:
    """Read the sidecar of a landmark file; None if there is none."""
    beside = sidecar_path(path)
    return read_json(beside, _parse, "Correct or delete it.") if beside.is_file() else None


def _parse(content: Any) -> Sidecar:
    """Check every entry that is used, and keep those."""
    values = content if isinstance(content, dict) else {}
    unit = values.get("mm_per_unit", 0)
    renamed = values.get("renamed", {})
    fits = {
        "frame": values.get("frame") in FRAMES,
        "space": values.get("space") in get_args(Space),
        "mm_per_unit": type(unit) in (int, float) and 0 < unit < _LARGEST_UNIT,
        "scheme": isinstance(values.get("scheme"), str | dict),
        "landmarks": _is_texts(values.get("landmarks")),
        "specimen": isinstance(values.get("specimen", ""), str),
        "renamed": isinstance(renamed, dict) and _is_texts(list(renamed.values())),
    }
    wrong = [key for key, is_fit in fits.items() if not is_fit]
    if wrong:
        msg = f"{', '.join(wrong)} must be as palnet writes it. Correct or delete the file."
        raise FormatError(msg)
    known = {key: values[key] for key in Sidecar.__dataclass_fields__ if key in values}
    if isinstance(known["scheme"], dict):
        known["scheme"] = scheme_from_dict(known["scheme"])
    return Sidecar(**known | {"landmarks": tuple(values["landmarks"])})


def _is_texts(values: object) -> bool:
    return isinstance(values, list) and all(isinstance(value, str) for value in values)
