# SPDX-License-Identifier: Apache-2.0
"""The landmark scheme of a point list: stored in the list, or recognized by its labels.

A scheme that does not come with the module (a lab's own, from its trained model) is stored in the
list and travels with it through scenes, files and copies, where the model file may be missing.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING

from palnet.exchange._mrk_json import SCHEME_NAME, STATUS_NAME
from palnet.scheme import list_schemes, load_scheme, scheme_from_dict, scheme_to_dict
from PALNetLandmarksLib.list_storage import read_text, write_text, written_by_program

if TYPE_CHECKING:
    import slicer

    from palnet.scheme import Scheme

SCHEME_ATTRIBUTE = "PALNet.Scheme"

# By labels: schemes of the trained models read since Slicer was started.
_learned: dict[tuple[str, ...], Scheme] = {}


def learn_scheme(scheme: Scheme) -> None:
    """Recognize lists by the labels of a scheme from now on.

    Parameters
    ----------
    scheme : Scheme
        Scheme of a trained model; those that come with palnet are already known.
    """
    _learned[scheme.codes] = scheme


def find_scheme(node: slicer.vtkMRMLMarkupsNode) -> Scheme | None:
    """Find the scheme of a list.

    Parameters
    ----------
    node : vtkMRMLMarkupsNode
        Any list.

    Returns
    -------
    Scheme or None
        The one stored in the list, else one that its labels match, since files of other programs
        keep only labels; None if no known scheme matches.
    """
    labels = _labels(node)
    # A changed label does not make it another list.
    carried = _parse(read_text(node, SCHEME_NAME))
    if carried is not None and len(carried) == len(labels):
        return carried
    for name in list_schemes():
        if load_scheme(name).codes == labels:
            return load_scheme(name)
    if labels in _learned:
        return _learned[labels]
    said = node.GetAttribute(SCHEME_ATTRIBUTE)
    fits = said in list_schemes() and len(load_scheme(said)) == len(labels)
    return load_scheme(said) if fits else None


def may_be_any_list(node: slicer.vtkMRMLMarkupsNode) -> bool:
    """Return whether a list did not come from this module and has generic labels, such as 1 to 68.

    Parameters
    ----------
    node : vtkMRMLMarkupsNode
        Any list.

    Returns
    -------
    bool
        True if the list counts as landmarks only when the user selects it.
    """
    is_ours = (
        node.GetAttribute(SCHEME_ATTRIBUTE)
        or read_text(node, SCHEME_NAME)
        or node.GetMeasurement(STATUS_NAME) is not None
    )
    return not is_ours and all(label.isdecimal() for label in _labels(node))


def write_scheme(node: slicer.vtkMRMLMarkupsFiducialNode, scheme: Scheme) -> None:
    """Store in a list which scheme it has.

    Parameters
    ----------
    node : vtkMRMLMarkupsFiducialNode
        The list.
    scheme : Scheme
        The scheme; for a shipped one the name is enough.
    """
    node.SetAttribute(SCHEME_ATTRIBUTE, scheme.name)
    # The attribute stays in the scene; a file is recognized by its labels, unless one was changed.
    if not scheme.is_shipped or _labels(node) != scheme.codes:
        content = json.dumps(scheme_to_dict(scheme), ensure_ascii=False)
        if read_text(node, SCHEME_NAME) != content:
            write_text(node, SCHEME_NAME, content)


def restore_order(node: slicer.vtkMRMLMarkupsFiducialNode, scheme: Scheme) -> None:
    """Restore the order of a list's points to that of its scheme, if someone sorted them.

    Parameters
    ----------
    node : vtkMRMLMarkupsFiducialNode
        The list; other data per landmark stay where they are.
    scheme : Scheme
        The scheme.
    """
    labels = list(_labels(node))
    if labels == list(scheme.codes) or sorted(labels) != sorted(scheme.codes):
        return
    with written_by_program(node):
        for index, code in enumerate(scheme.codes):
            other = labels.index(code)
            if other != index:
                node.SwapControlPoints(index, other)
                labels[index], labels[other] = labels[other], labels[index]


def _labels(node: slicer.vtkMRMLMarkupsNode) -> tuple[str, ...]:
    return tuple(
        node.GetNthControlPointLabel(index) for index in range(node.GetNumberOfControlPoints())
    )


def is_same_list_of_landmarks(scheme: Scheme, other: Scheme) -> bool:
    """Return whether two schemes have the same landmarks, regardless of other details.

    Parameters
    ----------
    scheme, other : Scheme
        Two schemes.

    Returns
    -------
    bool
        True if they have the same name and the same codes in the same order.
    """
    return (scheme.name, scheme.codes) == (other.name, other.codes)


@lru_cache(maxsize=64)
def _parse(text: str) -> Scheme | None:
    """Parse a scheme; return None if there is none or it is damaged."""
    if not text:
        return None
    try:
        return scheme_from_dict(json.loads(text))
    except (ValueError, RecursionError):
        return None
