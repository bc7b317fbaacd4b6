# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from palnet.errors import FormatError, UsageError
from palnet.evaluation import Pair, pair_specimens, read_name_table, to_one_frame, to_scheme
from palnet.exchange import read_landmarks
from palnet.landmarks import LandmarkSet
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


def test_pair_specimens_that_is_there_twice_is_refused():
    with pytest.raises(UsageError, match="more than one of anna"):
        pair_specimens([a_face("anna"), a_face("anna")], [a_face("anna")])


def test_to_scheme_finds_landmarks_by_their_codes():
    face = a_face("anna")
    some = reordered(face, ["prn", "ex_l", "n"])

    back = to_scheme(some, face.scheme)

    rows = [face.scheme.index_of(code) for code in ("prn", "ex_l", "n")]
    np.testing.assert_array_equal(back.positions[rows], face.positions[rows])
    assert back.is_placed.sum() == 3
    assert {back.status[row] for row in range(50) if row not in rows} == {"undefined"}


def test_pair_of_two_schemes_is_refused():
    face = a_face("anna")

    with pytest.raises(ValueError, match="one scheme"):
        Pair(reordered(face, ["n"]), face)


def test_name_table_translates_another_labs_file(the_scheme, tmp_path):
    face = a_face("anna")
    theirs = {"NasionSoft": "n", "Ear1": "", "TipOfNose": "prn", "OuterEyeLeft": "ex_l"}
    path = tmp_path / "names.csv"
    rows = [f"{name},{code}" for name, code in theirs.items()]
    path.write_text("their name,our code\r\n" + "\r\n".join(rows), encoding="utf-8-sig")
    table = read_name_table(path, the_scheme)
    positions = face.positions[[the_scheme.index_of(code or "t_r") for code in theirs.values()]]
    read = LandmarkSet(
        table.reading_scheme, positions, ("confirmed",) * 4, np.full(4, np.nan), 1.0, "file", "anna"
    )

    ours = table.translate(read)

    assert table.reading_scheme.codes == tuple(theirs)
    assert ours.scheme is the_scheme
    placed = {code for code, there in zip(the_scheme.codes, ours.is_placed, strict=True) if there}
    assert placed == {"n", "prn", "ex_l"}
    for code in placed:
        row = the_scheme.index_of(code)
        np.testing.assert_array_equal(ours.positions[row], face.positions[row])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name,code\na,n\n", "names.csv:1: the header"),
        ("their name,our code\nA,n\nB\n", "names.csv:3: expected 2 fields"),
        ("their name,our code\nA,nose\n", "names.csv:2: scheme 'palnet50' has no landmark 'nose'"),
        ("their name,our code\nA,n\nA,prn\n", "names.csv:3: 'A' is there twice"),
        ("their name,our code\nA,n\nB,n\n", "names.csv:3: 'n' is there twice"),
        ("their name,our code\nA,\n", "at least one landmark"),
        ("their name,our code\nA B,n\n", "letters, digits"),
        ("", "names.csv:1"),
    ],
)
def test_read_name_table_faulty_is_refused_with_its_line(the_scheme, tmp_path, text, says):
    path = tmp_path / "names.csv"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(FormatError, match=says):
        read_name_table(path, the_scheme)


def test_read_name_table_that_is_not_there_is_refused(the_scheme, tmp_path):
    with pytest.raises(FormatError, match="cannot be read"):
        read_name_table(tmp_path / "names.csv", the_scheme)
