# SPDX-License-Identifier: Apache-2.0
"""The colors of a model's vertices: from the scene, or from files that Slicer does not read."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

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
    names_color,
    read_colored_mesh,
    read_materials,
    read_picture,
    sample_pixels,
    sample_texture,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import slicer
    from numpy.typing import NDArray

    from palnet.surface import Mesh

# Name of what this module shows on a model itself, which is no source of color.
SHOWN_COLOR = "PALNet color"
# Words in the names that programs give to colors. Three or four bytes are a color under any name,
# but fractions may be normals or directions.
_NAMES = ("rgb", "color", "colour")
# vtkOBJReader gives this place in the image to vertices that have none.
_NOWHERE = -1.0
# Its name for the material of faces before the first one.
_NO_MATERIAL = "NO_MATERIAL"
# OBJ files name their files of materials at the top.
_HEAD_BYTES = 1 << 16
_LIBRARY = re.compile(rb"^[ \t]*mtllib[ \t]+(\S.*)", re.MULTILINE)
_CANNOT_BE_READ = (PalnetError, OSError, ValueError, MemoryError)


@dataclass(frozen=True, eq=False)
class ReadColor:
    """Color of a scan, in one of two forms, or in none.

    Parameters
    ----------
    picture : ndarray of shape (height, width, 3), optional
        Pixels, the lowest row first, for the texture coordinates of the model.
    vertices : ndarray of shape (n_points, 3), optional
        Color of each vertex.
    """

    picture: NDArray[np.uint8] | None = None
    vertices: NDArray[np.uint8] | None = None

    def __bool__(self) -> bool:
        """Return whether there is any."""
        return self.picture is not None or self.vertices is not None


def reader_of_colored_mesh(model_node: slicer.vtkMRMLModelNode, mesh: Mesh) -> Callable[[], Mesh]:
    """Prepare to find the color of each vertex of a model.

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
    callable
        Called without arguments, in a worker thread, it returns the mesh with its colors. If there
        are none, the finding "texture" says why the image with the color cannot be used.
    """
    in_scene = _first_colors(_OF_SCENE, model_node)
    in_scene = None if in_scene is None else in_scene.copy()
    return partial(
        _add_colors,
        mesh,
        in_scene,
        _path(model_node),
        _texture_coordinates(model_node.GetPolyData()),
    )


def _add_colors(
    mesh: Mesh,
    in_scene: NDArray[np.uint8] | None,
    path: Path | None,
    uv: NDArray[np.float64] | None,
) -> Mesh:
    """Return a mesh with the first colors that are found."""
    colors = _first_readable(
        [lambda: in_scene, partial(_read_file, path, mesh), partial(_read_image_of_file, path, uv)]
    )
    findings = mesh.findings
    if colors is None and not any(finding.code == "texture" for finding in findings):
        findings = (*findings, *_describe_unusable_image(path, uv))
    return replace(mesh, colors=colors, findings=findings)


def reader_of_color(
    model_node: slicer.vtkMRMLModelNode, mesh: Mesh
) -> Callable[[], ReadColor] | None:
    """Prepare to read that color of a model which Slicer does not read.

    Parameters
    ----------
    model_node : vtkMRMLModelNode
        The model.
    mesh : Mesh
        Its surface, as of `models.mesh_from_model`.

    Returns
    -------
    callable or None
        Called without arguments, in a worker thread, it returns a `ReadColor`. None if the scene
        has colors of the model or there is no file to read.
    """
    poly, path = model_node.GetPolyData(), _path(model_node)
    if path is None or _first_colors(_OF_SCENE, model_node) is not None:
        return None
    uv = _texture_coordinates(poly)
    # Views lay one picture by one array, which has to hold a place for every vertex.
    shown = poly.GetPointData().GetTCoords()
    is_simple = uv is not None and shown is not None and np.array_equal(vtk_to_numpy(shown), uv)
    return partial(_read_color, path, mesh, uv, is_simple)


def _read_color(
    path: Path, mesh: Mesh, uv: NDArray[np.float64] | None, is_simple: bool
) -> ReadColor:
    """Read the picture if it can be laid over the model, otherwise the colors of vertices."""
    try:
        image = find_texture(path) if is_simple else None
        picture = None if image is None else read_picture(image)
    except _CANNOT_BE_READ:
        picture = None
    if picture is not None and uv is not None and _varies(sample_pixels(picture, uv)):
        return ReadColor(picture=picture)
    ways = [partial(_read_file, path, mesh), partial(_read_image_of_file, path, uv)]
    return ReadColor(vertices=_first_readable(ways))


def image_of_texture(display: slicer.vtkMRMLDisplayNode) -> vtk.vtkImageData | None:
    """Return the image that a display node shows on its model.

    Parameters
    ----------
    display : vtkMRMLDisplayNode
        Any display node.

    Returns
    -------
    vtkImageData or None
        None if it shows none.
    """
    port = display.GetTextureImageDataConnection()
    if port is None or port.GetProducer() is None:
        return None
    port.GetProducer().Update(port.GetIndex())
    image = port.GetProducer().GetOutputDataObject(port.GetIndex())
    return image if isinstance(image, vtk.vtkImageData) else None


def is_ours(image: vtk.vtkImageData | None) -> bool:
    """Return whether an image is what this module shows on a model.

    Parameters
    ----------
    image : vtkImageData or None
        Any image.

    Returns
    -------
    bool
        True if its pixels have the name `SHOWN_COLOR`.
    """
    scalars = None if image is None else image.GetPointData().GetScalars()
    return scalars is not None and scalars.GetName() == SHOWN_COLOR


def describe_missing_image(model_node: slicer.vtkMRMLModelNode) -> tuple[Finding, ...]:
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
        "The image with the color of the scan cannot be used. Not found: {names}. Lips and eyes "
        "are placed by shape alone. Keep the OBJ file, its material file and the image in one "
        "folder, and open the OBJ file again."
    )
    return (Finding("texture", text.format(names=", ".join(missing))),)


def _describe_unusable_image(
    path: Path | None, uv: NDArray[np.float64] | None
) -> tuple[Finding, ...]:
    """Say why the image with the color of a model cannot be used, such as damage; this reads it."""
    if path is None or uv is None:
        return ()
    try:
        findings = read_colored_mesh(path).findings if names_color(path) else ()
    except _CANNOT_BE_READ:
        return ()
    return tuple(finding for finding in findings if finding.code == "texture")


def _missing_files(model_node: slicer.vtkMRMLModelNode) -> list[str]:
    """Return the names of files that an OBJ file needs for its color and that are not there.

    The scene keeps the names of materials and of their files, also when it is saved.
    """
    fields, path = model_node.GetPolyData().GetFieldData(), _path(model_node)
    if path is None or _texture_coordinates(model_node.GetPolyData()) is None:
        return []
    lines = [b"mtllib " + name for name in _libraries(fields, path)]
    materials = read_materials(path, b"\n".join(lines))
    used = set(_texts(fields, "MaterialNames")) - {_NO_MATERIAL}
    images = [
        image for name, image in materials.pictures.items() if not used or _as_kept(name) in used
    ]
    missing = [image for image in images if find_beside(image, materials.folders) is None]
    if not used or not used <= set(map(_as_kept, materials.defined)):
        missing = [*materials.missing, *missing]
    return list(dict.fromkeys(map(bare_name, missing)))


def _libraries(fields: vtk.vtkFieldData, path: Path) -> list[bytes]:
    """Return the names of the files of materials, whole if the OBJ file itself is there."""
    head = b""
    with suppress(OSError), path.open("rb") as stream:
        head = stream.read(_HEAD_BYTES).replace(b"\r", b"\n")
    whole = [name.strip() for name in _LIBRARY.findall(head)]
    kept = {name.encode() for name in _texts(fields, "MaterialLibraries")}
    return [*whole, *sorted(kept - {name.split()[0] for name in whole})]


def _as_kept(name: str) -> str:
    """Return what vtkOBJReader keeps of a name, which may contain blanks: its first word."""
    return next(iter(name.split()), "")


def _first_colors(
    finders: Iterable[
        Callable[[slicer.vtkMRMLModelNode, vtk.vtkPolyData], NDArray[np.uint8] | None]
    ],
    model_node: slicer.vtkMRMLModelNode,
) -> NDArray[np.uint8] | None:
    """Return the first colors that are found."""
    return _first_readable(
        [partial(find, model_node, model_node.GetPolyData()) for find in finders]
    )


def _first_readable(
    ways: Iterable[Callable[[], NDArray[np.uint8] | None]],
) -> NDArray[np.uint8] | None:
    """Return the colors of the first way that leads to some."""
    for way in ways:
        try:
            colors = way()
        except _CANNOT_BE_READ:
            continue
        if _varies(colors):
            return colors
    return None


def _varies(colors: NDArray[np.uint8] | None) -> bool:
    """Return whether there is color; programs give one to all vertices of a scan without."""
    return colors is not None and bool((colors != colors[:1]).any())


def _from_display(
    model_node: slicer.vtkMRMLModelNode, poly: vtk.vtkPolyData
) -> NDArray[np.uint8] | None:
    """Sample the image that the scene shows on the model."""
    display, uv = model_node.GetDisplayNode(), _texture_coordinates(poly)
    if display is None or uv is None:
        return None
    image = image_of_texture(display)
    if image is None or is_ours(image):
        return None
    scalars = image.GetPointData().GetScalars()
    if scalars is None or not _is_bytes(scalars) or image.GetDimensions()[2] != 1:
        return None
    width, height, _depth = image.GetDimensions()
    return sample_pixels(vtk_to_numpy(scalars).reshape(height, width, -1)[:, :, :3], uv)


def _from_point_data(
    model_node: slicer.vtkMRMLModelNode, poly: vtk.vtkPolyData
) -> NDArray[np.uint8] | None:
    """Take the colors of vertices that Slicer or a module has read or made."""
    data, display = poly.GetPointData(), model_node.GetDisplayNode()
    shown = display.GetActiveScalarName() if display is not None else None
    arrays = [data.GetArray(index) for index in range(data.GetNumberOfArrays())]
    arrays = [array for array in arrays if _is_of_points(array, poly)]
    arrays.sort(key=lambda array: (not _is_named_color(array), array.GetName() != shown))
    return next((_to_bytes(array) for array in arrays if _to_bytes(array) is not None), None)


_OF_SCENE = (_from_display, _from_point_data)


def _read_file(path: Path | None, mesh: Mesh) -> NDArray[np.uint8] | None:
    """Read the colors of a file, if it has the triangles of a mesh; vertices may have moved.

    Slicer has a vertex of an OBJ file several times, one for each place in the image.
    """
    if path is None or not names_color(path):
        return None
    stored = read_colored_mesh(path)
    if stored.colors is None or len(stored.triangles) != len(mesh.triangles):
        return None
    vertices = np.zeros(len(mesh.points), np.int64)
    vertices[mesh.triangles] = stored.triangles
    is_same = (vertices[mesh.triangles] == stored.triangles).all()
    return stored.colors[vertices] if is_same else None


def _read_image_of_file(
    path: Path | None, uv: NDArray[np.float64] | None
) -> NDArray[np.uint8] | None:
    """Sample the image that the material file of an OBJ file names."""
    if path is None or uv is None:
        return None
    image = find_texture(path)
    return None if image is None else sample_texture(image, uv)


def _is_of_points(array: vtk.vtkDataArray | None, poly: vtk.vtkPolyData) -> bool:
    """Return whether an array holds something for each vertex; modules may leave others behind."""
    return array is not None and array.GetNumberOfTuples() == poly.GetNumberOfPoints()


def _is_named_color(array: vtk.vtkDataArray) -> bool:
    return any(word in (array.GetName() or "").lower() for word in _NAMES)


def _is_bytes(array: vtk.vtkDataArray) -> bool:
    is_byte = array.GetDataType() == vtk.VTK_UNSIGNED_CHAR
    return is_byte and array.GetNumberOfComponents() in (3, 4)


def _to_bytes(array: vtk.vtkDataArray) -> NDArray[np.uint8] | None:
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


def _texture_coordinates(poly: vtk.vtkPolyData) -> NDArray[np.float64] | None:
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


def _texts(fields: vtk.vtkFieldData, name: str) -> list[str]:
    """Return the texts in an array of field data; none if it is not there."""
    array = fields.GetAbstractArray(name)
    if not isinstance(array, vtk.vtkStringArray):
        return []
    return [array.GetValue(index) for index in range(array.GetNumberOfValues())]


def _path(model_node: slicer.vtkMRMLModelNode) -> Path | None:
    """Return the path of a model's file."""
    storage = model_node.GetStorageNode()
    name = "" if storage is None else storage.GetFullNameFromFileName()
    return Path(name) if name else None
