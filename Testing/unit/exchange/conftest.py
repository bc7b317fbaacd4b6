# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest


@pytest.fixture
def a_whole_set(a_landmark_set):
    """Every landmark placed, in a file of meters whose axes are RAS."""
    rng = np.random.default_rng(11)
    status = tuple("confirmed" if s == "missing" else "corrected" for s in a_landmark_set.status)
    return replace(
        a_landmark_set,
        positions=rng.normal(size=a_landmark_set.positions.shape) * 0.08,
        status=status,
        expected_error_mm=np.full(len(status), 1.5),
    )
