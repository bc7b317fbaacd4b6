# SPDX-License-Identifier: Apache-2.0
"""Which of the candidates in which unit is taken for the face."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from palnet import finding
from palnet.errors import ScanRefusedError
from palnet.finding import HOPELESS_SCORE, find_face
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

    def find(by_unit):
        def scan_in(unit):
            rows = by_unit.get(unit, [])
            return SimpleNamespace(unit=unit, candidates=rows, rescaled=scan_in, name="scan")

        units = tuple(by_unit)
        model = SimpleNamespace(atlas=None, network=lambda name: {})
        return find_face(scan_in(units[0]), units, model).chosen, fitted

    monkeypatch.setattr(
        finding,
        "find_poses",
        lambda surface, *rest: [
            SimpleNamespace(score=score, face_from_scan=number)
            for number, (score, _) in enumerate(surface.candidates)
        ],
    )
    monkeypatch.setattr(finding, "_fit", fit)
    monkeypatch.setattr(finding, "measure_broad_relief", lambda *rest: 0.0)
    monkeypatch.setattr(finding, "find_refusal", lambda fit, *rest: fit[1])
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
