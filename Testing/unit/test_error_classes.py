# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np

from palnet.error_classes import classify_errors


def test_classify_errors_sorts_by_the_limits(a_landmark_set):
    errors = np.array(a_landmark_set.expected_error_mm)
    errors[[0, 1, 3, 4]] = [1.99, 2.0, 3.99, 4.0]

    classes = classify_errors(replace(a_landmark_set, expected_error_mm=errors))

    # Rows 2 and 5 have no position, row 8 no expected error.
    assert classes[[0, 1, 2, 3, 4, 5, 8]].tolist() == [0, 1, -1, 1, 2, -1, 3]
