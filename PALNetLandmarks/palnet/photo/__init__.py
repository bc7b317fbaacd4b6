# SPDX-License-Identifier: Apache-2.0
"""Landmarks that a network for photographs finds on pictures of a colored scan."""

from palnet.photo.opinion import PhotoOpinion, color_surface, look_at_face

__all__ = ["PhotoOpinion", "color_surface", "look_at_face"]
