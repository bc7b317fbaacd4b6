# SPDX-License-Identifier: Apache-2.0
"""Accuracy of predicted landmarks, agreement between annotations, and shapes of cohorts."""

from palnet.evaluation._agreement import (
    compute_icc,
    compute_icc_interval,
    compute_relative_tem,
    compute_tem,
)
from palnet.evaluation._errors import Comparison, LandmarkErrors, compare, summarize_landmarks
from palnet.evaluation._measurement_errors import (
    Agreement,
    MeasurementErrors,
    mean_pairwise_error_mm,
    summarize_agreement,
    summarize_measurements,
)
from palnet.evaluation._pairs import Pair, pair_specimens, with_unpredicted
from palnet.evaluation._procrustes import (
    Cohort,
    ShapeSpace,
    align_cohort,
    align_shapes,
    select_complete,
)
from palnet.evaluation._report import Evaluation, page_of_evaluation, take_figures
from palnet.evaluation._shape_report import (
    OPTIONAL_SHAPE_TABLES,
    page_of_shapes,
    tables_of_shapes,
)
from palnet.evaluation._tables import (
    OPTIONAL_EVALUATION_TABLES,
    tables_of_evaluation,
    write_report,
)

__all__ = [
    "OPTIONAL_EVALUATION_TABLES",
    "OPTIONAL_SHAPE_TABLES",
    "Agreement",
    "Cohort",
    "Comparison",
    "Evaluation",
    "LandmarkErrors",
    "MeasurementErrors",
    "Pair",
    "ShapeSpace",
    "align_cohort",
    "align_shapes",
    "compare",
    "compute_icc",
    "compute_icc_interval",
    "compute_relative_tem",
    "compute_tem",
    "mean_pairwise_error_mm",
    "page_of_evaluation",
    "page_of_shapes",
    "pair_specimens",
    "select_complete",
    "summarize_agreement",
    "summarize_landmarks",
    "summarize_measurements",
    "tables_of_evaluation",
    "tables_of_shapes",
    "take_figures",
    "with_unpredicted",
    "write_report",
]
