# SPDX-License-Identifier: Apache-2.0
"""Detect landmarks on a model of the scene in the background."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import slicer
from slicer.i18n import tr as _

import palnet
from palnet._record import describe_detection
from palnet.errors import ScanRefusedError, UnitError
from palnet.landmarks import OTHER_AXES
from palnet.model import DEFAULT_MODEL
from palnet.surface import UNIT_NAMES, plausible_units
from PALNetLandmarksLib.job import BackgroundJob
from PALNetLandmarksLib.landmark_list import LandmarkList
from PALNetLandmarksLib.linking import lies_elsewhere
from PALNetLandmarksLib.list_creation import create_list, new_list_name
from PALNetLandmarksLib.list_scheme import is_same_list_of_landmarks
from PALNetLandmarksLib.model_colors import reader_of_colored_mesh
from PALNetLandmarksLib.models import check_model_node, mesh_from_model, state_of_model
from PALNetLandmarksLib.scan_unit import chosen_unit, find_unit, misfit
from PALNetLandmarksLib.trained_models import check_is_there, in_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from palnet.detector import Detection
    from palnet.scheme import Scheme
    from palnet.surface import Mesh, Unit


class ModelChangedError(RuntimeError):
    """The model was deleted or changed before the detection ended."""


class DetectionRun:
    """One detection in the background.

    The model is copied when the run starts; the scene is not touched before `finish`.

    Parameters
    ----------
    model_node : vtkMRMLModelNode
        The scan.
    list_node : vtkMRMLMarkupsFiducialNode, optional
        The list to write to. A new one is created by default, and if the list holds other
        landmarks than the trained model places.
    replace : iterable of int
        Landmarks to overwrite although a person has reviewed them.
    trained_model : str, optional
        Name of a shipped model, or absolute path of a file.
    use_color : bool
        Whether the color of the scan, if it has any, is used.

    Attributes
    ----------
    job : BackgroundJob
        The background job.
    scan_name : str
        Name of the model when the run started.
    remark : str
        What the user should know about the result, once it is written.

    Raises
    ------
    MeshError
        If the model is empty or has no triangles.
    TypeError, ValueError
        If the node is not a model node, or in no scene.
    """

    def __init__(
        self,
        model_node: slicer.vtkMRMLModelNode,
        list_node: slicer.vtkMRMLMarkupsFiducialNode | None = None,
        replace: Iterable[int] = (),
        trained_model: str = DEFAULT_MODEL,
        *,
        use_color: bool = True,
    ) -> None:
        check_model_node(model_node)
        self._scene = model_node.GetScene()
        self._model_node, self._list_node = model_node, list_node
        self._replace = frozenset(replace)
        started_with = list_node is not None and self._replace
        self._when_started = LandmarkList(list_node).state() if started_with else None
        self._model_state, unit = state_of_model(model_node), chosen_unit(model_node)
        self._unit, self.scan_name, self.remark = unit, model_node.GetName(), ""
        self._mesh = mesh_from_model(model_node)
        read = reader_of_colored_mesh(model_node, self._mesh) if use_color else lambda: self._mesh
        options = {"model": trained_model, "use_color": use_color}
        self.job = BackgroundJob(_detect, read, unit, options)

    def finish(self) -> LandmarkList:
        """Write the landmarks to the scene; call it on the main thread.

        It waits for the job, so the panel calls it once that has ended.

        Returns
        -------
        LandmarkList
            The list; a new one if it was deleted in the meantime.

        Raises
        ------
        PalnetError
            If the scan was refused.
        ModelChangedError
            If the model was deleted or changed in the meantime.
        """
        self.job.wait()
        if isinstance(self.job.error, UnitError):
            raise misfit(self._mesh, self._unit) from self.job.error
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

    def _write(self, detection: Detection) -> LandmarkList:
        name = self._model_node.GetName()
        landmarks = self._list_for(detection.landmarks.scheme)
        landmarks.reconcile()
        replaced: frozenset[int] = frozenset()
        started = self._when_started
        if started is not None and landmarks.node is self._list_node:
            # Keep what the user decided while the detection ran.
            replaced = self._replace.difference(started.changed_in(landmarks.state()))
        kept = [index for index in landmarks.edited if index not in replaced]
        record = describe_detection(detection, detection.landmarks, scan_name=name, files={})
        # The list itself holds the landmarks, and there are no files.
        del record["landmarks"], record["files"]
        landmarks.set_detection(detection.landmarks, record, keep=kept)
        return landmarks

    def _list_for(self, scheme: Scheme) -> LandmarkList:
        """Return the list to write to; lists of other scans or landmarks are left as they are."""
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


def find_replaced(
    list_node: slicer.vtkMRMLMarkupsFiducialNode | None, codes: Iterable[str]
) -> list[int]:
    """Find the landmarks of a list that a script wants to be replaced.

    Parameters
    ----------
    list_node : vtkMRMLMarkupsFiducialNode or None
        The list; without one nothing is replaced.
    codes : iterable of str
        Codes of landmarks.

    Returns
    -------
    list of int
        Their indices.

    Raises
    ------
    TypeError
        If the list is no point list, or the codes are one text: "gn" would be read as "g" and "n".
    KeyError
        If the list has no landmark of a code.
    ValueError
        If the list holds other points.
    """
    if isinstance(codes, str):
        msg = _('replace must be a list of codes, such as ["prn", "sn"]; got the text "{codes}".')
        raise TypeError(msg.format(codes=codes))
    if list_node is None:
        return []
    if not isinstance(list_node, slicer.vtkMRMLMarkupsFiducialNode):
        msg = _(
            "markupsNode must be a vtkMRMLMarkupsFiducialNode, or None for a new one; got {kind}."
        )
        raise TypeError(msg.format(kind=type(list_node).__name__))
    scheme = LandmarkList(list_node).scheme
    return [scheme.index_of(code) for code in codes]


def create_empty_list(model_node: slicer.vtkMRMLModelNode, scheme: Scheme) -> LandmarkList:
    """Create a list of named landmarks for manual placement.

    Parameters
    ----------
    model_node : vtkMRMLModelNode
        The model that they will lie on.
    scheme : Scheme
        Which landmarks.

    Returns
    -------
    LandmarkList
        The list, in the unit of the scan according to `find_unit`.

    Raises
    ------
    PalnetError
        If the model is not a surface, or its size fits no unit.
    TypeError, ValueError
        If the node is not a model node, or in no scene.
    """
    check_model_node(model_node)
    found = find_unit(model_node, mesh_from_model(model_node))
    name = new_list_name(model_node, scheme)
    landmarks = create_list(model_node.GetScene(), scheme, model_node, name)
    landmarks.set_unit(found.unit.mm_per_unit)
    return landmarks


def _detect(read_mesh: Callable[[], Mesh], unit: Unit | None, options: dict[str, Any]) -> Detection:
    """Run the detection in a worker thread, where Qt must not be asked for translations."""
    check_is_there(options["model"])
    mesh = read_mesh()
    # As in most files, so that `palnet detect` places the same landmarks: in another pose they
    # would be a tenth of a millimeter away.
    mesh = replace(mesh, points=mesh.points * OTHER_AXES, space="LPS")
    if unit is not None:
        given = unit.name if unit.name in UNIT_NAMES else unit.mm_per_unit
        return _to_ras(palnet.detect(mesh, unit=given, **options))
    try:
        # Numbers are millimeters in Slicer if the size allows it; otherwise the library guesses.
        return _to_ras(palnet.detect(mesh, unit="mm", **options))
    except UnitError:
        pass
    except ScanRefusedError:  # a bust in centimeters can have the size of an infant's face
        if len(plausible_units(mesh)) == 1:
            raise
    return _to_ras(palnet.detect(mesh, **options))


def _to_ras(detection: Detection) -> Detection:
    """Turn a detection to Slicer's axes."""
    landmarks = detection.landmarks
    positions = landmarks.positions * OTHER_AXES
    return replace(
        detection,
        landmarks=replace(landmarks, positions=positions, space="RAS"),
        face_from_scan=detection.face_from_scan @ np.diag([*OTHER_AXES, 1.0]),
    )


def _in_words(error: Exception) -> Exception:
    """Translate the error of a detection, with a remedy for the panel, not the command line."""
    if isinstance(error, ScanRefusedError):
        msg = _("{found} If it does show a face, click Place by hand.").format(found=error)
        return ScanRefusedError(msg)
    return in_words(error)
