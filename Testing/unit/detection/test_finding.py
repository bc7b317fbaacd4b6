# SPDX-License-Identifier: Apache-2.0
"""Which of the candidates in which unit is taken for the face."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pytest

from cut_face import cut_example
from palnet import detect
from palnet._stopwatch import Stopwatch
from palnet.detection import finding, judging
from palnet.detection.finding import (
    HOPELESS_SCORE,
    MOST_UNUSUAL_BY_LANDMARKS,
    N_LEAST_DOUBTED,
    POOR_SCORE,
    find_face,
)
from palnet.detection.judging import SURE_ENOUGH
from palnet.errors import ScanRefusedError
from palnet.face.pose import SURE_SCORE
from palnet.surface import _prepare, parse_unit, prepare_scan
from palnet_meshes import make_head

INCH, CENTIMETRE, MILLIMETRE = parse_unit("in"), parse_unit("cm"), parse_unit("mm")
UNSURE = SURE_ENOUGH + 0.1
SURE, WEAK = HOPELESS_SCORE + 0.3, HOPELESS_SCORE / 2


@dataclass(frozen=True, eq=False)
class Candidate:
    """A guess of the pose; its number stands for it."""

    score: float
    face_from_scan: int
    doubt_mm: float

    @property
    def guess(self):
        """Where the pose networks had it, before the short fit."""
        return ("before", self.face_from_scan)


@dataclass(frozen=True, eq=False)
class Guess:
    """What was made of a candidate."""

    fit: SimpleNamespace
    chosen: tuple
    face_from_scan: None = None
    coarse: None = None
    prediction: SimpleNamespace | None = None


@pytest.fixture
def find(monkeypatch):
    """Find a face among candidates given for each unit.

    Each is a score, the reason of a refusal or None, how unsure the network is of it, and how much
    the pose networks doubt it: as given, they doubt each more than the one before. Where landmarks
    guide the fit, all are refused but for those whose uncertainty is given in `by_landmarks`; with
    a second number for how unusual a face that would be.
    """
    fitted = []

    def find(
        by_unit,
        once_more=(),
        in_parts=None,
        *,
        knows_when_unsure=True,
        is_unit_known=False,
        by_landmarks=None,
    ):
        def scan_in(unit):
            given = by_unit.get(unit, []) + list(once_more) + list(in_parts or ())
            rows = [(*row, *(0.1, n)[len(row) - 2 :]) for n, row in enumerate(given)]
            return SimpleNamespace(
                unit=unit,
                findings=(),
                candidates=rows,
                n_first=len(by_unit.get(unit, [])),
                n_whole=len(by_unit.get(unit, [])) + len(once_more),
                rescaled=scan_in,
                name="scan",
            )

        def fit_by_landmarks(surface, guess, model):
            assert guess[0] == "before"
            fitted.append((surface.unit, guess[1], "by landmarks"))
            given = (by_landmarks or {}).get(fitted[-1][:2])
            uncertainty, unusual = given if isinstance(given, tuple) else (given or 0.0, 0.5)
            known = SimpleNamespace(
                reason="no" if given is None else None,
                coverage=1.0,
                uncertainty=uncertainty,
                mahalanobis=unusual,
            )
            return Guess(fit=known, chosen=fitted[-1])

        monkeypatch.setattr(finding, "fit_face_by_landmarks", fit_by_landmarks)
        units = tuple(by_unit)
        model = SimpleNamespace(
            atlas=None,
            network=lambda name: {},
            calibration=SimpleNamespace(
                largest_spread_mm=1.0 if knows_when_unsure else math.inf,
                uncertainty=lambda spread: spread,
            ),
        )
        monkeypatch.setattr(finding, "prepare_scan", lambda _, unit: scan_in(unit))
        found = find_face(None, units, model, is_unit_known=is_unit_known)
        return found.chosen, fitted

    def fit(surface, guess, model):
        fitted.append((surface.unit, guess))
        reason, uncertainty = surface.candidates[guess][1], surface.candidates[guess][2]
        known = SimpleNamespace(reason=reason, coverage=1.0, uncertainty=uncertainty)
        return Guess(fit=known, chosen=fitted[-1])

    def find_poses(surface, *rest, once_more):
        rows = [Candidate(row[0], n, row[3]) for n, row in enumerate(surface.candidates)]
        first, parts = rows[: surface.n_first], rows[surface.n_whole :]
        yield rows[surface.n_first : surface.n_whole] if once_more else first
        if parts and not once_more:
            yield sorted(first + parts, key=lambda candidate: -candidate.score)

    def find_refusal(fit, *rest, is_sure, is_unit_known):
        return fit.reason if fit.reason != "odd size" or not is_unit_known else None

    monkeypatch.setattr(finding, "find_poses", find_poses)
    monkeypatch.setattr(finding, "fit_face", fit)
    monkeypatch.setattr(judging, "measure_broad_relief", lambda *rest: 0.0)
    monkeypatch.setattr(
        judging,
        "predict_in_face",
        lambda found, model: SimpleNamespace(spread_mm=found.fit.uncertainty),
    )
    monkeypatch.setattr(judging, "find_refusal", find_refusal)
    return find


@pytest.mark.parametrize("is_dense", [True, False])
def test_only_a_thinned_scan_is_prepared_anew_in_another_unit(is_dense, monkeypatch):
    mesh = make_head()
    torn = replace(mesh, triangles=np.vstack([mesh.triangles, mesh.triangles[:1]]))
    monkeypatch.setattr(_prepare, "DENSE_POINTS", 100 if is_dense else len(mesh.points))
    prepared = []

    def prepare(scan, unit):
        prepared.append(unit)
        return prepare_scan(scan, unit)

    monkeypatch.setattr(finding, "prepare_scan", prepare)
    in_unit = finding._prepare_in_units(torn, MILLIMETRE, Stopwatch())
    surfaces = [in_unit(unit) for unit in (MILLIMETRE, INCH, INCH, MILLIMETRE)]

    assert prepared == ([MILLIMETRE, INCH] if is_dense else [MILLIMETRE])
    assert [surface.unit for surface in surfaces] == [MILLIMETRE, INCH, INCH, MILLIMETRE]
    codes = {finding.code for finding in surfaces[0].findings}
    assert ("thinned" in codes) == is_dense
    assert codes  # a triangle that is there twice is told of, too
    expected = prepare_scan(torn, INCH).points_mm
    np.testing.assert_allclose(surfaces[1].points_mm, expected, rtol=1e-12)


def by_surface(fitted):
    """What was fitted to the surface alone."""
    return [what for what in fitted if len(what) == 2]


def test_first_sure_candidate_is_taken_and_no_other_fitted(find):
    chosen, fitted = find({INCH: [(SURE, None), (SURE, None)], CENTIMETRE: [(SURE, None)]})

    assert chosen == (INCH, 0)
    assert fitted == [(INCH, 0)]


def test_refused_candidates_are_passed_over(find):
    chosen, _ = find({INCH: [(SURE, "no"), (SURE, "no")], CENTIMETRE: [(SURE, "no"), (SURE, None)]})

    assert chosen == (CENTIMETRE, 1)


def test_weak_candidate_that_passes_waits_for_a_sure_one_in_another_unit(find):
    """It once won: a face in centimetres was read in inches, 27 mm off, with a likeness of 0.19."""
    chosen, _ = find({INCH: [(WEAK, None), (WEAK, "no")], CENTIMETRE: [(SURE, None)]})

    assert chosen == (CENTIMETRE, 0)


@pytest.mark.parametrize("others", [[(WEAK, None)], [(SURE, "no")], [(SURE, "no"), (WEAK, None)]])
def test_weak_candidate_is_taken_where_nothing_is_better(find, others):
    chosen, _ = find({INCH: [(WEAK, None)], CENTIMETRE: others})

    assert chosen == (INCH, 0)


def test_weak_candidate_is_taken_after_a_likelier_one_was_refused(find):
    """On faces that the atlas cannot make the right pose looks no better than wrong ones."""
    chosen, _ = find({INCH: [(SURE, "no"), (WEAK, "no"), (WEAK, None)]})

    assert chosen == (INCH, 2)


def test_few_weak_candidates_are_fitted_and_those_least_doubted(find):
    weak = [(WEAK, "no", 0.1, doubt) for doubt in range(N_LEAST_DOUBTED + 3, 0, -1)]

    chosen, fitted = find({INCH: [(SURE, "no"), *weak], CENTIMETRE: [(SURE, None)]})

    assert chosen == (CENTIMETRE, 0)
    least_doubted = range(len(weak), len(weak) - N_LEAST_DOUBTED, -1)
    assert fitted[:-1] == [(INCH, row) for row in (0, *least_doubted)]


def test_weak_candidate_that_the_network_is_unsure_of_is_taken_only_where_it_is_the_likeliest(find):
    with pytest.raises(ScanRefusedError, match="scan: first"):
        find({INCH: [(SURE, "first"), (WEAK, None, UNSURE)]}, once_more=[(WEAK, "no")])


def test_likeliest_candidate_is_fitted_however_weak_and_doubted_it_is(find):
    weak = [(WEAK / 2, "no", 0.1, doubt) for doubt in range(N_LEAST_DOUBTED + 1)]

    chosen, _ = find({INCH: [(WEAK, None, UNSURE, 99), *weak]}, once_more=[(WEAK, "no")])

    assert chosen == (INCH, 0)


def test_no_weak_candidate_is_fitted_after_a_sure_one(find):
    chosen, fitted = find({INCH: [(WEAK, None), (WEAK, None)]})

    assert chosen == (INCH, 0)
    assert fitted == [(INCH, 0)]


def test_weak_candidate_that_the_network_is_sure_of_is_taken_before_a_likelier_unsure_one(find):
    """In one unit; between units it waits."""
    chosen, _ = find({INCH: [(POOR_SCORE, None, UNSURE), (WEAK, None)]})

    assert chosen == (INCH, 1)


def test_only_the_unit_that_was_given_is_taken_for_known(find):
    odd = {INCH: [(SURE, "odd size")]}

    assert find(odd, is_unit_known=True)[0] == (INCH, 0)
    with pytest.raises(ScanRefusedError):
        find(odd, once_more=[(SURE, "no")])


def test_candidates_keep_their_order_where_the_network_cannot_say(find):
    chosen, fitted = find(
        {INCH: [(SURE, "no", 0, 2), (SURE, "no", 0, 1), (WEAK, None)], CENTIMETRE: [(SURE, None)]},
        in_parts=[(WEAK, None)],
        knows_when_unsure=False,
    )

    assert chosen == (CENTIMETRE, 0)
    assert fitted == [(INCH, 0), (INCH, 1), (CENTIMETRE, 0)]


def test_nothing_weak_is_fitted_after_something_else_where_the_network_cannot_say(find):
    with pytest.raises(ScanRefusedError, match="scan: first"):
        find(
            {INCH: [(SURE, "first"), (WEAK, None)], CENTIMETRE: [(WEAK, None)]},
            knows_when_unsure=False,
        )


@pytest.mark.parametrize(
    ("units", "is_unit_known", "told"),
    [
        ([INCH, CENTIMETRE], False, r"scan: no One unit was taken as 25\.4 mm\.$"),
        ([MILLIMETRE, INCH], False, "scan: no$"),  # as everybody takes it
        ([INCH], True, "scan: no$"),
    ],
)
def test_refusal_says_which_unit_was_guessed(find, units, is_unit_known, told):
    with pytest.raises(ScanRefusedError, match=told):
        find({unit: [(SURE, "no")] for unit in units}, is_unit_known=is_unit_known)


def test_face_that_was_missed_is_found_from_other_rotations_in_any_unit(find):
    missed = [(WEAK, "no")]

    chosen, fitted = find({INCH: missed, CENTIMETRE: missed}, once_more=[(SURE, None)])

    assert chosen == (INCH, 1)
    assert by_surface(fitted) == [(INCH, 0), (CENTIMETRE, 0), (INCH, 1)]


def test_what_looks_like_a_face_and_is_refused_is_not_searched_for_once_more(find):
    with pytest.raises(ScanRefusedError, match="scan: too large"):
        find({INCH: [(POOR_SCORE, "too large")]}, once_more=[(SURE, None)])


def test_of_faces_that_the_network_is_unsure_of_the_surest_is_taken(find):
    """A wrong pose once passed so on a face of a source that the model had never seen."""
    chosen, fitted = find(
        {
            INCH: [(SURE, None, UNSURE + 0.1), (SURE, None, UNSURE)],
            CENTIMETRE: [(SURE, None, UNSURE + 0.05)],
        }
    )

    assert chosen == (INCH, 1)
    assert fitted == [(INCH, 0), (INCH, 1), (CENTIMETRE, 0)]


def test_sure_face_ends_the_search_after_an_unsure_one(find):
    chosen, fitted = find({INCH: [(SURE, None, UNSURE), (SURE, None), (SURE, None)]})

    assert chosen == (INCH, 1)
    assert fitted == [(INCH, 0), (INCH, 1)]


@pytest.mark.parametrize(("second", "taken"), [(UNSURE - 0.05, 1), (UNSURE + 0.05, 0)])
def test_face_that_the_network_is_unsure_of_is_searched_for_from_other_rotations(
    find, second, taken
):
    score = (HOPELESS_SCORE + POOR_SCORE) / 2

    chosen, _ = find({INCH: [(score, None, UNSURE)]}, once_more=[(SURE, None, second)])

    assert chosen == (INCH, taken)


def test_unsure_face_whose_relief_is_plain_is_searched_for_only_once(find):
    chosen, fitted = find({INCH: [(POOR_SCORE, None, UNSURE)]}, once_more=[(SURE, None)])

    assert chosen == (INCH, 0)
    assert fitted == [(INCH, 0)]


def test_weak_candidate_waits_behind_an_unsure_one(find):
    chosen, _ = find({INCH: [(WEAK, None, 0.0)], CENTIMETRE: [(SURE, None, UNSURE)]})

    assert chosen == (CENTIMETRE, 0)


POOR = (HOPELESS_SCORE + SURE_SCORE) / 2


def test_parts_are_not_searched_where_the_network_is_sure_of_the_first_guess(find):
    """They take ten times as long, and one child of four has so little relief."""
    chosen, fitted = find({INCH: [(POOR, None)]}, in_parts=[(SURE, None)])

    assert chosen == (INCH, 0)
    assert fitted == [(INCH, 0)]


def test_parts_are_not_searched_where_it_is_sure_of_one_that_is_little_doubted(find):
    chosen, fitted = find({INCH: [(POOR, "no"), (WEAK, None)]}, in_parts=[(SURE, None)])

    assert chosen == (INCH, 1)
    assert fitted == [(INCH, 0), (INCH, 1)]


def test_parts_are_searched_when_two_are_nothing_to_be_sure_of(find):
    chosen, fitted = find(
        {INCH: [(POOR, "no"), (WEAK, "no"), (WEAK, None)]}, in_parts=[(SURE, None)]
    )

    assert chosen == (INCH, 3)
    assert fitted == [(INCH, 0), (INCH, 1), (INCH, 3)]


@pytest.mark.parametrize("first", [(POOR, "no"), (POOR, None, UNSURE), (WEAK, None, UNSURE)])
def test_parts_are_searched_where_the_first_guess_is_none_to_be_sure_of(find, first):
    chosen, _ = find({INCH: [first]}, in_parts=[(SURE, None)])

    assert chosen == (INCH, 1)


def test_parts_are_searched_where_the_network_cannot_say(find):
    chosen, _ = find({INCH: [(POOR, None)]}, in_parts=[(SURE, None)], knows_when_unsure=False)

    assert chosen == (INCH, 1)


def test_no_candidate_is_fitted_twice(find):
    _, fitted = find({INCH: [(POOR, None, UNSURE)]}, in_parts=[(WEAK, "no")])

    assert fitted == [(INCH, 0), (INCH, 1)]


def test_reason_is_that_of_the_first_search(find):
    with pytest.raises(ScanRefusedError, match="scan: first"):
        find({INCH: [(WEAK, "first")]}, once_more=[(WEAK, "second")])


# --- fitted by landmarks, where the surface has failed -------------------------------------------


NOT_SURE = 1.5  # of a face that is none, say
REFUSED = [(SURE, "no", NOT_SURE), (WEAK, "no", NOT_SURE)]


def test_guess_that_was_refused_is_fitted_by_landmarks(find):
    chosen, fitted = find({INCH: REFUSED}, by_landmarks={(INCH, 1): 0.1})

    assert chosen == (INCH, 1, "by landmarks")
    assert fitted == [(INCH, 0), (INCH, 1), (INCH, 0, "by landmarks"), (INCH, 1, "by landmarks")]


def test_face_that_the_network_is_sure_of_and_that_is_refused_is_not_fitted_by_landmarks(find):
    """As one of a size that no person has: its unit is wrong, and its fit is right."""
    with pytest.raises(ScanRefusedError, match="scan: too large"):
        find({INCH: [(SURE, "too large", 0.5)]}, by_landmarks={(INCH, 0): 0.4})


def test_nothing_is_fitted_by_landmarks_where_a_face_was_found(find):
    _, fitted = find({INCH: [(POOR_SCORE, "no"), (POOR_SCORE, None, UNSURE)]})

    assert fitted == by_surface(fitted)


def test_fit_by_landmarks_ends_with_the_first_that_is_sure(find):
    chosen, fitted = find(
        {INCH: [*REFUSED, (WEAK, "no", NOT_SURE)]}, by_landmarks={(INCH, 1): 0.2, (INCH, 2): 0.1}
    )

    assert chosen == (INCH, 1, "by landmarks")
    assert (INCH, 2, "by landmarks") not in fitted


def test_of_unsure_fits_by_landmarks_in_all_units_the_surest_is_taken(find):
    unsure = {(INCH, 0): UNSURE + 0.1, (CENTIMETRE, 1): UNSURE, (CENTIMETRE, 0): UNSURE + 0.2}

    chosen, _ = find({INCH: REFUSED, CENTIMETRE: REFUSED}, by_landmarks=unsure)

    assert chosen == (CENTIMETRE, 1, "by landmarks")


@pytest.mark.parametrize("uncertainty", [0.1, UNSURE])
def test_face_that_nobody_has_is_not_taken_from_a_fit_by_landmarks(find, uncertainty):
    """A face pressed to half its width passed so."""
    too_unusual = (uncertainty, MOST_UNUSUAL_BY_LANDMARKS + 0.01)
    with pytest.raises(ScanRefusedError, match="scan: no"):
        find({INCH: [(POOR_SCORE, "no", NOT_SURE)]}, by_landmarks={(INCH, 0): too_unusual})


def test_sure_fit_by_landmarks_spares_the_search_from_other_rotations(find):
    missed = {INCH: [(WEAK, "no", NOT_SURE)]}

    chosen, _ = find(missed, once_more=[(SURE, None)], by_landmarks={(INCH, 0): 0})

    assert chosen == (INCH, 0, "by landmarks")


@pytest.mark.parametrize(("second", "taken"), [(UNSURE - 0.05, 1), (UNSURE + 0.05, 0)])
def test_unsure_fit_by_landmarks_is_compared_with_what_other_rotations_find(find, second, taken):
    chosen, _ = find(
        {INCH: [(WEAK, "no", NOT_SURE)]},
        once_more=[(SURE, None, second)],
        by_landmarks={(INCH, 0): UNSURE},
    )

    assert chosen[:2] == (INCH, taken)


def test_nothing_is_fitted_by_landmarks_where_the_network_cannot_judge(find):
    with pytest.raises(ScanRefusedError, match="scan: no"):
        find({INCH: REFUSED}, by_landmarks={(INCH, 0): 0.1}, knows_when_unsure=False)


def test_face_of_a_child_cut_down_is_found_by_landmarks_alone(monkeypatch):
    """The bundled face at four fifths, pressed a little, half of its height kept about the nose."""
    cut, truth, is_shown = cut_example(0.5, factors=[0.8, 0.68, 0.8])

    landmarks = detect(cut, unit="mm").landmarks

    error = np.linalg.norm(landmarks.positions - truth, axis=1)[is_shown]
    # Measured: 1.1 mm over 26 landmarks, all placed.
    assert is_shown.sum() > 15
    assert np.nanmean(error) < 1.6
    assert np.isfinite(error).mean() > 0.9

    monkeypatch.setattr(finding, "_judge_by_landmarks", lambda first: None)
    with pytest.raises(ScanRefusedError, match="cut: no usable face"):
        detect(cut, unit="mm")
