# SPDX-License-Identifier: Apache-2.0
"""Definitions of measurements, as data beside the landmark scheme instead of code."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import palnet.scheme
from palnet._files import to_path
from palnet._stored import check_keys, read_json, read_rows, read_text
from palnet.errors import FormatError
from palnet.measurement._formulas import UNITS
from palnet.scheme import check_scheme

if TYPE_CHECKING:
    from palnet.scheme import Scheme

__all__ = [
    "Kind",
    "MeasurementDefinition",
    "MeasurementPlan",
    "check_plan",
    "has_shipped_plan",
    "load_measurement_plan",
    "plan_for",
]

Kind = Literal["distance", "angle", "index", "arc", "asymmetry"]

_FOLDER = Path(palnet.scheme.__file__).parent / "schemes" / "measurements"
# Number of landmarks for each kind; an arc may pass through a third one.
_N_LANDMARKS = {"distance": (2,), "angle": (3,), "index": (4,), "arc": (2, 3)}


@dataclass(frozen=True, slots=True)
class MeasurementDefinition:
    """One measurement, given by the codes of its landmarks.

    Attributes
    ----------
    code : str
        Short label, unique in its plan ("n-sn").
    name : str
        Clinical name.
    kind : {"distance", "angle", "index", "arc"}
        Distance between two landmarks; angle at the second of three; 100 times the distance of the
        first two over that of the last two; length along the skin from the first to the last,
        through the middle one of three.
    landmarks : tuple of str
        Codes of the landmarks, in that order.
    source : str
        Short name of the publication that defines it.
    """

    code: str
    name: str
    kind: Kind
    landmarks: tuple[str, ...]
    source: str

    @property
    def unit(self) -> str:
        """Unit of its value, in which its expected error is given too."""
        return UNITS[self.kind]

    def __post_init__(self) -> None:
        if self.kind not in _N_LANDMARKS:
            expected = ", ".join(_N_LANDMARKS)
            msg = f"kind of {self.code!r} must be one of {expected}; got {self.kind!r}."
            raise FormatError(msg)
        if len(self.landmarks) not in _N_LANDMARKS[self.kind]:
            numbers = " or ".join(map(str, _N_LANDMARKS[self.kind]))
            msg = f"{self.kind} {self.code!r} takes {numbers} landmarks; got {self.landmarks}."
            raise FormatError(msg)
        lengths = (self.landmarks[:2], self.landmarks[2:])
        for taken in lengths if self.kind == "index" else (self.landmarks,):
            if len(set(taken)) < len(taken):
                msg = (
                    f"{self.kind} {self.code!r} must be taken between different landmarks; got "
                    f"{', '.join(taken)}."
                )
                raise FormatError(msg)


@dataclass(frozen=True, slots=True)
class MeasurementPlan:
    """The measurements of one landmark scheme.

    Attributes
    ----------
    scheme : str
        Name of the landmark scheme.
    definitions : tuple of MeasurementDefinition
        The measurements in the order of the tables.
    sources : dict of str to str
        Full reference of each short name in `MeasurementDefinition.source`.
    """

    scheme: str
    definitions: tuple[MeasurementDefinition, ...]
    sources: dict[str, str]

    def __post_init__(self) -> None:
        codes = [definition.code for definition in self.definitions]
        repeated = sorted({code for code in codes if codes.count(code) > 1})
        unknown = sorted({entry.source for entry in self.definitions} - self.sources.keys())
        if repeated or unknown:
            msg = (
                "measurement codes must be unique and each source explained in 'sources'; "
                f"got repeated {repeated} and unexplained {unknown}."
            )
            raise FormatError(msg)


def load_measurement_plan(scheme_or_path: str | os.PathLike[str]) -> MeasurementPlan:
    """Load the measurements of a shipped scheme, or custom ones from a JSON file.

    Parameters
    ----------
    scheme_or_path : str or path
        Name of a scheme shipped with palnet, or path of a file ending in ``.json``.

    Returns
    -------
    MeasurementPlan
        The validated plan.

    Raises
    ------
    FormatError
        If the plan does not exist or the file is invalid.

    Examples
    --------
    >>> load_measurement_plan("palnet50").definitions[2].name
    'Nose height'
    """
    path = to_path(scheme_or_path, name="scheme_or_path", error=FormatError)
    text = os.fspath(scheme_or_path)
    if text.endswith(".json"):
        return _read_plan(path)
    if not has_shipped_plan(text):
        known = ", ".join(_shipped_plans())
        msg = (
            f"no measurements come with the landmark scheme {text!r}, only with {known}. "
            "Give a measurement plan as a .json file (--plan, or plan= in Python)."
        )
        raise FormatError(msg)
    return _read_plan(_FOLDER / f"{text}.json")


def has_shipped_plan(scheme: str) -> bool:
    """Return whether measurements are shipped with a landmark scheme.

    Parameters
    ----------
    scheme : str
        Name of the scheme.

    Returns
    -------
    bool
        False for a lab's own scheme, and for a shipped one without a plan.
    """
    return scheme in _shipped_plans()


def plan_for(scheme: Scheme) -> MeasurementPlan:
    """Choose the measurements of a scheme: the shipped ones, else those that it names itself.

    Parameters
    ----------
    scheme : Scheme
        The landmarks.

    Returns
    -------
    MeasurementPlan
        The plan shipped with the scheme, if there is one; else its `Scheme.distances` and
        `Scheme.angles`, each once. It has no definitions if the scheme names none.

    Raises
    ------
    ValueError
        If it is no `Scheme`, such as only the name of one.

    Examples
    --------
    >>> from palnet.scheme import Distance, LandmarkDefinition, Scheme
    >>> points = [LandmarkDefinition(code, code, "midline", "...") for code in ("n", "sn")]
    >>> plan_for(Scheme("lab2", points, [Distance("n", "sn")])).definitions[0].name
    'Distance n - sn'
    """
    check_scheme(scheme)
    if has_shipped_plan(scheme.name):
        return load_measurement_plan(scheme.name)
    taken: list[tuple[Kind, tuple[str, ...]]] = [("distance", (d.a, d.b)) for d in scheme.distances]
    taken += [("angle", (angle.a, angle.vertex, angle.c)) for angle in scheme.angles]
    once: dict[tuple[Kind, tuple[str, ...]], tuple[str, ...]] = {}
    for kind, codes in taken:
        once.setdefault((kind, min(codes, codes[::-1])), codes)  # the same from either end
    # Codes of landmarks may hold a hyphen, but no slash.
    counts = Counter("-".join(codes) for codes in once.values())
    definitions = []
    for (kind, _), codes in once.items():
        short = "-".join(codes)
        code = short if counts[short] == 1 else f"{kind}:{'/'.join(codes)}"
        name = f"{kind.capitalize()} {' - '.join(codes)}"
        definitions.append(MeasurementDefinition(code, name, kind, codes, scheme.name))
    source = scheme.source or "The landmark scheme."
    return MeasurementPlan(scheme.name, tuple(definitions), {scheme.name: source})


def check_plan(plan: object) -> None:
    """Require a plan, not only the name of one."""
    if not isinstance(plan, MeasurementPlan):
        msg = f"plan must be a MeasurementPlan; got {plan!r:.60}. Load it: load_measurement_plan."
        raise ValueError(msg)


def _shipped_plans() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.json")))


def _read_plan(path: Path) -> MeasurementPlan:
    return read_json(path, _parse_plan, "Give a measurement plan as a .json file.")


def _parse_plan(content: Any) -> MeasurementPlan:
    check_keys(content, "the plan", {"scheme", "sources", "measurements"})
    sources = content["sources"]
    if not isinstance(sources, dict) or not all(isinstance(v, str) for v in sources.values()):
        msg = f"'sources' must be a JSON object of texts; got {sources!r:.80}."
        raise FormatError(msg)
    return MeasurementPlan(
        read_text(content, "scheme", "the plan"),
        read_rows(content, "measurements", _parse_definition),
        sources,
    )


def _parse_definition(row: Any, where: str) -> MeasurementDefinition:
    check_keys(row, where, {"code", "name", "kind", "landmarks", "source"})
    landmarks = row["landmarks"]
    if not isinstance(landmarks, list) or not all(isinstance(code, str) for code in landmarks):
        msg = f"'landmarks' of {where} must be a list of codes; got {landmarks!r:.80}."
        raise FormatError(msg)
    return MeasurementDefinition(
        code=read_text(row, "code", where),
        name=read_text(row, "name", where),
        kind=read_text(row, "kind", where),  # type: ignore[arg-type]  # checked by the class
        landmarks=tuple(landmarks),
        source=read_text(row, "source", where),
    )
