# SPDX-License-Identifier: Apache-2.0
"""Save a list beside its model, and export it to other programs."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import slicer
from slicer.i18n import tr as _
from vtk.util.numpy_support import vtk_to_numpy

import palnet
from palnet._caught import catching
from palnet._files import file_stem, is_folder, replacing
from palnet.errors import OutputError, PalnetError
from palnet.exchange import FORMATS, FormatWarning, get_format, write_landmarks
from palnet.landmarks import OTHER_AXES
from palnet.surface import read_mesh
from PALNetLandmarksLib.file_changes import note_file
from PALNetLandmarksLib.linking import lies_elsewhere
from PALNetLandmarksLib.list_state import scale_of
from PALNetLandmarksLib.model_scaling import is_as_its_file, model_scale
from PALNetLandmarksLib.models import to_local, world_matrix

if TYPE_CHECKING:
    from palnet.landmarks import Frame, LandmarkSet, Space
    from PALNetLandmarksLib.landmark_list import LandmarkList

# Attribute of a model whose landmarks are not kept beside its file: their folder.
LISTS_FOLDER = "PALNet.ListsFolder"

# As a share of a scan's size: rounding in files is far below it, a registration above.
_SAME_PLACE = 1e-4

_SAMPLES = Path(palnet.__file__).parent / "samples"


def default_path(landmarks: LandmarkList, suffix: str) -> Path:
    """Propose a path: the list's own file, else one beside the model's file with its name.

    Parameters
    ----------
    landmarks : LandmarkList
        The list.
    suffix : str
        File extension, with its dot.

    Returns
    -------
    Path
        In the last used or the home folder if the model has no file or comes with the module; in
        the folder that the model names for its landmarks, if there is one (`LISTS_FOLDER`); named
        after the list if another list is saved at that path.
    """
    if has_own_file(landmarks.node):
        path = Path(landmarks.node.GetStorageNode().GetFullNameFromFileName())
        if path.name.endswith(suffix) and is_folder(path.parent):
            return path
    model = landmarks.model_node
    if model is not None and has_own_file(model):
        path = Path(model.GetStorageNode().GetFullNameFromFileName()).with_suffix(suffix)
        folder = model.GetAttribute(LISTS_FOLDER)
        path = path if folder is None else Path(folder) / path.name
        if is_folder(path.parent) and _SAMPLES not in path.parents:
            return _not_of_another_list(path, suffix, landmarks)
    last = Path(slicer.util.settingsValue("PALNet/LastFolder", "") or Path.home())
    folder = last if is_folder(last) else Path.home()
    return folder / f"{file_stem(landmarks.node.GetName())}{suffix}"


def _not_of_another_list(path: Path, suffix: str, landmarks: LandmarkList) -> Path:
    """Return a path, named after the list or numbered if another list is saved there."""
    stem = file_stem(landmarks.node.GetName())
    names = chain((stem,), (f"{stem}-{number}" for number in count(2)))
    while _find_list_of(path, landmarks) not in (None, landmarks.node):
        path = path.with_name(f"{next(names)}{suffix}")
    return path


def export_path(landmarks: LandmarkList, suffix: str) -> Path:
    """Propose a path to export to, never that of the saved list.

    Parameters
    ----------
    landmarks : LandmarkList
        The list.
    suffix : str
        File extension, with its dot.

    Returns
    -------
    Path
        As `default_path`, with another name if necessary.
    """
    path = default_path(landmarks, suffix)
    if _find_list_of(path, landmarks) is None:
        return path
    return path.with_name(f"{path.name.removesuffix(suffix)}-export{suffix}")


def _find_list_of(path: Path, landmarks: LandmarkList) -> slicer.vtkMRMLMarkupsFiducialNode | None:
    """Find the list of the scene that is saved in a file; None for any other file."""
    return next(iter(lists_saved_in(path, landmarks.node.GetScene())), None)


def lists_saved_in(
    path: Path, scene: slicer.vtkMRMLScene | None = None
) -> list[slicer.vtkMRMLMarkupsFiducialNode]:
    """Return the lists that were read from a file or saved to it.

    Parameters
    ----------
    path : Path
        The file.
    scene : vtkMRMLScene, optional
        Slicer's scene by default.

    Returns
    -------
    list of vtkMRMLMarkupsFiducialNode
        In the order in which they were added to the scene.
    """
    nodes = slicer.util.getNodesByClass("vtkMRMLMarkupsFiducialNode", scene)
    return [node for node in nodes if is_saved_in(node, path)]


def is_saved_in(node: slicer.vtkMRMLStorableNode, path: Path) -> bool:
    """Return whether a model or list was read from this file or saved to it.

    Parameters
    ----------
    node : vtkMRMLStorableNode
        Any model or list.
    path : Path
        The file.

    Returns
    -------
    bool
        True also if the paths differ but lead to one file.
    """
    return has_own_file(node) and _is_same_file(
        Path(node.GetStorageNode().GetFullNameFromFileName()), path
    )


def _is_same_file(path: Path, other: Path) -> bool:
    """Return whether two paths lead to one file; False if they differ and one cannot be reached."""
    try:
        return path == other or path.samefile(other)
    except OSError:
        return False


def has_own_file(node: slicer.vtkMRMLStorableNode) -> bool:
    """Return whether a model or list was read from a file or saved to one.

    Parameters
    ----------
    node : vtkMRMLStorableNode
        Any model or list.

    Returns
    -------
    bool
        True if its storage node has a file name.
    """
    storage = node.GetStorageNode()
    return storage is not None and bool(storage.GetFileName())


def save(landmarks: LandmarkList, path: Path) -> None:
    """Save the list as a Slicer point list and set its storage node to the file.

    Parameters
    ----------
    landmarks : LandmarkList
        The list.
    path : Path
        Ending in .mrk.json; an existing file is overwritten.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    node = landmarks.node
    before = "" if node.GetStorageNode() is None else node.GetStorageNode().GetFileName()
    try:
        with replacing(path, overwrite=True) as draft:
            _forget_errors(node)
            # A new dictionary, since Slicer keeps what it adds to its default one.
            is_written = slicer.util.saveNode(node, str(draft), properties={})
            if not (is_written and _is_whole(draft)):
                msg = f"{path}: Slicer has not written all of it."
                raise OutputError(msg)
    except OutputError as err:
        _forget_errors(node)
        node.StorableModified()  # Slicer takes half a file for a saved list
        if node.GetStorageNode() is not None:
            node.GetStorageNode().SetFileName(before)  # the list is still in this file
        msg = _(
            "{path} could not be written. Check the free space, choose a folder that you may write "
            "to, or close the program that has the file open."
        )
        raise OSError(msg.format(path=path)) from err
    node.GetStorageNode().SetFileName(str(path))
    note_file(node)


def _is_whole(path: Path) -> bool:
    """Return whether a list was written to its end: Slicer does not notice a full disk."""
    try:
        json.loads(path.read_bytes())
    except ValueError:
        return False
    return True


def remarks_on_saved(landmarks: LandmarkList) -> list[str]:
    """Return what else must be saved for list and scan to match when both are opened again.

    Parameters
    ----------
    landmarks : LandmarkList
        A list that was just saved.

    Returns
    -------
    list of str
        Empty if the scan's file has the coordinates that the list refers to.
    """
    model = landmarks.model_node
    if model is None or not has_own_file(model) or model_scale(model) == 1.0:
        return []
    text = _(
        "The scan was scaled, its file {name} was not: save the scan as well (File, Save Data), or "
        "these landmarks will not lie on it when both are opened again."
    )
    return [text.format(name=Path(model.GetStorageNode().GetFileName()).name)]


def _forget_errors(node: slicer.vtkMRMLStorableNode) -> None:
    """Clear the errors of a failed save, which would make each later one fail."""
    if node.GetStorageNode() is not None:
        node.GetStorageNode().GetUserMessages().ClearMessages()


def check_format(landmarks: LandmarkList, format_name: str) -> None:
    """Check that a format can hold a list, before its user is asked for a path.

    Parameters
    ----------
    landmarks : LandmarkList
        The list.
    format_name : str
        A key of `palnet.exchange.FORMATS`.

    Raises
    ------
    ValueError
        If landmarks have no position, and programs that read the format cannot be told so.
    """
    placed = landmarks.landmark_set().is_placed
    codes = [
        code for code, is_there in zip(landmarks.scheme.codes, placed, strict=True) if not is_there
    ]
    if codes and not get_format(format_name).holds_missing:
        msg = _(
            "Landmarks without a position: {codes}. Programs that read this format would take them "
            "for placed. Place them, or choose a format that can leave them out: {suffixes}."
        )
        suffixes = ", ".join(each.suffix for each in FORMATS.values() if each.holds_missing)
        raise ValueError(msg.format(codes=", ".join(codes), suffixes=suffixes))


def export(
    landmarks: LandmarkList,
    path: Path,
    format_name: str,
    frame: Frame,
    *,
    overwrite: bool = False,
) -> tuple[tuple[Path, ...], list[str]]:
    """Write the list for another program.

    Parameters
    ----------
    landmarks : LandmarkList
        The list.
    path : Path
        File to write.
    format_name : str
        A key of `palnet.exchange.FORMATS`.
    frame : {"file", "LPS", "RAS"}
        Coordinate frame to write.
    overwrite : bool
        Whether to overwrite an existing file.

    Returns
    -------
    tuple of Path
        The written files: that of the landmarks, and its companion if the format needs one.
    list of str
        What was not written exactly as requested, such as a specimen name that readers of the
        format cannot handle.

    Raises
    ------
    PalnetError
        If the format cannot store these landmarks, or the file exists.
    ValueError
        As `check_format`; also if the file is that of a saved list, or the coordinates in the
        model's file are unknown.
    """
    check_format(landmarks, format_name)
    saved = _find_list_of(path, landmarks)
    if saved is not None:
        msg = _(
            "{name} is the file of the saved list '{list}', which holds more than an export. Click "
            "Save landmarks, or choose another name."
        )
        raise ValueError(msg.format(name=path.name, list=saved.GetName()))
    in_file = frame == "file"
    framed = in_model_file(landmarks) if in_file else landmarks.landmark_set().to_frame(frame)
    with catching(FormatWarning, "always") as caught:
        written = write_landmarks(
            framed, path, format=format_name, overwrite=overwrite, rename=True
        )
    return written, [str(warning.message) for warning in caught]


def in_model_file(landmarks: LandmarkList) -> LandmarkSet:
    """Return the landmarks in the coordinates of the model's file, so that they overlay it.

    Parent transforms and a scaling to millimeters are undone; the axes are those in which Slicer
    read the file (LPS unless its header says otherwise).

    Parameters
    ----------
    landmarks : LandmarkList
        The list.

    Returns
    -------
    LandmarkSet
        Frame "file".

    Raises
    ------
    ValueError
        If the model is gone, or its coordinates no longer match its file.
    """
    model = landmarks.model_node
    if model is None:
        msg = _(
            "These landmarks belong to no model of the scene. Choose LPS or RAS instead of the "
            "file's frame."
        )
        raise ValueError(msg)
    if has_own_file(model) and not (is_as_its_file(model) and _is_where_its_file_is(model)):
        msg = _(
            "The model was changed since its file was read, or came with a scene bundle (.mrb), so "
            "that nobody knows whether the landmarks would lie on a file. Save the model first, or "
            "choose LPS or RAS instead of the file's frame."
        )
        raise ValueError(msg)
    if lies_elsewhere(landmarks, model):
        msg = _(
            "The landmarks do not lie on the model where it is now, so that they would not lie on "
            "its file. Put both under one transform, or choose LPS or RAS instead of the file's "
            "frame."
        )
        raise ValueError(msg)
    scale, space = model_scale(model), _space_of(model)
    signs = 1.0 if space == "RAS" else OTHER_AXES
    positions = to_local(model, landmarks.world_positions) * signs / scale
    mm_per_unit = landmarks.mm_per_world_unit * scale_of(world_matrix(model)) * scale
    in_world = landmarks.landmark_set()
    return replace(in_world, positions=positions, mm_per_unit=mm_per_unit, space=space)


def _space_of(model_node: slicer.vtkMRMLModelNode) -> Space:
    """Return the axes in which Slicer has read the file of a model."""
    storage = model_node.GetStorageNode()
    is_ras = storage is not None and storage.GetCoordinateSystem() == storage.CoordinateSystemRAS
    return "RAS" if is_ras else "LPS"


def _is_where_its_file_is(model_node: slicer.vtkMRMLModelNode) -> bool:
    """Return whether the surface in a model's file is as far to all sides as the model.

    Slicer takes a model for saved that went into a scene bundle (.mrb) only, though its file is
    still as it was before a transform was hardened.
    """
    path = Path(model_node.GetStorageNode().GetFullNameFromFileName())
    poly = model_node.GetPolyData()
    try:
        mesh = read_mesh(path)
    except (PalnetError, OSError):
        return True  # nobody can tell
    cells = (poly.GetPolys(), poly.GetStrips())
    corners = np.concatenate([vtk_to_numpy(each.GetConnectivityArray()) for each in cells])
    if not (len(corners) and len(mesh.triangles)):
        return True  # no surface to compare
    signs = 1.0 if _space_of(model_node) == "RAS" else OTHER_AXES
    here = vtk_to_numpy(poly.GetPoints().GetData())[corners] * signs / model_scale(model_node)
    there = mesh.points[mesh.triangles.ravel()]
    gaps = [here.min(axis=0) - there.min(axis=0), here.max(axis=0) - there.max(axis=0)]
    return bool(np.abs(gaps).max() <= _SAME_PLACE * np.ptp(there, axis=0).max())
