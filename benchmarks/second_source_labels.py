# SPDX-License-Identifier: Apache-2.0
"""Disagreement of anny's labels with those of ICT-FaceKit, by registering each head to the other.

The registration has its own errors; comparing both directions shows how large they are.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks._data import add_common_options, settings_of
from benchmarks._report import Report
from palnet.scheme import load_scheme
from palnet.synthesis import MorphableModel, read_morphable_model
from palnet.training.generated.registration import transfer_labels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from palnet.scheme import Scheme


def mirrored(vectors: NDArray[np.float64], scheme: Scheme) -> NDArray[np.float64]:
    """Mirror the vectors to the other side."""
    return np.asarray(vectors[..., scheme.mirror, :] * [-1.0, 1.0, 1.0])


def label_disagreement(
    heads: MorphableModel, ict: MorphableModel
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Compute ICT-FaceKit's labels minus those of the other source, (n_landmarks, 3) in mm.

    Returns
    -------
    on_heads : ndarray
        On the neutral head of `heads`, with ICT-FaceKit's labels transferred to it.
    on_ict : ndarray
        On ICT-FaceKit's neutral head, with the other labels transferred to it.
    carried : ndarray
        ICT-FaceKit's labels on the neutral head of `heads`.
    """
    carried = transfer_labels(ict, heads)
    back = transfer_labels(heads, ict)
    on_heads = carried - heads.fine_template_mm[heads.landmark_points]
    on_ict = ict.fine_template_mm[ict.landmark_points] - back
    return on_heads, on_ict, carried


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_common_options(parser)
    parser.add_argument("--heads", type=Path, required=True, help="what make_anny_heads wrote")
    arguments = parser.parse_args()
    scheme = load_scheme()
    heads = read_morphable_model(arguments.heads, scheme)
    ict = read_morphable_model(arguments.ict, scheme)
    on_heads, on_ict, carried = label_disagreement(heads, ict)
    report = Report("second_source_labels", settings_of(arguments))
    columns = {
        "left against right": np.linalg.norm(carried - mirrored(carried, scheme), axis=1),
        "disagreement on anny": np.linalg.norm(on_heads, axis=1),
        "disagreement on ICT-FaceKit": np.linalg.norm(on_ict, axis=1),
        "mean of both ways": np.linalg.norm((on_heads + on_ict) / 2, axis=1),
        "the two ways apart": np.linalg.norm(on_heads - on_ict, axis=1),
    }
    values = np.stack(list(columns.values()), axis=1)
    rows = [
        (landmark.code, *row.tolist())
        for landmark, row in zip(scheme.landmarks, values, strict=True)
        if landmark.side != "left"
    ]
    rows.append(("mean of all 50", *values.mean(axis=0).tolist()))
    report.add_table(
        "Labels of anny beside those of ICT-FaceKit, mm on a head of ICT-FaceKit's mean size "
        "(left as right)",
        ("code", *columns),
        rows,
    )
    report.summary |= {
        name: float(value) for name, value in zip(columns, values.mean(axis=0), strict=True)
    }
    report.finish(arguments.output)


if __name__ == "__main__":
    main()
