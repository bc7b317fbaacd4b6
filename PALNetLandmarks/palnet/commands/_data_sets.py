# SPDX-License-Identifier: Apache-2.0
"""Annotated scans as an argument of a command: refused if check-data finds errors."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from palnet.training.dataset import DataSet

__all__ = ["refuse_bad_data"]


def refuse_bad_data(data: DataSet) -> None:
    """Refuse a data set that would spoil a training, naming what is wrong on stderr.

    Parameters
    ----------
    data : DataSet
        The scans.

    Raises
    ------
    UsageError
        If there are errors.
    """
    from palnet.errors import UsageError
    from palnet.training.checking import check_data_set

    report = check_data_set(data)
    for problem in report.problems:
        print(f"palnet: {problem.kind}: {problem.specimen} {problem.text}", file=sys.stderr)
    if report.n_errors:
        msg = (
            f"the data set has {report.n_errors} errors. Mend them; palnet check-data tells more. "
            "With --anyway it is used as it is."
        )
        raise UsageError(msg)
