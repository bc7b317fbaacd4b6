# SPDX-License-Identifier: Apache-2.0
"""Write the statistics of an evaluation as CSV, and the files of a report to disk."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from palnet._csv import csv_text
from palnet._files import check_free, remove, to_path, write_text
from palnet.errors import OutputError
from palnet.evaluation._errors import AXES, LIMITS_MM

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping, Sequence

    from palnet.evaluation._errors import Comparison, LandmarkErrors
    from palnet.evaluation._measurement_errors import MeasurementErrors
    from palnet.evaluation._report import Evaluation

__all__ = [
    "OPTIONAL_EVALUATION_TABLES",
    "specimen_rows",
    "tables_of_evaluation",
    "write_report",
]

# Tables that are absent without a measurement plan or further annotations.
OPTIONAL_EVALUATION_TABLES = (
    "measurement_errors.csv",
    "agreement_intra.csv",
    "agreement_inter.csv",
)


def tables_of_evaluation(evaluation: Evaluation) -> dict[str, str]:
    """Format the statistics as CSV files.

    Parameters
    ----------
    evaluation : Evaluation
        The statistics.

    Returns
    -------
    dict of str to str
        Text by file name: landmarks.csv, measurement_errors.csv, specimens.csv, errors.csv (every
        single error), and agreement_intra.csv and agreement_inter.csv if there are annotations;
        those without rows are left out.
    """
    axes = AXES[evaluation.comparison.are_of_face]
    tables = {
        "landmarks.csv": csv_text([_landmark_row(entry, axes) for entry in evaluation.landmarks]),
        "measurement_errors.csv": csv_text(
            [_measurement_row(entry) for entry in evaluation.measurements]
        ),
        "specimens.csv": csv_text(specimen_rows(evaluation.comparison)),
        "errors.csv": csv_text(_error_rows(evaluation.comparison)),
    }
    for kind, (n_annotations, entries) in evaluation.agreement.items():
        rows = [asdict(entry) | {"n_annotations": n_annotations} for entry in entries]
        tables[f"agreement_{kind}.csv"] = csv_text(rows)
    return {name: text for name, text in tables.items() if text}


def _landmark_row(entry: LandmarkErrors, axes: Sequence[str]) -> dict[str, Any]:
    row = asdict(entry)
    bias = row.pop("bias_mm")
    shares = {"": row.pop("within"), "_of_true": row.pop("within_of_true")}
    row |= dict(zip((f"bias_{axis}_mm" for axis in axes), bias, strict=True))
    return row | {
        f"within_{limit:g}_mm{of_what}": share
        for of_what, within in shares.items()
        for limit, share in zip(LIMITS_MM, within, strict=True)
    }


def _measurement_row(entry: MeasurementErrors) -> dict[str, Any]:
    row = asdict(entry)
    row["limit_low"], row["limit_high"] = row.pop("limits")
    return row


def specimen_rows(comparison: Comparison) -> list[dict[str, Any]]:
    """Build one row per specimen, with its worst landmark."""
    rows = []
    for number, (specimen, errors) in enumerate(
        zip(comparison.specimens, comparison.errors_mm, strict=True)
    ):
        is_there = np.isfinite(errors)
        worst = int(np.nanargmax(errors)) if is_there.any() else None
        rows.append(
            {
                "specimen": specimen,
                "n": int(is_there.sum()),
                "n_lost": int(comparison.is_lost[number].sum()),
                "mean_mm": float(errors[is_there].mean()) if is_there.any() else math.nan,
                "max_mm": math.nan if worst is None else float(errors[worst]),
                "worst": "" if worst is None else comparison.scheme.codes[worst],
            }
        )
    return rows


def _error_rows(comparison: Comparison) -> list[dict[str, Any]]:
    rows = []
    names = [f"{axis}_mm" for axis in AXES[comparison.are_of_face]]
    for number, specimen in enumerate(comparison.specimens):
        for row, code in enumerate(comparison.scheme.codes):
            parts = [float(v) for v in comparison.differences_mm[number, row]]
            if math.isfinite(parts[0]):
                rows.append(
                    {
                        "specimen": specimen,
                        "code": code,
                        "error_mm": math.hypot(*parts),
                        **dict(zip(names, parts, strict=True)),
                        "expected_mm": float(comparison.expected_mm[number, row]),
                    }
                )
    return rows


def write_report(
    folder: str | os.PathLike[str],
    texts: Mapping[str, str],
    optional: Iterable[str],
    *,
    overwrite: bool,
) -> None:
    """Write the files of a report; delete leftover files of an earlier one.

    Parameters
    ----------
    folder : str or path
        Where to write.
    texts : mapping of str to str
        Text by file name.
    optional : iterable of str
        Names of tables that only some reports have.
    overwrite : bool
        Whether an earlier report may be replaced.

    Raises
    ------
    OutputExistsError
        If a file of the report exists and must not be replaced; nothing is written then.
    OutputError
        If the system does not allow one to be written.
    """
    folder = to_path(folder, name="folder", error=OutputError)
    lacking = [name for name in optional if name not in texts]
    for name in (*texts, *lacking):
        check_free(folder / name, overwrite=overwrite)
    for name, text in texts.items():
        write_text(folder / name, text, overwrite=overwrite)
    # A leftover table would be taken for one of the new report.
    for name in lacking:
        remove(folder / name)
