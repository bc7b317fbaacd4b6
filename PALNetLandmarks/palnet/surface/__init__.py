# SPDX-License-Identifier: Apache-2.0
"""Scans as surfaces: reading, units, cleaning, sampling, projecting."""

from palnet.surface._canonical import drop_unused
from palnet.surface._colors import names_color, read_colored_mesh
from palnet.surface._findings import MINOR_FINDINGS, inspect_surface
from palnet.surface._foreign import FOREIGN_SCANS
from palnet.surface._interior import leave_out_interior
from palnet.surface._lost import mesh_without_lost
from palnet.surface._materials import bare_name, find_beside, find_texture, read_materials
from palnet.surface._mesh import Finding, Mesh
from palnet.surface._prepare import prepare_scan, prepare_surface
from palnet.surface._project import Projection, project_onto_triangles
from palnet.surface._read import MESH_SUFFIXES, read_mesh
from palnet.surface._sample import PointCloud, sample_surface
from palnet.surface._surface import Surface, crop_surface, find_long_triangles
from palnet.surface._texture import read_picture, sample_pixels, sample_texture
from palnet.surface._thin import thin_mesh
from palnet.surface._units import UNIT_NAMES, Unit, check_size, parse_unit, plausible_units
from palnet.surface._write import to_polydata, write_ply

__all__ = [
    "FOREIGN_SCANS",
    "MESH_SUFFIXES",
    "MINOR_FINDINGS",
    "UNIT_NAMES",
    "Finding",
    "Mesh",
    "PointCloud",
    "Projection",
    "Surface",
    "Unit",
    "bare_name",
    "check_size",
    "crop_surface",
    "drop_unused",
    "find_beside",
    "find_long_triangles",
    "find_texture",
    "inspect_surface",
    "leave_out_interior",
    "mesh_without_lost",
    "names_color",
    "parse_unit",
    "plausible_units",
    "prepare_scan",
    "prepare_surface",
    "project_onto_triangles",
    "read_colored_mesh",
    "read_materials",
    "read_mesh",
    "read_picture",
    "sample_pixels",
    "sample_surface",
    "sample_texture",
    "thin_mesh",
    "to_polydata",
    "write_ply",
]
