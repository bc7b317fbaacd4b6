# SPDX-License-Identifier: Apache-2.0
"""The colors of a model's vertices: from the scene, or from files that Slicer does not read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import vtk
from slicer.i18n import tr as _
from vtk.util.numpy_support import vtk_to_numpy

from palnet.errors import PalnetError
from palnet.surface import (
    Finding,
    bare_name,
    find_beside,
    find_texture,
    read_colored_mesh,
    read_materials,
    sample_pixels,
    sample_texture,
)

# Words in the names that programs give to colors. Three or four bytes are a color under any name,
# but fractions may be normals or directions.
_NAMES = ("rgb", "color", "colour")
# Slicer reads the colors of other files itself, except those of STL files, which mean nothing.
_READ_AGAIN = (".obj", ".ply")
# vtkOBJReader gives this place in the image to vertices that have none.
_NOWHERE = -1.0
# Its name for the material of faces before the first one.
_NO_MATERIAL = "NO_MATERIAL"
_CANNOT_BE_READ = (PalnetError, OSError, ValueError, MemoryError)


def colors_of_model(model_node, mesh):
    """Find the color of each vertex of a model.

    Tried in turn: the image that the scene shows on the model; colors among its point data; its
    file, of which Slicer reads neither the image nor the colors of vertices of an OBJ; the image
    of its file alone, for a model that was changed since.

    Parameters
    ----------
    model_node : vtkMRMLModelNode
        The model.
    mesh : Mesh
        Its surface, as of `models.mesh_from_model`.

    Returns
    -------
    ndarray of shape (n_points, 3), or None
        Red, green and blue, 0 to 255 (uint8); None if the model has no color, or one that cannot
        be read.
    """
    return _first_colors((*_OF_SCENE, _from_file, _from_image_of_file), model_node, mesh)


def describe_missing_image(model_node):
    """Say so if the image with the color of a model is not where its file says.

    Parameters
    ----------
    model_node : vtkMRMLModelNode
        The model.

    Returns
    -------
    tuple of Finding
        Empty if it is there, or the model has another color, or none.
    """
    try:
        missing = _missing_files(model_node)
    except _CANNOT_BE_READ:
        return ()
    if not missing or _first_colors(_OF_SCENE, model_node) is not None:
        return ()
    text = _(
        "The image with the color of the scan cannot be used, because {names} is not there: lips "
        "and eyes are placed by shape alone. Keep the OBJ file, its material file and the image "
        "in one folder, and open the OBJ file again."
    )
    return (Finding("texture", text.format(names=", ".join(missing))),)


def describe_unusable_image(model_node):
    """Say why the image with the color of a model cannot be used, such as damage; this reads it.

    Parameters
    ----------
    model_node : vtkMRMLModelNode
        A model of which `colors_of_model` finds no colors.

    Returns
    -------
    tuple of Finding
        Empty if it has no image.
    """
    path = _path(model_node)
    has_image = path is not None and _texture_coordinates(model_node.GetPolyData()) is not None
    if not has_image or path.suffix.lower() not in _READ_AGAIN:
        return ()
    try:
        findings = read_colored_mesh(path).findings
    except _CANNOT_BE_READ:
        return ()
    return tuple(finding for finding in findings if finding.code == "texture")


def _missing_files(model_node):
    """Return the names of files that an OBJ file needs for its color and that are not there.

    The scene keeps the names of materials and of their files, also when it is saved.
    """
    fields, path = model_node.GetPolyData().GetFieldData(), _path(model_node)
    if path is None or _texture_coordinates(model_node.GetPolyData()) is None:
        return []
    lines = "".join(f"mtllib {name}\n" for name in _texts(fields, "MaterialLibraries"))
    materials = read_materials(path, lines.encode())
    used = set(_texts(fields, "MaterialNames")) - {_NO_MATERIAL}
    images = [image for name, image in materials.pictures.items() if name in used or not used]
    missing = [image for image in images if find_beside(image, materials.folders) is None]
    if not used or not used <= materials.defined:
        missing = [*materials.missing, *missing]
    return list(dict.fromkeys(map(bare_name, missing)))


def _first_colors(finders, model_node, mesh=None):
    """Return the first colors that are found."""
    for find in finders:
        try:
            colors = find(model_node, model_node.GetPolyData(), mesh)
        except _CANNOT_BE_READ:
            continue
        # Programs give one color to all vertices of a scan that has none.
        if colors is not None and (colors != colors[:1]).any():
            return colors
    return None


def _from_display(model_node, poly, _mesh):
    """Sample the image that the scene shows on the model."""
    display, uv = model_node.GetDisplayNode(), _texture_coordinates(poly)
    port = None if display is None else display.GetTextureImageDataConnection()
    if port is None or uv is None:
        return None
    port.GetProducer().Update(port.GetIndex())
    image = port.GetProducer().GetOutputDataObject(port.GetIndex())
    scalars = image.GetPointData().GetScalars() if isinstance(image, vtk.vtkImageData) else None
    if scalars is None or not _is_bytes(scalars) or image.GetDimensions()[2] != 1:
        return None
    width, height, _depth = image.GetDimensions()
    return sample_pixels(vtk_to_numpy(scalars).reshape(height, width, -1)[:, :, :3], uv)


def _from_point_data(model_node, poly, _mesh):
    """Take the colors of vertices that Slicer or a module has read or made."""
    data, display = poly.GetPointData(), model_node.GetDisplayNode()
    shown = display.GetActiveScalarName() if display is not None else None
    arrays = [data.GetArray(index) for index in range(data.GetNumberOfArrays())]
    arrays = [array for array in arrays if _is_of_points(array, poly)]
    arrays.sort(key=lambda array: (not _is_named_color(array), array.GetName() != shown))
    return next((_to_bytes(array) for array in arrays if _to_bytes(array) is not None), None)


def _from_file(model_node, _poly, mesh):
    """Read the colors of the model's file, if it has the same triangles; vertices may have moved.

    Slicer has a vertex of an OBJ file several times, one for each place in the image.
    """
    path = _path(model_node)
    if path is None or path.suffix.lower() not in _READ_AGAIN:
        return None
    stored = read_colored_mesh(path)
    if stored.colors is None or len(stored.triangles) != len(mesh.triangles):
        return None
    vertices = np.zeros(len(mesh.points), np.int64)
    vertices[mesh.triangles] = stored.triangles
    is_same = (vertices[mesh.triangles] == stored.triangles).all()
    return stored.colors[vertices] if is_same else None


def _from_image_of_file(model_node, poly, _mesh):
    """Sample the image that the material file of an OBJ file names."""
    path, uv = _path(model_node), _texture_coordinates(poly)
    image = None if path is None or uv is None else find_texture(path)
    return None if image is None else sample_texture(image, uv)


_OF_SCENE = (_from_display, _from_point_data)


def _is_of_points(array, poly):
    """Return whether an array holds something for each vertex; modules may leave others behind."""
    return array is not None and array.GetNumberOfTuples() == poly.GetNumberOfPoints()


def _is_named_color(array):
    return any(word in (array.GetName() or "").lower() for word in _NAMES)


def _is_bytes(array):
    is_byte = array.GetDataType() == vtk.VTK_UNSIGNED_CHAR
    return is_byte and array.GetNumberOfComponents() in (3, 4)


def _to_bytes(array):
    """Convert an array of point data to colors; None if it holds something else."""
    if array.GetNumberOfComponents() not in (3, 4):
        return None
    values = vtk_to_numpy(array)[:, :3]
    if _is_bytes(array):
        return values
    if not _is_named_color(array) or not (values >= 0).all() or values.max() > 255:  # also of NaN
        return None
    is_share = values.dtype.kind == "f" and values.max() <= 1
    return np.rint(values * 255 if is_share else values).astype(np.uint8)


def _texture_coordinates(poly):
    """Return the place of each vertex in the image, NaN where it has none; None if all have none.

    vtkOBJReader makes an array for each material, in which vertices of others are nowhere.
    """
    data, materials = poly.GetPointData(), _texts(poly.GetFieldData(), "MaterialNames")
    arrays = [data.GetTCoords(), *(data.GetArray(name) for name in materials)]
    uv = np.full((poly.GetNumberOfPoints(), 2), np.nan)
    for array in arrays:
        if _is_of_points(array, poly) and array.GetNumberOfComponents() >= 2:
            places = vtk_to_numpy(array)[:, :2]
            is_new = np.isnan(uv).any(axis=1) & (places != _NOWHERE).any(axis=1)
            uv[is_new] = places[is_new]
    return None if np.isnan(uv).all() else uv


def _texts(fields, name):
    """Return the texts in an array of field data; none if it is not there."""
    array = fields.GetAbstractArray(name)
    if not isinstance(array, vtk.vtkStringArray):
        return []
    return [array.GetValue(index) for index in range(array.GetNumberOfValues())]


def _path(model_node):
    """Return the path of a model's file."""
    storage = model_node.GetStorageNode()
    name = "" if storage is None else storage.GetFullNameFromFileName()
    return Path(name) if name else None
