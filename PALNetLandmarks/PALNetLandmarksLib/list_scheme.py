# SPDX-License-Identifier: Apache-2.0
"""Which landmarks a point list holds: those of the scheme that it carries, or that its labels fit.

A scheme that does not come with the module (a lab's own, out of its trained model) travels with the
list: through scenes, files and copies, where neither the model nor its file is at hand.
"""

from __future__ import annotations

import json
from functools import lru_cache

from palnet.scheme import list_schemes, load_scheme, scheme_from_dict, scheme_to_dict
from PALNetLandmarksLib.list_storage import read_text, write_text

# The name that palnet.exchange reads and writes in .mrk.json.
SCHEME_NAME = "palnet scheme"
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
    labels = tuple(
        node.GetNthControlPointLabel(index) for index in range(node.GetNumberOfControlPoints())
    )
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
    if not scheme.is_shipped:
        content = json.dumps(scheme_to_dict(scheme), ensure_ascii=False)
        if read_text(node, SCHEME_NAME) != content:
            write_text(node, SCHEME_NAME, content)


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
