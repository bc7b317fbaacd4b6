# SPDX-License-Identifier: Apache-2.0
"""The bundled example: one generated face, which is no real person's, with its true landmarks."""

from __future__ import annotations

from pathlib import Path

__all__ = ["example_scan", "example_truth"]

_FOLDER = Path(__file__).parent


def example_scan() -> Path:
    """Give the path of the example scan.

    Returns
    -------
    Path
        A mesh file; its position, rotation and unit are not those of the model.
    """
    return _FOLDER / "example.ply"


def example_truth() -> Path:
    """Give the path of the true landmarks of the example scan.

    Returns
    -------
    Path
        A CSV file for `palnet.read_landmarks`, in the scan file's own numbers.
    """
    return _FOLDER / "example.landmarks.csv"
