# SPDX-License-Identifier: Apache-2.0
"""From a model of the scene to a list of landmarks, without holding up the application."""

from __future__ import annotations

from slicer.i18n import tr as _

import palnet
from palnet._record import describe_detection
from palnet.errors import ScanRefusedError, UnitError
from palnet.model import DEFAULT_MODEL
from palnet.surface import UNIT_NAMES
from PALNetLandmarksLib.job import BackgroundJob
from PALNetLandmarksLib.landmark_list import LandmarkList
from PALNetLandmarksLib.linking import lies_elsewhere
from PALNetLandmarksLib.list_creation import create_list, new_list_name
from PALNetLandmarksLib.list_scheme import is_same_list_of_landmarks
from PALNetLandmarksLib.models import check_model_node, mesh_from_model, state_of_model
from PALNetLandmarksLib.scan_unit import chosen_unit, find_unit
from PALNetLandmarksLib.trained_models import check_is_there, in_words


class ModelChangedError(RuntimeError):
    """The model is gone or another one by the time that its landmarks were found."""


class DetectionRun:
    """One detection in the background.

    The model is copied when the run starts; nothing of the scene is touched before `finish`.

    Parameters
    ----------
    model_node : vtkMRMLModelNode
        The scan.
    list_node : vtkMRMLMarkupsFiducialNode, optional
        The list to write to; a new one by default, and where the trained model places other
        landmarks than it holds.
    replace : iterable of int
        Landmarks of the list to write although a person has corrected or confirmed them.
    trained_model : str, optional
        Name of a shipped model, or absolute path of a file.

    Attributes
    ----------
    job : BackgroundJob
        What runs.
    scan_name : str
        Name of the model when the run started.
    remark : str
        What the user should know about the result, once it was written.

    Raises
    ------
    MeshError
        If the model is empty or holds no triangles.
    TypeError
        If it is no model node.
    """

    def __init__(self, model_node, list_node=None, replace=(), trained_model=DEFAULT_MODEL):
        check_model_node(model_node)
        self._scene = model_node.GetScene()
        self._model_node, self._list_node = model_node, list_node
        self._replace = frozenset(replace)
        started_with = list_node is not None and self._replace
        self._when_started = LandmarkList(list_node).state() if started_with else None
        self._model_state, unit = state_of_model(model_node), chosen_unit(model_node)
        self._unit, self.scan_name, self.remark = unit, model_node.GetName(), ""
        self.job = BackgroundJob(_detect, mesh_from_model(model_node), trained_model, unit)

    def finish(self):
        """Write the landmarks into the scene, on the main thread, once the job has ended.

        Returns
        -------
        LandmarkList
            The list; one that was deleted meanwhile is made anew.

        Raises
        ------
        PalnetError
            If the scan was refused.
        ModelChangedError
            If the model was deleted or changed meanwhile.
        """
        if self.job.error is not None:
            raise _in_words(self.job.error)
        if not self._scene.IsNodePresent(self._model_node):
            msg = _("The model was deleted during the detection.")
            raise ModelChangedError(msg)
        is_same = state_of_model(self._model_node) == self._model_state
        if not is_same or chosen_unit(self._model_node) != self._unit:
            msg = _(
                "The model or its unit was changed during the detection. Detect the landmarks "
                "again."
            )
            raise ModelChangedError(msg)
        return self._write(self.job.result)

    def _write(self, detection):
        name = self._model_node.GetName()
        landmarks = self._list_for(detection.landmarks.scheme)
        landmarks.reconcile()
        replaced = self._replace if landmarks.node is self._list_node else frozenset()
        if replaced:  # but what was decided anew while the detection ran
            replaced -= set(self._when_started.changed_in(landmarks.state()))
        kept = [index for index in landmarks.edited if index not in replaced]
        record = describe_detection(detection, detection.landmarks, scan_name=name, files={})
        del (
            record["landmarks"],
            record["files"],
        )  # the list itself holds the one; there are no others
        landmarks.set_detection(detection.landmarks, record, keep=kept)
        return landmarks

    def _list_for(self, scheme):
        """Give the list to write to; one of another scan or other landmarks is left as it is."""
        if self._list_node is not None and self._scene.IsNodePresent(self._list_node):
            landmarks = LandmarkList(self._list_node)
            if landmarks.edited and landmarks.model_node is not self._model_node:
                self.remark = _(
                    "They are in a new list: the selected one holds corrections on another scan, "
                    "and stays as it is."
                )
            elif landmarks.edited and lies_elsewhere(landmarks, self._model_node):
                self.remark = _(
                    "They are in a new list: the selected one holds corrections and does not lie "
                    "on the scan any more; it stays as it is."
                )
            elif is_same_list_of_landmarks(landmarks.scheme, scheme):
                landmarks.link_model(self._model_node)
                return landmarks
            else:
                self.remark = _(
                    "They are in a new list: the selected one holds the landmarks of {scheme}, and "
                    "stays as it is."
                ).format(scheme=landmarks.scheme.name)
        name = new_list_name(self._model_node, scheme)
        return create_list(self._scene, scheme, self._model_node, name)


def create_empty_list(model_node, scheme):
    """Make a list of named landmarks that a person is to place.

    Parameters
    ----------
    model_node : vtkMRMLModelNode
        The model that they will lie on.
    scheme : Scheme
        Which landmarks.

    Returns
    -------
    LandmarkList
        The list, in the unit of the scan as `find_unit` tells it.

    Raises
    ------
    PalnetError
        If the model is no surface, or its size fits no unit.
    """
    found = find_unit(model_node, mesh_from_model(model_node))
    name = new_list_name(model_node, scheme)
    landmarks = create_list(model_node.GetScene(), scheme, model_node, name)
    landmarks.set_unit(found.unit.mm_per_unit)
    return landmarks


def _detect(mesh, trained_model, unit):
    """Detect, in a thread: nothing here may ask Qt for a translation."""
    check_is_there(trained_model)
    if unit is not None:
        given = unit.name if unit.name in UNIT_NAMES else unit.mm_per_unit
        return palnet.detect(mesh, unit=given, model=trained_model)
    try:
        # Slicer's numbers are millimeters wherever that is possible; else the library's guess.
        return palnet.detect(mesh, unit="mm", model=trained_model)
    except UnitError:
        return palnet.detect(mesh, model=trained_model)


def _in_words(error):
    """Say what stopped a detection; a refusal says what to do here, not on the command line."""
    if isinstance(error, ScanRefusedError):
        msg = _("{found} If it does show a face, click Place by hand.").format(found=error)
        return ScanRefusedError(msg)
    return in_words(error)
