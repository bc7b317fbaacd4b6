# SPDX-License-Identifier: Apache-2.0
"""Refit a model's expected errors on people unlike those that it was trained on."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import palnet
from palnet._files import check_free, check_writable
from palnet._run_folder import claim_folder
from palnet.errors import TrainingError, UsageError
from palnet.model import write_model
from palnet.synthesis.folder import fill_folder
from palnet.synthesis.presets import CALIBRATION_PRESETS
from palnet.training.calibration import collect_sample, fit_calibration

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from palnet.model import Model
    from palnet.synthesis import MorphableModel

__all__ = ["recalibrate"]

# Fewer do not show how errors grow with the predicted spread, let alone for each landmark.
MIN_PEOPLE = 20
# There is one atlas misfit per face: fewer do not show how errors grow with it.
MIN_PEOPLE_FOR_MISFIT = 100

logger = logging.getLogger(__name__)


def recalibrate(
    model: Model,
    source: MorphableModel,
    seeds: Sequence[int],
    output: Path,
    *,
    folder: Path,
    jobs: int = 2,
) -> None:
    """Write a model with expected errors refitted to a source, and the same networks and atlas.

    The model's correction for faces unlike its training data is dropped, with a warning. The limits
    for missing landmarks and for the spread of a face are replaced as well. A network is more
    certain of faces like its training data, so the people should be new to it; the captures are
    those of `CALIBRATION_PRESETS`, which no training uses.

    Parameters
    ----------
    model : Model
        The model.
    source : MorphableModel
        Source of the people.
    seeds : sequence of int
        One per person; used for nothing else.
    output : Path
        The model file to write.
    folder : Path
        Where the generated scans are stored.
    jobs : int
        Number of processes that generate them.

    Raises
    ------
    UsageError
        If the model has one of the paper's networks, which predict no spread to calibrate, there
        are too few people, or the folder holds scans of other people.
    OutputExistsError
        If the model file exists.
    OutputError
        If it cannot be written.
    TrainingError
        If a face was found on too few of the scans.
    """
    if model.paper is not None:
        msg = (
            f"{model.path} holds one of the paper's networks, whose expected errors are those of "
            "the people it was tested on. Only the shipped kind of network can be calibrated."
        )
        raise UsageError(msg)
    if len(seeds) < MIN_PEOPLE:
        msg = f"expected errors need {MIN_PEOPLE} people at least; got {len(seeds)}. Give more."
        raise UsageError(msg)
    check_free(output, overwrite=False)
    check_writable(output)
    # Existing scans are not generated again.
    claim_folder(folder, {"source": source.fingerprint, "presets": list(CALIBRATION_PRESETS)})
    sample = collect_sample(
        model,
        fill_folder(source, seeds, folder, jobs=jobs, presets=tuple(CALIBRATION_PRESETS.values())),
    )
    if len(sample.error_mm) < MIN_PEOPLE:
        msg = (
            f"expected errors need {MIN_PEOPLE} people at least; got {len(sample.error_mm)}, as a "
            f"face was found on no more of the {len(seeds)} scans. Give more people."
        )
        raise TrainingError(msg)
    is_enough = len(sample.error_mm) >= MIN_PEOPLE_FOR_MISFIT
    known = None if is_enough else model.calibration.misfit_power
    calibration = fit_calibration(sample, misfit_power=known)
    described = {
        "source": source.name,
        "first_seed": seeds[0],
        "people_drawn": len(seeds),
        "people": len(sample.error_mm),
        "mean_error_mm": round(float(sample.error_mm[sample.visible].mean()), 3),
        "palnet": palnet.__version__,
    }
    metadata = {**model.metadata, "calibration": described}
    if "finetuning" in metadata:  # what it said of its expected errors holds no longer
        metadata["finetuning"] = {**metadata["finetuning"], "expected_errors": "see calibration"}
    write_model(output, replace(model, calibration=calibration, metadata=metadata))
    if model.calibration.source_factor != 1 or model.calibration.source_power != 1:
        logger.warning(
            "%s: expected errors are those of %s; what %s adds to them for faces unlike all "
            "training faces, such as real ones, is left out, and so is the color of scans.",
            output,
            source.name,
            model.name,
        )
    logger.info("model: %s, %s", output, described)
