# SPDX-License-Identifier: Apache-2.0
"""Distances, angles, indices, arcs and asymmetry, each with its expected error."""

from palnet.measurement._asymmetry import measure_asymmetry
from palnet.measurement._definitions import (
    MeasurementDefinition,
    MeasurementPlan,
    has_shipped_plan,
    load_measurement_plan,
    plan_for,
)
from palnet.measurement._measure import Measurement, measure
from palnet.measurement._report import page_of_measurements, table_of_measurements
from palnet.measurement._scan import lies_turned, match_scan
from palnet.measurement._section import SectionError, trace_section

__all__ = [
    "Measurement",
    "MeasurementDefinition",
    "MeasurementPlan",
    "SectionError",
    "has_shipped_plan",
    "lies_turned",
    "load_measurement_plan",
    "match_scan",
    "measure",
    "measure_asymmetry",
    "page_of_measurements",
    "plan_for",
    "table_of_measurements",
    "trace_section",
]
