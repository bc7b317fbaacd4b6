# SPDX-License-Identifier: Apache-2.0
"""Display properties of point lists in the views."""

from __future__ import annotations

import slicer

from palnet.exchange._mrk_json import ACTIVE_COLOR, GLYPH_MM, POINT_COLOR, TEXT_SCALE

# A glyph too large or too small by this factor means another unit, not a user's preference.
_OTHER_UNIT = 8.0


def style(display: slicer.vtkMRMLMarkupsDisplayNode) -> None:
    """Draw small dots with small labels, as lists of `palnet detect`; spheres show the class.

    Parameters
    ----------
    display : vtkMRMLMarkupsDisplayNode
        Display node of a new list.
    """
    display.SetUseGlyphScale(False)
    display.SetGlyphSize(GLYPH_MM)
    display.SetTextScale(TEXT_SCALE)
    display.SetSelectedColor(*POINT_COLOR)
    display.SetColor(*POINT_COLOR)
    display.SetActiveColor(*ACTIVE_COLOR)
    display.SetPropertiesLabelVisibility(False)
    display.SetSnapMode(slicer.vtkMRMLMarkupsDisplayNode.SnapModeToVisibleSurface)


def fit_glyphs(node: slicer.vtkMRMLMarkupsFiducialNode, mm_per_world_unit: float) -> None:
    """Keep the usual glyph size in millimeters if the scene is in another unit.

    Parameters
    ----------
    node : vtkMRMLMarkupsFiducialNode
        The list; a size that the user chose is kept.
    mm_per_world_unit : float
        Millimeters per unit of the scene's coordinates.
    """
    display = node.GetDisplayNode()
    if display is None or display.GetUseGlyphScale():
        return
    size_mm = display.GetGlyphSize() * mm_per_world_unit
    if not GLYPH_MM / _OTHER_UNIT <= size_mm <= GLYPH_MM * _OTHER_UNIT:
        display.SetGlyphSize(GLYPH_MM / mm_per_world_unit)
