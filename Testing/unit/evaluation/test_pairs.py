# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from palnet.errors import UsageError
from palnet.evaluation import (
    Pair,
    align_cohort,
    compare,
    mean_pairwise_error_mm,
    pair_specimens,
    select_complete,
    summarize_agreement,
    summarize_measurements,
    take_figures,
    with_unpredicted,
)
from palnet.evaluation._pairs import to_one_frame
from palnet.exchange import read_landmarks
from palnet.landmarks import LandmarkSet
from palnet.measurement import load_measurement_plan
from palnet.samples import example_truth
from palnet.scheme import LandmarkDefinition, Scheme


def a_face(specimen):
    return replace(read_landmarks(example_truth()), specimen=specimen)


def reordered(face, codes):
    """The same landmarks in a scheme of some of them, in another order."""
    rows = [face.scheme.index_of(code) for code in codes]
    definitions = tuple(
        LandmarkDefinition(code, code, "midline", code) for code in codes
    )  # sides play no part here
    return LandmarkSet(
        Scheme("other", definitions), face.positions[rows], tuple(face.status[r] for r in rows),
        face.expected_error_mm[rows], face.mm_per_unit, face.frame, face.specimen, face.space,
    )  # fmt: skip


def test_pair_specimens_matches_by_name_in_any_order():
    predicted = [a_face(name) for name in ("carl", "anna", "eve")]
    truth = [a_face(name) for name in ("anna", "bert", "carl")]

    pairs, alone = pair_specimens(predicted, truth)

    assert [(pair.predicted, pair.truth) for pair in pairs] == [
        (predicted[1], truth[0]),
        (predicted[0], truth[2]),
    ]
    assert alone == ["bert has no prediction", "eve has no truth"]


def test_pair_specimens_knows_a_name_as_macos_writes_it():
    composed, apart = "M\u00fcller", "Mu\u0308ller"

    (pair,), alone = pair_specimens([a_face(apart), a_face("anna")], [a_face(composed)])

    assert (pair.specimen, alone) == (composed, ["anna has no truth"])


def test_pair_specimens_that_differ_in_composition_only_are_one_that_is_there_twice():
    both = [a_face("M\u00fcller"), a_face("Mu\u0308ller")]

    with pytest.raises(UsageError, match="more than one of M\u00fcller"):
        pair_specimens(both, [a_face("anna")])


def test_pair_specimens_of_folders_never_pairs_other_names():
    pairs, alone = pair_specimens([a_face("scan_1")], [a_face("anna")])

    assert (pairs, alone) == ([], ["anna has no prediction", "scan_1 has no truth"])


@pytest.mark.parametrize(
    ("found", "known", "partners"),
    [
        (["P01", "P02"], ["P01.ply", "P02.OBJ"], {"P01.ply": "P01", "P02.OBJ": "P02"}),
        (["scans/P01.stl"], ["P01"], {"P01": "scans/P01.stl"}),
        (["P01.ply"], ["P01.obj"], {"P01.obj": "P01.ply"}),
        (["P01", "P02"], ["P01 ", " P02.ply"], {"P01 ": "P01", " P02.ply": "P02"}),
        (["P01", "P01 "], ["P01 "], {"P01 ": "P01 "}),
        (["P01.mrk.json"], ["P01.wide.csv"], {"P01.wide.csv": "P01.mrk.json"}),
        (["Mu\u0308ller.ply"], ["M\u00fcller"], {"M\u00fcller": "Mu\u0308ller.ply"}),
        # Which of two is meant cannot be known, unless one has the whole name.
        (["P01.ply", "P01.obj"], ["P01"], {}),
        (["P01"], ["P01.ply", "P01.obj"], {}),
        (["a/P01.ply", "b/P01.ply"], ["P01"], {}),
        (["P01", "P01.ply"], ["P01"], {"P01": "P01"}),
        (["P01.ply", "P01"], ["P01", "P01.ply"], {"P01": "P01", "P01.ply": "P01.ply"}),
        (["P01.ply", "P01"], ["P01.ply"], {"P01.ply": "P01.ply"}),
        # No ending of a file.
        (["P01.2"], ["P01"], {}),
        (["P01"], ["P01.jpg"], {}),
        (["p01.ply"], ["P01"], {}),
        ([".ply"], ["a"], {}),
    ],
)
def test_pair_specimens_knows_a_name_with_the_ending_of_its_file(found, known, partners):
    pairs, alone = pair_specimens([a_face(n) for n in found], [a_face(n) for n in known])

    assert {pair.specimen: pair.predicted.specimen for pair in pairs} == partners
    assert len(alone) == len(found) + len(known) - 2 * len(partners)


def test_pair_specimens_one_file_against_one_needs_no_common_name():
    (pair,), alone = pair_specimens([a_face("scan_1")], [a_face("anna")], whatever_the_name=True)

    assert (pair.specimen, alone) == ("anna", [])


def test_pair_specimens_brings_two_frames_together():
    face = a_face("anna")

    (pair,), _ = pair_specimens([face.to_frame("RAS")], [replace(face, space="LPS")])

    assert (pair.predicted.frame, pair.truth.frame) == ("LPS", "LPS")
    np.testing.assert_allclose(pair.predicted.positions_mm, pair.truth.positions_mm, atol=1e-9)


def test_convention_numbers_of_one_scan_file_are_compared_as_they_are():
    """A file without a word on axes holds the same numbers as one that says RAS."""
    face = a_face("anna")
    said = replace(face, space="RAS")
    assert face.frame == "file"

    (pair,), _ = pair_specimens([face], [said])
    one, other = to_one_frame([said, face])

    np.testing.assert_array_equal(pair.predicted.positions_mm, pair.truth.positions_mm)
    np.testing.assert_array_equal(one.positions_mm, other.positions_mm)


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 1, 0)])
def test_convention_numbers_of_one_scan_file_have_its_axes_beside_those_of_the_patient(order):
    """The axes that one of the files states hold for the others of the same numbers."""
    said = replace(a_face("anna"), space="RAS")
    sets = [said, a_face("anna"), said.to_frame("LPS")]

    alike = to_one_frame([sets[number] for number in order])

    for each in alike:
        np.testing.assert_array_equal(each.positions_mm, sets[2].positions_mm)


def test_pair_specimens_that_is_there_twice_is_refused():
    with pytest.raises(UsageError, match="more than one of anna"):
        pair_specimens([a_face("anna"), a_face("anna")], [a_face("anna")])


def test_pair_of_two_schemes_is_refused():
    face = a_face("anna")

    with pytest.raises(ValueError, match="one scheme"):
        Pair(reordered(face, ["n"]), face)


TAKING_PAIRS = (
    compare,
    mean_pairwise_error_mm,
    lambda pairs: take_figures(pairs, load_measurement_plan("palnet50")),
    lambda pairs: summarize_measurements(pairs, load_measurement_plan("palnet50")),
    lambda pairs: with_unpredicted(pairs, [a_face("P01")]),
)


def test_generators_give_what_lists_give():
    """A second look at a generator finds nothing, so that no specimen had a partner."""
    faces = [a_face(name) for name in ("P01", "P02", "P03")]

    pairs, alone = pair_specimens(iter(faces), iter(faces))

    assert ([pair.specimen for pair in pairs], alone) == (["P01", "P02", "P03"], [])
    assert compare(iter(pairs)).specimens == ("P01", "P02", "P03")
    assert with_unpredicted(iter(pairs[:2]), iter(faces))[:2] == pairs[:2]
    assert select_complete(iter(faces)).specimens == ("P01", "P02", "P03")
    assert mean_pairwise_error_mm(iter(pairs)) == 0
    plan = load_measurement_plan("palnet50")
    assert take_figures(iter(pairs), plan).landmarks[0].n == 150
    assert summarize_agreement(map(iter, [faces, faces]), plan)[0].n == 3


@pytest.mark.parametrize("take", TAKING_PAIRS)
def test_what_is_no_pair_is_refused_with_a_remedy(take):
    face = a_face("P01")
    pairs = pair_specimens([face], [face])

    for wrong in ([face], [(face, face)], pairs):  # pairs still with those alone
        with pytest.raises(UsageError, match=r"^pairs must hold Pair only; .*pair_specimens\("):
            take(wrong)
    with pytest.raises(UsageError, match=r"pairs must hold several Pair; got one\. Put it in a"):
        take(pairs[0][0])
    with pytest.raises(UsageError, match=r"pairs must hold several Pair; got object\. Give a list"):
        take(object())


@pytest.mark.parametrize(
    "take",
    [
        lambda sets: pair_specimens(sets, [a_face("P01")]),
        lambda sets: pair_specimens([a_face("P01")], sets),
        select_complete,
        lambda sets: summarize_agreement([sets, sets], load_measurement_plan("palnet50")),
    ],
)
def test_what_are_no_landmarks_is_refused_with_a_remedy(take):
    with pytest.raises(UsageError, match=r"must be a LandmarkSet; got str\..*read_landmarks"):
        take(["P01.csv"])
    with pytest.raises(UsageError, match="must hold several LandmarkSet; got one"):
        take(a_face("P01"))
    with pytest.raises(UsageError, match=r"several LandmarkSet; got object\. Give a list"):
        take(object())  # such as a detection


def test_annotations_are_several_of_several(tmp_path):
    for wrong in (a_face("P01"), tmp_path, None):
        with pytest.raises(UsageError, match="annotations must hold several LandmarkSet; got"):
            summarize_agreement(wrong, load_measurement_plan("palnet50"))


def test_what_is_no_plan_is_refused_with_a_remedy():
    face = a_face("P01")
    pairs, _ = pair_specimens([face], [face])

    for take in (take_figures, summarize_measurements):
        with pytest.raises(ValueError, match="plan must be a MeasurementPlan; got 'palnet50'"):
            take(pairs, "palnet50")


def test_what_is_no_cohort_is_refused_with_a_remedy():
    with pytest.raises(UsageError, match=r"got list\. Make it by select_complete"):
        align_cohort([a_face("P01")])


def test_what_a_user_sees_of_a_study_fits_into_a_line():
    faces = [a_face(name) for name in ("P01", "P02", "P03")]
    pairs, _ = pair_specimens(faces, faces)
    cohort = select_complete(faces)
    evaluation = take_figures(pairs, load_measurement_plan("palnet50"))

    compared = "<Comparison of 3 specimens: 150 landmarks of palnet50 compared>"
    assert repr(evaluation) == f"<Evaluation of {compared}, 77 measurements>"
    assert repr(cohort) == "<Cohort of 3 specimens: 50 landmarks of palnet50>"
    assert repr(align_cohort(cohort)).startswith(f"<ShapeSpace of {cohort!r}: ")
