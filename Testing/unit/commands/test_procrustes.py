# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pytest

from palnet.cli import main
from palnet.exchange import may_hold_landmarks, read_landmarks, write_landmarks
from palnet.samples import example_truth
from palnet_fakes import without


@pytest.fixture
def a_folder(tmp_path):
    """Eight faces; the third without its nose tip, the last with two landmarks exchanged."""
    folder = tmp_path / "cohort"
    folder.mkdir()
    face = read_landmarks(example_truth())
    first, second = (face.scheme.index_of(code) for code in ("ex_r", "go_r"))
    for number in range(8):
        noise = np.random.default_rng(number).normal(0, 2.0, face.positions.shape)
        positions = face.positions + noise
        if number == 7:
            positions[[first, second]] = positions[[second, first]]
        specimen = replace(face, specimen=f"case_{number}", positions=positions)
        specimen = without(specimen, "prn") if number == 2 else specimen
        write_landmarks(specimen, folder / f"case_{number}.mrk.json")
    return folder


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_procrustes_says_what_was_left_out_and_writes_the_rest(a_folder, tmp_path, capsys):
    code = main(["procrustes", str(a_folder), "-o", str(tmp_path / "out")])

    assert code == 0
    said = capsys.readouterr().out
    assert "left out: landmark prn: missing in 1 of 8 specimens" in said
    assert rows_of(tmp_path / "out" / "dropped.csv")[0]["name"] == "prn"
    aligned = rows_of(tmp_path / "out" / "aligned.csv")
    assert len(aligned) == 8 * 49
    # Named x, y, z they would be landmarks without a unit.
    assert not may_hold_landmarks(tmp_path / "out" / "aligned.csv")
    numbers = [[float(row[f"{axis}_aligned"]) for axis in "xyz"] for row in aligned]
    shapes = np.array(numbers).reshape(8, 49, 3)
    np.testing.assert_allclose(shapes.mean(axis=1), 0.0, atol=1e-8)
    np.testing.assert_allclose(np.linalg.norm(shapes, axis=(1, 2)), 1.0, atol=1e-7)


def test_procrustes_shows_the_specimen_with_exchanged_landmarks_first(a_folder, tmp_path):
    main(["procrustes", str(a_folder), "-o", str(tmp_path / "out")])

    rows = rows_of(tmp_path / "out" / "scores.csv")
    worst = max(rows, key=lambda row: float(row["procrustes_distance"]))
    assert worst["specimen"] == "case_7"
    assert worst["farthest"] in ("ex_r", "go_r")
    page = (tmp_path / "out" / "shapes.html").read_text(encoding="utf-8")
    assert page.index("<td>case_7</td>") < page.index("<td>case_0</td>")
    assert "<script" not in page


def test_procrustes_of_two_specimens_is_refused(a_folder, tmp_path, capsys):
    files = [str(a_folder / f"case_{number}.mrk.json") for number in (0, 1)]

    assert main(["procrustes", *files, "-o", str(tmp_path / "out")]) == 2
    assert "got 2 of 50" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_procrustes_leaves_no_table_of_an_earlier_report_if_told(a_folder, tmp_path, capsys):
    out = tmp_path / "out"
    main(["procrustes", str(a_folder), "-o", str(out)])
    assert (out / "dropped.csv").exists()
    (a_folder / "case_2.mrk.json").unlink()

    assert main(["procrustes", str(a_folder), "-o", str(out)]) == 2
    assert "exists already" in capsys.readouterr().err
    assert (out / "dropped.csv").exists()
    assert main(["procrustes", str(a_folder), "-o", str(out), "--overwrite"]) == 0

    assert not (out / "dropped.csv").exists()
    assert (out / "variances.csv").exists()
