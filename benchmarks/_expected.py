# SPDX-License-Identifier: Apache-2.0
"""Every landmark of a benchmark with its expected and its true error."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from palnet.scheme import load_scheme

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from benchmarks._errors import Stacked

__all__ = ["ExpectedErrors", "read_expected", "write_expected"]

COLUMNS = ("seed", "code", "expected_mm", "error_mm")


@dataclass(frozen=True, eq=False)
class ExpectedErrors:
    """Landmarks that are visible and were placed, concatenated over all people.

    Attributes
    ----------
    seeds : ndarray of shape (n,)
        Seed of the person.
    codes : ndarray of shape (n,)
        The landmark.
    expected_mm : ndarray of shape (n,)
        Expected error for people from the training sources.
    error_mm : ndarray of shape (n,)
        True error.
    """

    seeds: NDArray[np.int64]
    codes: NDArray[np.str_]
    expected_mm: NDArray[np.float64]
    error_mm: NDArray[np.float64]

    @classmethod
    def of(cls, stacked: Stacked) -> ExpectedErrors:
        """Collect the landmarks of all people who were not refused."""
        who, which = np.nonzero(stacked.visible & stacked.is_placed)
        return cls(
            np.array([person.seed for person in stacked.people])[who],
            np.array(load_scheme().codes)[which],
            stacked.expected_mm[who, which],
            stacked.final_mm[who, which],
        )


def write_expected(path: Path, found: ExpectedErrors) -> None:
    """Write one row per landmark, to a thousandth of a millimetre."""
    columns = (found.expected_mm, found.error_mm)
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        for seed, code, *values in zip(found.seeds, found.codes, *columns, strict=True):
            writer.writerow((int(seed), code, *(f"{value:.3f}" for value in values)))


def read_expected(path: Path) -> ExpectedErrors:
    """Read a file written by `write_expected`."""
    with path.open(encoding="utf-8", newline="") as stream:
        rows = [tuple(row[name] for name in COLUMNS) for row in csv.DictReader(stream)]
    seeds, codes, expected, error = zip(*rows, strict=True)
    numbers = (np.array(column, dtype=np.float64) for column in (expected, error))
    return ExpectedErrors(np.array(seeds, dtype=np.int64), np.array(codes), *numbers)
