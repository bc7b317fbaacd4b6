# SPDX-License-Identifier: Apache-2.0
"""Which landmarks a point list holds: those of the scheme that it carries, or that its labels fit.

A scheme that does not come with the module (a lab's own, out of its trained model) travels with the
list: through scenes, files and copies, where neither the model nor its file is at hand.
"""

from __future__ import annotations

import json
from functools import lru_cache

from palnet.exchange._mrk_json import SCHEME_NAME, STATUS_NAME
from palnet.scheme import list_schemes, load_scheme, scheme_from_dict, scheme_to_dict
from PALNetLandmarksLib.list_storage import read_text, write_text, written_by_program

SCHEME_ATTRIBUTE = "PALNet.Scheme"

# By their labels: schemes of the trained models that were read since Slicer was started.
_learned = {}


def learn_scheme(scheme):
    """Recognize from now on the lists whose labels are those of a scheme.

    Parameters
    ----------
    scheme : Scheme
        That of a trained model; what comes with palnet is known already.
    """
    _learned[scheme.codes] = scheme


def find_scheme(node):
    """Find the scheme whose landmarks a list holds.

    Parameters
    ----------
    node : vtkMRMLMarkupsNode
        Any list.

    Returns
    -------
    Scheme or None
        The one that the list carries, else one that its labels fit, since files of other programs
        keep nothing but these; None if it holds the landmarks of no scheme that is known.
    """
    labels = _labels(node)
    # A label that someone has changed does not make it another list.
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


def may_be_any_list(node):
    """Tell whether a list was never ours and has labels that any list may have, such as 1 to 68.

    Parameters
    ----------
    node : vtkMRMLMarkupsNode
        Any list.

    Returns
    -------
    bool
        True for one that is to be taken for landmarks only if somebody chooses it.
    """
    is_ours = (
        node.GetAttribute(SCHEME_ATTRIBUTE)
        or read_text(node, SCHEME_NAME)
        or node.GetMeasurement(STATUS_NAME) is not None
    )
    return not is_ours and all(label.isdecimal() for label in _labels(node))


def write_scheme(node, scheme):
    """Say in a list whose landmarks it holds.

    Parameters
    ----------
    node : vtkMRMLMarkupsFiducialNode
        The list.
    scheme : Scheme
        Its landmarks; a shipped one is known by its name.
    """
    node.SetAttribute(SCHEME_ATTRIBUTE, scheme.name)
    # The attribute stays in the scene; a file tells a scheme by its labels, if nobody changed one.
    if not scheme.is_shipped or _labels(node) != scheme.codes:
        content = json.dumps(scheme_to_dict(scheme), ensure_ascii=False)
        if read_text(node, SCHEME_NAME) != content:
            write_text(node, SCHEME_NAME, content)


def restore_order(node, scheme):
    """Bring the points of a list into the order of its scheme again, if someone sorted them.

    Parameters
    ----------
    node : vtkMRMLMarkupsFiducialNode
        The list; what is kept of each landmark besides stays where it is.
    scheme : Scheme
        Its landmarks.
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


def _labels(node):
    return tuple(
        node.GetNthControlPointLabel(index) for index in range(node.GetNumberOfControlPoints())
    )


def is_same_list_of_landmarks(scheme, other):
    """Tell whether two schemes place the same landmarks, whatever they say about them.

    Parameters
    ----------
    scheme, other : Scheme
        Two schemes.

    Returns
    -------
    bool
        True for one name and the same codes in the same order.
    """
    return (scheme.name, scheme.codes) == (other.name, other.codes)


@lru_cache(maxsize=64)
def _parse(text):
    """Read a scheme; None where there is none, or a damaged one."""
    if not text:
        return None
    try:
        return scheme_from_dict(json.loads(text))
    except (ValueError, RecursionError):
        return None
