# SPDX-License-Identifier: Apache-2.0
"""Measurements of palnet as commands: `python -m benchmarks.NAME`; see benchmarks/README.md."""

import os

# One thread per process, set before numpy is imported, so that timings are comparable and two
# processes share two cores.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
for _name in THREAD_VARIABLES:
    os.environ[_name] = "1"
