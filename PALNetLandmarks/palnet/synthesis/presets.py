# SPDX-License-Identifier: Apache-2.0
"""Presets of capture systems, some of them for training and some held out."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CALIBRATION_PRESETS", "EVERY_PRESET", "PRESETS", "TEST_PRESETS", "CapturePreset"]


@dataclass(frozen=True)
class CapturePreset:
    """One kind of capture system.

    Attributes
    ----------
    name : str
        Key in `PRESETS`.
    camera_angles_deg : tuple of (float, float)
        Azimuth (positive to the subject's left) and elevation of each camera; if empty, everything
        is seen.
    noise_mm : tuple of float
        Range of the white noise along the normal.
    ripple_mm : tuple of float
        Range of the spatially correlated noise.
    smoothing_steps : tuple of int
        Range of the number of smoothing steps over neighbours; lower numbers are more likely.
    spacing_mm : tuple of float
        Range of the distance between vertices; see `palnet.synthesis.scans`.
    decimated_share : float
        Share of scans that are decimated, i.e. thinned more in flat regions.
    """

    name: str
    camera_angles_deg: tuple[tuple[float, float], ...]
    noise_mm: tuple[float, float]
    ripple_mm: tuple[float, float]
    smoothing_steps: tuple[int, int]
    spacing_mm: tuple[float, float]
    decimated_share: float


_SIX = (
    CapturePreset(
        name="two_pods",  # like 3dMDface
        camera_angles_deg=((-45, 8), (45, 8), (-28, -12), (28, -12)),
        noise_mm=(0.0, 0.12),
        ripple_mm=(0.02, 0.2),
        smoothing_steps=(0, 6),
        spacing_mm=(1.0, 2.2),
        decimated_share=0.2,
    ),
    CapturePreset(
        name="five_pods",  # like 3dMDhead
        camera_angles_deg=(
            *((-100, 5), (-50, 5), (0, -12), (0, 20)),
            *((50, 5), (100, 5), (180, 10)),
        ),
        noise_mm=(0.0, 0.15),
        ripple_mm=(0.02, 0.25),
        smoothing_steps=(0, 8),
        spacing_mm=(1.0, 3.0),
        decimated_share=0.3,
    ),
    CapturePreset(
        name="handheld",  # structured light, moved round the head
        camera_angles_deg=tuple(
            (float(a), e) for a in (-90, -60, -30, 0, 30, 60, 90) for e in (-15.0, 20.0)
        ),
        noise_mm=(0.0, 0.2),
        ripple_mm=(0.05, 0.4),
        smoothing_steps=(2, 20),
        spacing_mm=(1.0, 3.0),
        decimated_share=0.3,
    ),
    CapturePreset(
        name="phone",
        camera_angles_deg=((-55, 0), (-25, -8), (0, 0), (25, -8), (55, 0)),
        noise_mm=(0.02, 0.3),
        ripple_mm=(0.05, 0.6),
        smoothing_steps=(6, 45),
        spacing_mm=(1.5, 4.5),
        decimated_share=0.2,
    ),
    CapturePreset(
        name="single_view",
        camera_angles_deg=((0, 0), (0, -8)),
        noise_mm=(0.02, 0.3),
        ripple_mm=(0.05, 0.4),
        smoothing_steps=(2, 12),
        spacing_mm=(1.0, 3.0),
        decimated_share=0.2,
    ),
    CapturePreset(
        name="closed_mesh",  # cleaned up and closed by software
        camera_angles_deg=(),
        noise_mm=(0.0, 0.05),
        ripple_mm=(0.0, 0.12),
        smoothing_steps=(0, 70),
        spacing_mm=(1.0, 5.0),
        decimated_share=0.5,
    ),
)
PRESETS = {preset.name: preset for preset in _SIX}
"""Presets for training."""

_CALIBRATION = (
    CapturePreset(
        name="artec",
        camera_angles_deg=tuple((float(a), e) for a in range(-75, 76, 25) for e in (-25.0, 0.0)),
        noise_mm=(0.0, 0.1),
        ripple_mm=(0.05, 0.3),
        smoothing_steps=(4, 20),
        spacing_mm=(1.2, 3.5),
        decimated_share=0.6,
    ),
    CapturePreset(
        name="depth_camera",
        camera_angles_deg=((-40, -5), (-20, 0), (0, 5), (20, 0), (40, -5)),
        noise_mm=(0.05, 0.4),
        ripple_mm=(0.1, 0.5),
        smoothing_steps=(4, 24),
        spacing_mm=(1.5, 4.0),
        decimated_share=0.0,
    ),
)
CALIBRATION_PRESETS = {preset.name: preset for preset in _CALIBRATION}
"""Presets to fit expected errors on; training never uses them."""

_TEST = (
    CapturePreset(
        name="vectra",
        camera_angles_deg=((-50, 15), (-50, -15), (0, -20), (0, 15), (50, 15), (50, -15)),
        noise_mm=(0.0, 0.06),
        ripple_mm=(0.03, 0.2),
        smoothing_steps=(2, 16),
        spacing_mm=(1.0, 2.4),
        decimated_share=0.3,
    ),
    CapturePreset(
        name="di3d",
        camera_angles_deg=((-38, 12), (38, 12), (-38, -18), (38, -18), (0, 0)),
        noise_mm=(0.03, 0.2),
        ripple_mm=(0.05, 0.35),
        smoothing_steps=(0, 5),
        spacing_mm=(1.0, 1.8),
        decimated_share=0.1,
    ),
)
TEST_PRESETS = {preset.name: preset for preset in _TEST}
"""Presets used only by the benchmarks, in addition to those of training."""

EVERY_PRESET = {**PRESETS, **CALIBRATION_PRESETS, **TEST_PRESETS}
"""All presets by name."""
