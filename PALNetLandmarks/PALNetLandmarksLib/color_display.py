# SPDX-License-Identifier: Apache-2.0
"""Show the color of a scan that Slicer does not show by itself.

Only the display node gets it: a picture as its texture, or the colors of vertices as an array that
is added between the model and the view. The model stays as its file is: nothing has to be saved,
and exports and other modules see no difference.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk

from palnet.preview import SKIN_COLOR
from PALNetLandmarksLib.model_colors import SHOWN_COLOR, image_of_texture, is_ours

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from PALNetLandmarksLib.model_colors import ReadColor

# How the display was before the array; it is there as long as the display is ours.
BEFORE_ATTRIBUTE = "PALNet.DisplayBeforeColor"

# Graphics cards have limits, and no view shows more.
_MOST_PIXELS_A_SIDE = 8192
# Those that hold a picture.
_SOURCES: list[vtk.vtkTrivialProducer] = []
_POINT_DATA = vtk.vtkAssignAttribute.POINT_DATA


def can_show_color(model_node: slicer.vtkMRMLModelNode) -> bool:
    """Return whether the color can be shown without hiding what the user or Slicer shows.

    Parameters
    ----------
    model_node : vtkMRMLModelNode
        The model.

    Returns
    -------
    bool
        False if it has no display node, or that shows another texture or array.
    """
    display = model_node.GetDisplayNode()
    if display is None:
        return False
    is_textured = display.GetTextureImageDataConnection() is not None
    if display.GetActiveScalarName() == SHOWN_COLOR:
        return not is_textured
    is_free = not display.GetScalarVisibility() and not _is_ours(display)
    return is_free and (not is_textured or _is_picture_ours(display))


def show_color(model_node: slicer.vtkMRMLModelNode, color: ReadColor) -> None:
    """Show the color of a model.

    If colors of vertices were shown already and the user hid them in another module, they stay
    hidden.

    Parameters
    ----------
    model_node : vtkMRMLModelNode
        A model of which `can_show_color` is true.
    color : ReadColor
        A picture, or the colors of its vertices.
    """
    display = model_node.GetDisplayNode()
    with slicer.util.NodeModify(display):
        if color.picture is not None:
            if not _is_picture_ours(display) or _is_blank(display):
                _lay(display, color.picture)
        elif color.vertices is not None:
            if not _is_connected(display):
                _connect(model_node, display, color.vertices)
            if not _is_ours(display):
                _take_over(display)


def hide_color(model_node: slicer.vtkMRMLModelNode) -> None:
    """Show the model as it was before; settings that the user has changed since are kept.

    Parameters
    ----------
    model_node : vtkMRMLModelNode
        Any model.
    """
    display = model_node.GetDisplayNode()
    if display is None:
        return
    with slicer.util.NodeModify(display):
        if _is_picture_ours(display):
            _blank(display.GetTextureImageDataConnection().GetProducer())
            display.SetTextureImageDataConnection(None)
        if _is_connected(display):
            display.SetInputPolyDataConnection(model_node.GetPolyDataConnection())
        if _is_ours(display):
            _give_back(display)


def _lay(display: slicer.vtkMRMLModelDisplayNode, pixels: NDArray[np.uint8]) -> None:
    """Lay a picture over a model, and drop those that no model shows any more.

    Slicer keeps the address of a texture only, also in copies of a display node (clones, scene
    views), and crashes if there is nothing. So sources stay for ever; what they hold does not.
    """
    source = vtk.vtkTrivialProducer()
    source.Register(None)
    displays = slicer.util.getNodesByClass("vtkMRMLModelDisplayNode")
    used = [each.GetTextureImageDataConnection() for each in displays]
    for other in [each for each in _SOURCES if each.GetOutputPort() not in used]:
        _blank(other)
    step = -(-max(pixels.shape) // _MOST_PIXELS_A_SIDE)
    source.SetOutput(_image_of(pixels[::step, ::step]))
    _SOURCES.append(source)
    display.SetTextureImageDataConnection(source.GetOutputPort())


def _blank(source: vtk.vtkTrivialProducer) -> None:
    """Free the picture of a source; models that show it, as of scene views, look plain."""
    source.SetOutput(_image_of(np.round(255 * np.array([[SKIN_COLOR]])).astype(np.uint8)))
    if source in _SOURCES:
        _SOURCES.remove(source)


def _image_of(pixels: NDArray[np.uint8]) -> vtk.vtkImageData:
    """Copy a picture to VTK, where its name tells that it is ours."""
    image = vtk.vtkImageData()
    image.SetDimensions(pixels.shape[1], pixels.shape[0], 1)
    image.GetPointData().SetScalars(_named(pixels.reshape(-1, 3)))
    return image


def _is_blank(display: slicer.vtkMRMLModelDisplayNode) -> bool:
    image = image_of_texture(display)
    return image is not None and image.GetNumberOfPoints() == 1


def _is_picture_ours(display: slicer.vtkMRMLModelDisplayNode) -> bool:
    return is_ours(image_of_texture(display))


def _is_ours(display: slicer.vtkMRMLModelDisplayNode) -> bool:
    return display.GetAttribute(BEFORE_ATTRIBUTE) is not None


def _is_connected(display: slicer.vtkMRMLModelDisplayNode) -> bool:
    """Return whether the array gets to the display; a model with a new surface disconnects it."""
    port = display.GetInputPolyDataConnection()
    return port is not None and isinstance(port.GetProducer(), vtk.vtkMergeArrays)


def _connect(
    model_node: slicer.vtkMRMLModelNode,
    display: slicer.vtkMRMLModelDisplayNode,
    colors: NDArray[np.uint8],
) -> None:
    """Add the array on the way from the model to its display, where changes of points pass too."""
    carrier, source, merger = vtk.vtkImageData(), vtk.vtkTrivialProducer(), vtk.vtkMergeArrays()
    carrier.SetDimensions(len(colors), 1, 1)  # as many points; of another number none are merged
    carrier.GetPointData().AddArray(_named(colors))
    source.SetOutput(carrier)
    merger.AddInputConnection(model_node.GetPolyDataConnection())
    merger.AddInputConnection(source.GetOutputPort())
    display.SetInputPolyDataConnection(merger.GetOutputPort())


def _named(colors: NDArray[np.uint8]) -> vtk.vtkUnsignedCharArray:
    """Copy colors to an array of VTK."""
    array = numpy_to_vtk(np.ascontiguousarray(colors), deep=True)
    array.SetName(SHOWN_COLOR)
    return array


def _take_over(display: slicer.vtkMRMLModelDisplayNode) -> None:
    """Let the display show the array, and note how it was."""
    before = (
        display.GetScalarVisibility(),
        display.GetActiveScalarName(),
        display.GetActiveAttributeLocation(),
        display.GetScalarRangeFlag(),
    )
    display.SetAttribute(BEFORE_ATTRIBUTE, json.dumps(before))
    display.SetActiveScalar(SHOWN_COLOR, _POINT_DATA)
    display.SetScalarRangeFlag(display.UseDirectMapping)
    display.SetScalarVisibility(True)


def _give_back(display: slicer.vtkMRMLModelDisplayNode) -> None:
    """Let the display show what it did before the array, unless the user chose something else."""
    visible, name, location, flag = _before(display)
    display.RemoveAttribute(BEFORE_ATTRIBUTE)
    if display.GetActiveScalarName() == SHOWN_COLOR:
        display.SetScalarVisibility(visible)
        display.SetActiveScalar(name, location)
        display.SetScalarRangeFlag(flag)


def _before(display: slicer.vtkMRMLModelDisplayNode) -> tuple[bool, str | None, int, int]:
    """Return how the display was, or as Slicer makes it if that is not known."""
    try:
        visible, name, location, flag = json.loads(display.GetAttribute(BEFORE_ATTRIBUTE))
        return bool(visible), None if name is None else str(name), int(location), int(flag)
    except (ValueError, TypeError):  # the scene was edited by hand
        return False, None, _POINT_DATA, display.UseDataScalarRange
