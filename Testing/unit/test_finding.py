# SPDX-License-Identifier: Apache-2.0
"""Which of the candidates in which unit is taken for the face."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest

from palnet import finding
from palnet.errors import ScanRefusedError
from palnet.finding import HOPELESS_SCORE, POOR_SCORE, find_face
from palnet.surface import parse_unit

INCH, CENTIMETRE = parse_unit("in"), parse_unit("cm")
SURE, WEAK = HOPELESS_SCORE + 0.3, HOPELESS_SCORE / 2


@pytest.fixture
def find(monkeypatch):
    """Find a face among candidates given for each unit: (score, reason of refusal or None)."""
    fitted = []

    def fit(surface, guess, model):
        fitted.append((surface.unit, guess))
        return SimpleNamespace(
            fit=surface.candidates[guess], coarse=None, face_from_scan=None, chosen=fitted[-1]
        )

    def find(by_unit, once_more=()):
        def scan_in(unit):
            rows = by_unit.get(unit, []) + list(once_more)
            return SimpleNamespace(
                unit=unit,
                candidates=rows,
                n_first=len(by_unit.get(unit, [])),
                rescaled=scan_in,
                name="scan",
            )

        units = tuple(by_unit)
        model = SimpleNamespace(
            atlas=None,
            network=lambda name: {},
            calibration=SimpleNamespace(largest_spread_mm=math.inf),
        )
        return find_face(scan_in(units[0]), units, model).chosen, fitted

    monkeypatch.setattr(
        finding,
        "find_poses",
        lambda surface, *rest, once_more: [
            SimpleNamespace(score=score, face_from_scan=number)
            for number, (score, _) in enumerate(surface.candidates)
            if once_more == (number >= surface.n_first)
        ],
    )
    monkeypatch.setattr(finding, "_fit", fit)
    monkeypatch.setattr(finding, "measure_broad_relief", lambda *rest: 0.0)
    monkeypatch.setattr(finding, "find_refusal", lambda fit, *rest, is_sure: fit[1])
    return find


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


@pytest.mark.parametrize(
    "others", [[], [(WEAK, None)], [(SURE, "no")], [(SURE, "no"), (WEAK, None)]]
)
def test_weak_candidate_is_taken_where_nothing_is_better(find, others):
    chosen, _ = find({INCH: [(WEAK, None)], CENTIMETRE: others})

    assert chosen == (INCH, 0)


def test_nothing_weak_is_fitted_after_something_else_was(find):
    with pytest.raises(ScanRefusedError, match="scan: first"):
        find({INCH: [(SURE, "first"), (WEAK, None)], CENTIMETRE: [(WEAK, None)]})


def test_face_that_was_missed_is_found_from_other_rotations_in_any_unit(find):
    missed = [(WEAK, "no")]

    chosen, fitted = find({INCH: missed, CENTIMETRE: missed}, once_more=[(SURE, None)])

    assert chosen == (INCH, 1)
    assert fitted == [(INCH, 0), (INCH, 1)]  # no weak one is fitted after another


def test_what_looks_like_a_face_and_is_refused_is_not_searched_for_once_more(find):
    with pytest.raises(ScanRefusedError, match="scan: too large"):
        find({INCH: [(POOR_SCORE, "too large")]}, once_more=[(SURE, None)])


def test_reason_is_that_of_the_first_search(find):
    with pytest.raises(ScanRefusedError, match="scan: first"):
        find({INCH: [(WEAK, "first")]}, once_more=[(WEAK, "second")])
