# SPDX-License-Identifier: Apache-2.0
"""Data sets of annotated scans as arguments, refused if check-data finds errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from palnet.commands._telling import tell

if TYPE_CHECKING:
    from collections.abc import Container
    from pathlib import Path

    from palnet.data_sets.dataset import DataSet

__all__ = ["HARMLESS_TO_TUNING", "refuse_bad_data", "refuse_run_among_scans"]

HARMLESS_TO_TUNING = ("never_placed", "bad_matrix", "some_matrices", "registration")
"""Fine-tuning keeps a landmark without labels close to the starting model's predictions, and uses
no matrices."""


def refuse_bad_data(data: DataSet, harmless: Container[str] = ()) -> None:
    """Refuse a data set with errors that would spoil a training, and list them on stderr.

    Errors of a `harmless` kind are reported, but acceptable.
    """
    from palnet.data_sets.checking import ERRORS, check_data_set
    from palnet.errors import UsageError

    report = check_data_set(data)
    for problem in report.problems:
        where = f"{problem.specimen}: " if problem.specimen else ""
        tell(f"{problem.kind}: {where}{problem.text}")
    n_errors = sum(p.kind in ERRORS and p.kind not in harmless for p in report.problems)
    if n_errors:
        msg = (
            f"errors in the data set: {n_errors}. Fix them; palnet check-data says more. With "
            "--anyway, the data set is used as it is."
        )
        raise UsageError(msg)


def refuse_run_among_scans(folder: Path, output: Path) -> None:
    """Refuse a run folder that contains the scans: its tables would be read as their landmarks.

    Inside the data set's folder a run folder is allowed, and is not read as data.
    """
    from palnet.data_sets.files import list_files, may_be_data
    from palnet.errors import UsageError

    run, whole = output.resolve(), folder.resolve()
    places = {path.parent.resolve() for path in list_files(folder)[0] if may_be_data(path)}
    holds_data = any(run == place or run in place.parents for place in places)
    if run == whole or (holds_data and run not in whole.parents):
        msg = f"-o {output}: holds scans or landmarks. Name another folder for the run."
        raise UsageError(msg)
