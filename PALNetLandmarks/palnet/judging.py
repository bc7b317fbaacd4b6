# SPDX-License-Identifier: Apache-2.0
"""A guess of the pose, fitted and judged: the atlas on the scan, and whether that is a face."""

from __future__ import annotations

import math
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from palnet.face.fit import AtlasFit, fit_atlas
from palnet.face.region import extract_face, move_cloud, move_surface, sample_coarse, sample_fine
from palnet.face.verdict import MIN_COVERAGE, find_refusal, measure_broad_relief
from palnet.network.landmarks import predict_landmarks
from palnet.patches import gather_patches
from palnet.refinement import predict_from_atlas

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from palnet.model import Model
    from palnet.network.landmarks import LandmarkPrediction
    from palnet.surface import PointCloud, Surface

__all__ = [
    "FoundFace",
    "Judge",
    "Stopwatch",
    "Verdict",
    "fit_face",
    "fit_face_by_landmarks",
    "predict_in_face",
]

# A face of which the landmark network is less sure than this (the median spread of its landmarks
# over the largest that passes) is compared with the other guesses, and the surest is taken. On 445
# usable scans (development) the surest was the right one each time, also where a model had never
# seen the source of the people.
SURE_ENOUGH = 0.62


class Stopwatch:
    """Seconds spent in each named stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time of the block to a stage."""
        start = time.perf_counter()
        yield
        spent = self.seconds.get(name, 0.0) + time.perf_counter() - start
        self.seconds[name] = round(spent, 4)


@dataclass(frozen=True, eq=False)
class FoundFace:
    """A face that was found.

    Attributes
    ----------
    surface : Surface
        The whole scan in millimetres.
    face_from_scan : ndarray of shape (4, 4)
        Similarity from scan millimetres to the face frame.
    face : Surface
        The region of interest, in the face frame.
    coarse : PointCloud
        The region at the coarse spacing, in the face frame.
    fit : AtlasFit
        The fitted atlas.
    prediction : LandmarkPrediction, optional
        What the landmark network says, where it was asked whether this is a face.
    """

    surface: Surface
    face_from_scan: NDArray[np.float64]
    face: Surface
    coarse: PointCloud
    fit: AtlasFit
    prediction: LandmarkPrediction | None = None


@dataclass(frozen=True, eq=False)
class Verdict:
    """What was made of a guess.

    Attributes
    ----------
    face : FoundFace
        The fitted atlas.
    refusal : str, optional
        Why it is no usable face, for a user; None if it is one.
    unsureness : float
        The spread of the landmarks over the largest that passes; 0 where the network cannot say.
    """

    face: FoundFace
    refusal: str | None
    unsureness: float = 0.0

    @property
    def is_sure(self) -> bool:
        """Whether it is a face, and nothing to doubt about it."""
        return self.refusal is None and self.unsureness <= SURE_ENOUGH

    @property
    def is_sure_refusal(self) -> bool:
        """Whether the network is sure of a face that is refused all the same, as for its size."""
        is_asked = self.face.prediction is not None
        return self.refusal is not None and is_asked and self.unsureness <= SURE_ENOUGH


class Judge:
    """Who says what is a face: the landmark network where it knows when it is unsure.

    Parameters
    ----------
    model : Model
        Atlas, landmark network and calibration.
    watch : Stopwatch
        Gets the time of the stages ``fit`` and ``network``.
    is_unit_known : bool
        Whether the unit was given, and not guessed from the size.
    """

    def __init__(self, model: Model, watch: Stopwatch, *, is_unit_known: bool) -> None:
        self.model, self.watch, self._is_unit_known = model, watch, is_unit_known
        self.by_network = math.isfinite(model.calibration.largest_spread_mm)

    def fit_and_judge(
        self,
        fit: Callable[[Surface, NDArray[np.float64], Model], FoundFace],
        surface: Surface,
        guess: NDArray[np.float64],
    ) -> Verdict:
        """Fit one way or the other, `fit_face` or `fit_face_by_landmarks`, and judge the face."""
        with self.watch.stage("fit"):
            found = fit(surface, guess, self.model)
        return self.verdict_on(found)

    def verdict_on(self, found: FoundFace) -> Verdict:
        """The verdict: by the network, else by the relief."""
        unsureness, relief = None, math.nan
        if self.by_network and found.fit.coverage >= MIN_COVERAGE:
            with self.watch.stage("network"):
                prediction = predict_in_face(found, self.model)
            unsureness = self.model.calibration.unsureness(prediction.spread_mm)
            found = replace(found, prediction=prediction)
        else:
            with self.watch.stage("fit"):
                relief = measure_broad_relief(self.model.atlas, found.fit, found.coarse)
        refusal = find_refusal(
            found.fit,
            relief,
            found.face_from_scan,
            is_sure=None if unsureness is None else unsureness <= 1,
            is_unit_known=self._is_unit_known,
        )
        return Verdict(found, refusal, unsureness or 0.0)


def fit_face(surface: Surface, guess: NDArray[np.float64], model: Model) -> FoundFace:
    """Cut out the region of interest and fit the atlas to it.

    Parameters
    ----------
    surface : Surface
        The whole scan in millimetres.
    guess : ndarray of shape (4, 4)
        The pose, within about 20 degrees, 20 mm and 15 %.
    model : Model
        The atlas.

    Returns
    -------
    FoundFace
        Whether it is a face is for `Judge` to say.
    """
    region = extract_face(surface, guess)
    cloud = sample_coarse(region)
    return _found(surface, guess, region, cloud, fit_atlas(model.atlas, cloud))


def fit_face_by_landmarks(surface: Surface, guess: NDArray[np.float64], model: Model) -> FoundFace:
    """Let the landmark network look first, from the mean face; what it sees guides the atlas.

    Where a scan ends within the face the surface alone may let the atlas shrink. The network looks
    at what is there and says of which landmarks it is sure. It comes a third to a half of the way
    from landmarks that are 10 to 20 mm off, so that on a whole face, which holds the atlas from
    any such start, `fit_face` ends nearer.

    Parameters
    ----------
    surface : Surface
        The whole scan in millimetres.
    guess : ndarray of shape (4, 4)
        The pose.
    model : Model
        Atlas and landmark network.

    Returns
    -------
    FoundFace
        Whether it is a face is for `Judge` to say.
    """
    region = extract_face(surface, guess)
    cloud, mean_mm = sample_coarse(region), model.atlas.landmark_mean_mm
    patches = gather_patches(sample_fine(region, mean_mm), cloud, mean_mm)
    seen = predict_landmarks(model.network("landmarks"), patches, model.scheme.mirror)
    fit = fit_atlas(model.atlas, cloud, guide=(seen.positions_mm, seen.spread_mm))
    return _found(surface, guess, region, cloud, fit)


def _found(
    surface: Surface,
    guess: NDArray[np.float64],
    region: Surface,
    cloud: PointCloud,
    fit: AtlasFit,
) -> FoundFace:
    """The face, moved from the frame of the guess to that of the fit."""
    return FoundFace(
        surface=surface,
        face_from_scan=fit.face_from_cloud @ guess,
        face=move_surface(region, fit.face_from_cloud),
        coarse=move_cloud(cloud, fit.face_from_cloud),
        fit=fit,
    )


def predict_in_face(found: FoundFace, model: Model) -> LandmarkPrediction:
    """Place the landmarks by the network, as `palnet.refinement.predict_from_atlas` does.

    Parameters
    ----------
    found : FoundFace
        The face.
    model : Model
        The landmark network.

    Returns
    -------
    LandmarkPrediction
        In the face frame, not yet on the surface nor calibrated.
    """
    if found.prediction is not None:
        return found.prediction
    fine = sample_fine(found.face, found.fit.landmarks_mm)
    clouds, network = (fine, found.coarse), model.network("landmarks")
    return predict_from_atlas(network, model.atlas, found.fit.weights, *clouds, model.scheme.mirror)
