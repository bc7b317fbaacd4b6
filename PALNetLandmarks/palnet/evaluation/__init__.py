# SPDX-License-Identifier: Apache-2.0
"""Predicted landmarks against true ones, and annotations against each other."""

from palnet.evaluation._agreement import compute_icc, compute_relative_tem, compute_tem
from palnet.evaluation._errors import Comparison, LandmarkErrors, compare, summarize_landmarks
from palnet.evaluation._measurement_errors import (
    Agreement,
    MeasurementErrors,
    mean_pairwise_error_mm,
    summarize_agreement,
    summarize_measurements,
)
from palnet.evaluation._names import NameTable, read_name_table
from palnet.evaluation._pairs import Pair, pair_specimens, to_scheme
from palnet.evaluation._report import Evaluation, page_of_evaluation, tables_of_evaluation

__all__ = [
    "Agreement",
    "Comparison",
    "Evaluation",
    "LandmarkErrors",
    "MeasurementErrors",
    "NameTable",
    "Pair",
    "compare",
    "compute_icc",
    "compute_relative_tem",
    "compute_tem",
    "mean_pairwise_error_mm",
    "page_of_evaluation",
    "pair_specimens",
    "read_name_table",
    "summarize_agreement",
    "summarize_landmarks",
    "summarize_measurements",
    "tables_of_evaluation",
    "to_scheme",
]
