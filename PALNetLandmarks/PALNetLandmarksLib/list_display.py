# SPDX-License-Identifier: Apache-2.0
"""What a point list looks like in the views."""

from __future__ import annotations

import slicer

_GLYPH_MM = 1.8
# A glyph that is this many times too large or too small is of another unit, not of another taste.
_OTHER_UNIT = 8.0


def style(display):
    """Draw small dots with small labels; spheres tell the class.

    Parameters
    ----------
    display : vtkMRMLMarkupsDisplayNode
        Of a new list.
    """
    display.SetUseGlyphScale(False)
    display.SetGlyphSize(_GLYPH_MM)
    display.SetTextScale(2.2)
    display.SetSelectedColor(0.13, 0.13, 0.13)
    display.SetColor(0.13, 0.13, 0.13)
    display.SetActiveColor(0.8, 0.47, 0.65)
    display.SetPropertiesLabelVisibility(False)
    display.SetSnapMode(slicer.vtkMRMLMarkupsDisplayNode.SnapModeToVisibleSurface)


def fit_glyphs(node, mm_per_world_unit):
    """Draw the dots as large as they are in millimeters, where the scene has another unit.

    Parameters
    ----------
    node : vtkMRMLMarkupsFiducialNode
        The list; a size that a user has chosen stays.
    mm_per_world_unit : float
        Millimeters in one unit of the scene's coordinates.
    """
    display = node.GetDisplayNode()
    if display is None or display.GetUseGlyphScale():
        return
    size_mm = display.GetGlyphSize() * mm_per_world_unit
    if not _GLYPH_MM / _OTHER_UNIT <= size_mm <= _GLYPH_MM * _OTHER_UNIT:
        display.SetGlyphSize(_GLYPH_MM / mm_per_world_unit)
