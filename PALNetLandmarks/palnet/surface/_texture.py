# SPDX-License-Identifier: Apache-2.0
"""Pictures that hold the color of a scan, and the color at texture coordinates."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from palnet.errors import MeshError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from os import PathLike

    from numpy.typing import ArrayLike, NDArray

__all__ = ["read_picture", "sample_pixels", "sample_texture"]

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
JPEG_MAGIC = b"\xff\xd8\xff"
BMP_MAGIC = b"BM"
BMP_OLD = b"\x0c"
"""Size of the header of OS/2, which says nothing of packing."""

PNG_HEADER_BYTES = 13
PNG_PARTS = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
"""Header, palette, packed pixels and end: all that is needed of a PNG file, in this order."""

PNG_PALETTE = 3
PNG_TYPES = {0: (1, (1, 2, 4, 8, 16)), 2: (3, (8, 16)), 3: (1, (1, 2, 4, 8)), 4: (2, (8, 16)),
             6: (4, (8, 16))}  # fmt: skip
"""Numbers per pixel and possible bits per number of PNG's color types: gray, color, palette, and
the first two with opacity."""
MAX_PNG_FILTER = 4
"""Rows of a PNG file are stored in five ways, 0 to 4."""

MAX_PIXELS = 1 << 28
"""More than the 16,384 times 16,384 pixels of the largest textures are not read."""

MAX_PIXELS_PER_BYTE = 10_000
"""Even one black picture packs fewer into a byte; more are the size of a damaged header."""

NO_COLOR = 128
"""Gray, where a texture coordinate is not a number."""

REMEDY = "Save it as JPEG or plain PNG"

OPENING = "Check the rights, and whether a program has it open"


def sample_texture(image: str | PathLike[str], uv: ArrayLike) -> NDArray[np.uint8]:
    """Look up the colors of a picture at texture coordinates.

    Convention: (0, 0) is the lower left corner of the picture, (1, 1) the upper right one, and the
    picture repeats outside, as in OBJ files. The color is that of the pixel that holds the point.

    Parameters
    ----------
    image : str or PathLike
        A JPEG, PNG or BMP file; the suffix does not matter. Gray, transparent and 16-bit pictures
        become 8-bit red, green and blue. TIFF is refused: vtkTIFFReader (VTK 9.7.2) returns wrong
        pixels for many of them, without an error.
    uv : array_like of shape (n, 2)
        Texture coordinates. Where one is not finite, the color is gray.

    Returns
    -------
    ndarray of shape (n, 3)
        Red, green and blue, 0 to 255.

    Raises
    ------
    MeshError
        If the picture is missing, damaged or of another kind. The message does not name the file.
    """
    return sample_pixels(read_picture(image), uv)


def sample_pixels(pixels: NDArray[np.uint8], uv: ArrayLike) -> NDArray[np.uint8]:
    """Look up the colors of pixels at texture coordinates, as `sample_texture` does.

    Convention: the lowest row of the picture comes first, as in a vtkImageData.

    Parameters
    ----------
    pixels : ndarray of shape (height, width, 3)
        Red, green and blue, 0 to 255.
    uv : array_like of shape (n, 2)
        Texture coordinates. Where one is not finite, the color is gray.

    Returns
    -------
    ndarray of shape (n, 3)
        Red, green and blue, 0 to 255.
    """
    uv = np.asarray(uv, dtype=np.float64)
    if uv.ndim != 2 or uv.shape[1] != 2:
        msg = f"uv must have shape (n, 2); got {uv.shape}."
        raise ValueError(msg)
    is_known = np.isfinite(uv).all(axis=1)
    known = uv[is_known]
    repeated = np.where((known < 0) | (known > 1), known - np.floor(known), known)
    size = np.array(pixels.shape[1::-1])
    column, row = np.minimum((repeated * size).astype(np.int64), size - 1).T
    colors = np.full((len(uv), 3), NO_COLOR, dtype=np.uint8)
    colors[is_known] = pixels[row, column]
    return colors


def read_picture(image: str | PathLike[str]) -> NDArray[np.uint8]:
    """Read a picture, as `sample_texture` does.

    Convention: the lowest row of the picture comes first, as in a vtkImageData.

    Parameters
    ----------
    image : str or PathLike
        A JPEG, PNG or BMP file.

    Returns
    -------
    ndarray of shape (height, width, 3)
        Red, green and blue, 0 to 255.

    Raises
    ------
    MeshError
        If the picture is missing, damaged or of another kind. The message does not name the file.
    """
    path = Path(image)
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as err:  # ValueError: a name that no file can have
        msg = f"cannot be opened ({getattr(err, 'strerror', None) or err}). {OPENING}"
        raise MeshError(msg) from err
    if data.startswith(PNG_MAGIC):
        data = _pure_png(data)
    reader = _reader_of(data, path)
    problems: list[str] = []
    # With an observer VTK prints nothing. Any complaint counts: of a picture that is cut off it
    # returns the rest in gray.
    for source in (reader, reader.GetExecutive()):
        for event in ("ErrorEvent", "WarningEvent"):
            source.AddObserver(event, lambda _source, name: problems.append(name))
    reader.UpdateInformation()
    first_x, last_x, first_y, last_y, *_ = reader.GetDataExtent()
    width, height = last_x - first_x + 1, last_y - first_y + 1
    if not problems:
        _check_size(width, height, len(data))
        reader.Update()
    if problems:
        msg = f"is damaged or of an unusual kind. {REMEDY}"
        raise MeshError(msg)
    return _to_bytes(reader, width, height)


def _check_size(width: int, height: int, n_bytes: int) -> None:
    """Reject a picture that would fill the memory, at which VTK ends the process."""
    most = min(MAX_PIXELS, MAX_PIXELS_PER_BYTE * n_bytes)
    if not (0 < width <= most and 0 < height <= most // width):
        msg = f"has {width} times {height} pixels. {REMEDY}, and smaller"
        raise MeshError(msg)


def _reader_of(data: bytes, path: Path) -> Any:
    """Return VTK's reader for a picture, by its content."""
    from vtkmodules.vtkIOImage import vtkBMPReader, vtkJPEGReader, vtkPNGReader

    if data.startswith(PNG_MAGIC):
        return _read_from_memory(vtkPNGReader(), data)
    if not data.startswith((JPEG_MAGIC, BMP_MAGIC)):
        msg = f"is not a JPEG, PNG or BMP picture. {REMEDY}"
        raise MeshError(msg)
    if data.startswith(BMP_MAGIC) and data[14:15] != BMP_OLD and any(data[30:34]):
        msg = f"is a packed BMP. {REMEDY}"  # of which vtkBMPReader returns wrong pixels
        raise MeshError(msg)
    # Not from memory: then vtkJPEGReader prints its complaints past all observers.
    reader = vtkJPEGReader() if data.startswith(JPEG_MAGIC) else vtkBMPReader()
    try:
        reader.SetFileName(str(path))
    except ValueError as err:  # a name that is not UTF-8
        msg = "has a name that is not UTF-8. Rename it, also in the file of materials"
        raise MeshError(msg) from err
    return reader


def _read_from_memory(reader: Any, data: bytes) -> Any:
    """Let a reader read bytes, which must be kept until it has."""
    if not hasattr(reader, "SetStream"):  # VTK before 9.6
        reader.SetMemoryBuffer(data)
        reader.SetMemoryBufferLength(len(data))
        return reader
    from vtkmodules.vtkIOCore import vtkMemoryResourceStream

    stream = vtkMemoryResourceStream()
    stream.SetBuffer(data, len(data))
    reader.SetStream(stream)
    return reader


def _pure_png(data: bytes) -> bytes:
    """Return the pixels of a PNG file as one that has nothing else.

    Damage of any kind is an error here, because vtkPNGReader (VTK 9.4.0 to 9.7.2) would end the
    process.
    """
    bodies: dict[bytes, list[bytes]] = {kind: [] for kind in PNG_PARTS}
    for kind, body in _png_chunks(data):
        if kind in bodies:
            bodies[kind].append(body)
    parts = {kind: b"".join(each) for kind, each in bodies.items()}
    header, palette, packed, _ = parts.values()
    width, height, depth, color_type, *rest = struct.unpack(">IIBBBBB", header)
    if rest[2]:
        msg = f"is an interlaced PNG. {REMEDY}"
        raise MeshError(msg)
    _check_size(width, height, len(data))
    n_samples, depths = PNG_TYPES.get(color_type, (0, ()))
    row_bytes = 1 + (width * n_samples * depth + 7) // 8
    is_palette_fit = color_type != PNG_PALETTE or 3 <= len(palette) <= 768
    if depth not in depths or rest[:2] != [0, 0] or not is_palette_fit or len(palette) % 3:
        raise _damaged_png()
    rows = _inflate(packed, height * row_bytes)
    if rows.reshape(height, row_bytes)[:, 0].max() > MAX_PNG_FILTER:
        raise _damaged_png()
    kept = [(kind, body) for kind, body in parts.items() if body or kind == b"IEND"]
    chunks = [
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in kept
        if kind != b"PLTE" or color_type == PNG_PALETTE
    ]
    return PNG_MAGIC + b"".join(chunks)


def _damaged_png() -> MeshError:
    return MeshError("is damaged or cut off. Copy it again, or save it as JPEG or plain PNG")


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield kind and content of each chunk of a PNG file, checking the sums."""
    at, kind = len(PNG_MAGIC), b""
    while kind != b"IEND":
        n_bytes, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        body, end = data[at + 8 : at + 8 + n_bytes], at + 12 + n_bytes
        is_first, is_header = at == len(PNG_MAGIC), kind == b"IHDR" and n_bytes == PNG_HEADER_BYTES
        is_sum_right = zlib.crc32(kind + body) == int.from_bytes(data[end - 4 : end], "big")
        if end > len(data) or not is_sum_right or is_first != is_header:
            raise _damaged_png()
        yield kind, body
        at = end


def _inflate(packed: bytes, n_bytes: int) -> NDArray[np.uint8]:
    """Expand packed data of known size."""
    undo = zlib.decompressobj()
    try:
        raw = undo.decompress(packed, n_bytes + 1)
    except zlib.error as err:
        raise _damaged_png() from err
    if len(raw) != n_bytes or not undo.eof or undo.unused_data:
        raise _damaged_png()
    return np.frombuffer(raw, dtype=np.uint8)


def _to_bytes(reader: Any, width: int, height: int) -> NDArray[np.uint8]:
    """Convert what a reader returned to 8-bit red, green and blue."""
    from vtkmodules.util.numpy_support import vtk_to_numpy

    scalars = reader.GetOutput().GetPointData().GetScalars()
    values = np.asarray(vtk_to_numpy(scalars)).reshape(height, width, -1)
    n_samples = values.shape[2]
    if values.dtype == np.uint16:
        values = (values >> 8).astype(np.uint8)
    if values.dtype != np.uint8 or (n_samples == 4 and reader.IsA("vtkJPEGReader")):
        msg = f"is in colors for printing (CMYK) or of another unusual kind. {REMEDY}"
        raise MeshError(msg)
    return values[:, :, :3] if n_samples > 2 else np.repeat(values[:, :, :1], 3, axis=2)
