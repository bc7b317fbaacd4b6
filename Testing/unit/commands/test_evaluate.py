# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import csv
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from palnet.cli import main
from palnet.evaluation import OPTIONAL_EVALUATION_TABLES
from palnet.exchange import read_landmarks, write_landmarks
from palnet.landmarks import LandmarkSet
from palnet.samples import example_truth
from palnet.scheme import LandmarkDefinition, Scheme, scheme_to_dict
from palnet_fakes import move_landmarks, without


def a_face(specimen, seed=0, sigma_mm=0.0):
    truth = replace(read_landmarks(example_truth()), specimen=specimen)
    noise = np.random.default_rng(seed).normal(0, sigma_mm, truth.positions.shape)
    return replace(truth, positions=truth.positions + noise)


def write_cohort(folder, sigma_mm, names=("anna", "bert", "carl")):
    folder.mkdir()
    for number, name in enumerate(names):
        seed = 10 * number + len(str(folder))
        write_landmarks(a_face(name, seed, sigma_mm), folder / f"{name}.mrk.json")
    return folder


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def a_study(tmp_path):
    """Truth, a prediction, a second pass and a second observer."""
    sigmas = {"truth": 0.0, "predicted": 1.0, "again": 0.7, "other": 1.4}
    return {name: write_cohort(tmp_path / name, sigma) for name, sigma in sigmas.items()}


def run(*arguments):
    return main(["evaluate", *map(str, arguments)])


def test_evaluate_writes_figures_that_follow_from_the_single_errors(a_study, tmp_path, capsys):
    code = run(a_study["predicted"], a_study["truth"], "-o", tmp_path / "out")

    printed = capsys.readouterr()
    assert (code, printed.err) == (0, "")  # nothing of exchanged labels, either
    assert "3 specimens, 150 landmarks" in printed.out
    errors = rows_of(tmp_path / "out" / "errors.csv")
    landmarks = {row["code"]: row for row in rows_of(tmp_path / "out" / "landmarks.csv")}
    assert len(errors) == 150
    for code in ("prn", "t_l"):
        own = [float(row["error_mm"]) for row in errors if row["code"] == code]
        assert float(landmarks[code]["mean_mm"]) == pytest.approx(np.mean(own), abs=1e-3)
    every = float(landmarks["all"]["mean_mm"])
    assert every == pytest.approx(np.mean([float(row["error_mm"]) for row in errors]), abs=1e-3)
    assert every == pytest.approx(np.sqrt(8 / np.pi), rel=0.1)
    specimens = rows_of(tmp_path / "out" / "specimens.csv")
    assert [row["specimen"] for row in specimens] == ["anna", "bert", "carl"]
    for row in specimens:
        own = [float(each["error_mm"]) for each in errors if each["specimen"] == row["specimen"]]
        assert float(row["mean_mm"]) == pytest.approx(np.mean(own), abs=1e-3)
        assert float(row["max_mm"]) == pytest.approx(max(own), abs=1e-3)


def test_evaluate_page_is_self_contained_and_shows_every_section(a_study, tmp_path):
    run(a_study["predicted"], a_study["truth"], "--repeat", a_study["again"],
        "--observer", a_study["other"], "-o", tmp_path / "out")  # fmt: skip

    text = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    titles = re.findall("<h2>(.*?)</h2>", text)
    assert titles == [
        "Summary",
        "Where the errors lie",
        "Bias and limits of agreement",
        "Landmarks",
        "Distances, angles and indices",
        "Intra-observer agreement",
        "Inter-observer agreement",
        "Specimens, worst first",
    ]
    assert text.count("<svg") == 2 + 9  # face and colours, three groups by three axes
    assert "<script" not in text
    assert not re.search(r'(src|href)="(?!data:)', text)


def test_evaluate_gives_intervals_in_tables_and_on_the_page(a_study, tmp_path):
    out = tmp_path / "out"
    run(a_study["predicted"], a_study["truth"], "--repeat", a_study["again"], "-o", out)

    page = (out / "report.html").read_text(encoding="utf-8")
    rows = re.findall("<tr><td>Forehead height II</td>.*?</tr>", page)
    found = next(row for row in rows_of(out / "measurement_errors.csv") if row["code"] == "tr-n")
    limits = [float(found[f"limit_{name}"]) for name in ("low", "high", "margin")]
    # Three specimens: t of 2 degrees of freedom, 4.303.
    half = 4.302653 * float(found["sd"]) * np.sqrt(1 / 3 + 1.96**2 / 4)
    assert limits[2] == pytest.approx(half, abs=1e-3)
    shown = re.search(r">([+-]\S+) to ([+-]\S+) \(± (\S+)\)<", rows[0]).groups()
    assert [float(text) for text in shown] == pytest.approx(limits, abs=6e-3)
    found = next(row for row in rows_of(out / "agreement_intra.csv") if row["code"] == "tr-n")
    low, icc, high = (float(found[name]) for name in ("icc_low", "icc", "icc_high"))
    assert low < icc < high
    shown = re.search(r">([\d.-]+)</td><td[^>]*>([\d.-]+) to ([\d.-]+)<", rows[1]).groups()
    assert [float(text) for text in shown] == pytest.approx([icc, low, high], abs=6e-4)


def test_evaluate_reports_specimens_without_a_prediction(a_study, tmp_path, capsys):
    """A mean over the scans that were easy enough must say so, and of how many."""
    (a_study["predicted"] / "bert.mrk.json").unlink()
    write_landmarks(a_face("eve"), a_study["predicted"] / "eve.mrk.json")

    code = run(a_study["predicted"], a_study["truth"], "-o", tmp_path / "out")

    assert code == 1
    told = capsys.readouterr()
    assert told.err == "palnet: bert has no prediction\npalnet: eve has no truth\n"
    assert "2 specimens, 100 landmarks" in told.out
    assert "; 1 of 3 specimens without a prediction\n" in told.out
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "2 of 3 specimens (1 without a prediction), 100 landmarks compared" in page
    assert "<td>1 of 3: bert</td>" in page
    assert re.search("worst first</h2>.*?<tbody>\n<tr><td>bert</td>", page, re.DOTALL)
    rows = {row["specimen"]: row for row in rows_of(tmp_path / "out" / "specimens.csv")}
    assert list(rows) == ["anna", "bert", "carl"]
    assert (rows["bert"]["n"], rows["bert"]["n_lost"], rows["bert"]["mean_mm"]) == ("0", "50", "")
    landmarks = {row["code"]: row for row in rows_of(tmp_path / "out" / "landmarks.csv")}
    every = landmarks["all"]
    assert (every["n"], every["n_lost"]) == ("100", "50")
    for limit in ("2", "2.5", "3", "4"):
        share = float(every[f"within_{limit}_mm"])
        assert float(every[f"within_{limit}_mm_of_true"]) == pytest.approx(share * 2 / 3, abs=1e-3)


def test_evaluate_says_which_axes_the_bias_is_along(a_study, tmp_path):
    """A lab's landmarks under its own codes: no mean face says where left and up are."""
    ours = a_face("anna").scheme
    own = tuple(replace(e, code=f"own_{e.code}") for e in ours.landmarks if e.side == "midline")
    scheme = tmp_path / "own.json"
    scheme.write_text(json.dumps(scheme_to_dict(Scheme("own", own))), encoding="utf-8")
    part = a_face("anna").to_scheme(Scheme("part", ours.landmarks[: len(own)]))
    lab = replace(part, scheme=Scheme("own", own))
    write_landmarks(lab, tmp_path / "lab.csv")

    run(a_study["predicted"], a_study["truth"], "-o", tmp_path / "face")
    run(tmp_path / "lab.csv", tmp_path / "lab.csv", "--scheme", scheme, "-o", tmp_path / "lab")

    for folder, axes, words in (
        ("face", ("left", "up", "front"), "along the axes of the face."),
        ("lab", ("x", "y", "z"), "along the axes of the first specimen&#x27;s file"),
    ):
        assert words in (tmp_path / folder / "report.html").read_text(encoding="utf-8")
        for table, name in (("landmarks.csv", "bias_{}_mm"), ("errors.csv", "{}_mm")):
            columns = rows_of(tmp_path / folder / table)[0]
            assert {name.format(axis) for axis in axes} <= set(columns)


def test_evaluate_tells_intra_from_inter_observer(a_study, tmp_path):
    run(a_study["predicted"], a_study["truth"], "--repeat", a_study["again"],
        "--observer", a_study["other"], "-o", tmp_path / "out")  # fmt: skip

    tem = {}
    for kind in ("intra", "inter"):
        rows = rows_of(tmp_path / "out" / f"agreement_{kind}.csv")
        assert {row["n_annotations"] for row in rows} == {"2"}
        landmarks = [float(row["tem"]) for row in rows if row["kind"] == "landmark"]
        tem[kind] = np.sqrt(np.mean(np.square(landmarks)))
    # One of the two annotations is exact: the variance is half that of the other, of three axes.
    assert tem["intra"] == pytest.approx(0.7 * np.sqrt(3 / 2), rel=0.1)
    assert tem["inter"] == pytest.approx(1.4 * np.sqrt(3 / 2), rel=0.1)


def test_evaluate_table_of_names_finds_another_labs_landmarks(tmp_path):
    face = a_face("anna")
    theirs = {"Nasion_soft": "n", "ProNasale": "prn", "EyeOutL": "ex_l", "Extra": ""}
    rows = [face.scheme.index_of(code or "gn") for code in theirs.values()]
    definitions = tuple(LandmarkDefinition(name, name, "midline", name) for name in theirs)
    lab = LandmarkSet(
        Scheme("lab", definitions), face.positions[rows] + [0.0, 0.0, 1.25], ("confirmed",) * 4,
        np.full(4, np.nan), 1.0, "file", "anna",
    )  # fmt: skip
    write_landmarks(lab, tmp_path / "lab.csv")
    write_landmarks(face, tmp_path / "ours.mrk.json")
    table = tmp_path / "names.csv"
    table.write_text("their name,our code\n" + "".join(f"{k},{v}\n" for k, v in theirs.items()))

    code = run(tmp_path / "ours.mrk.json", tmp_path / "lab.csv", "--names", table,
               "-o", tmp_path / "out")  # fmt: skip

    assert code == 0
    errors = {row["code"]: row for row in rows_of(tmp_path / "out" / "errors.csv")}
    assert set(errors) == {"n", "prn", "ex_l"}
    assert all(float(row["error_mm"]) == pytest.approx(1.25, abs=1e-3) for row in errors.values())


def test_evaluate_takes_no_order_of_landmarks_from_a_table_of_names(tmp_path, capsys):
    face = a_face("anna")
    path, beside = write_landmarks(face, tmp_path / "lab.tps")
    beside.unlink()
    write_landmarks(face, tmp_path / "ours.mrk.json")
    table = tmp_path / "names.csv"
    rows = (f"F-{row},{code}\n" for row, code in enumerate(face.scheme.codes))
    table.write_text("their name,our code\n" + "".join(rows))

    code = run(tmp_path / "ours.mrk.json", path, "--names", table, "-o", tmp_path / "out")

    assert code == 2
    assert "lab.tps: tps files are read by the order" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_evaluate_table_of_names_for_every_landmark_keeps_the_measurements(tmp_path, capsys):
    """A complete translation into our scheme is our scheme."""
    face = a_face("anna")
    names = [f"F-{number}" for number in range(1, len(face.scheme) + 1)]
    definitions = tuple(LandmarkDefinition(name, name, "midline", name) for name in names)
    write_landmarks(replace(face, scheme=Scheme("theirs", definitions)), tmp_path / "lab.csv")
    write_landmarks(face, tmp_path / "ours.mrk.json")
    table = tmp_path / "names.csv"
    rows = (f"{name},{code}\n" for name, code in zip(names, face.scheme.codes, strict=True))
    table.write_text("their name,our code\n" + "".join(rows))

    code = run(tmp_path / "ours.mrk.json", tmp_path / "lab.csv", "--names", table,
               "-o", tmp_path / "out")  # fmt: skip

    assert code == 0
    assert "no measurements" not in capsys.readouterr().err
    kinds = {row["kind"] for row in rows_of(tmp_path / "out" / "measurement_errors.csv")}
    assert {"distance", "angle"} <= kinds
    rows = rows_of(tmp_path / "out" / "landmarks.csv")
    assert all(row["human_ratio"] for row in rows if row["code"] in face.scheme.codes)


@pytest.mark.parametrize(
    ("exchange", "said"),
    [
        (lambda codes: [codes.index("n"), codes.index("prn")], "n and prn seem to be exchanged in"),
        (lambda codes: None, "t_r and t_l, pra_r and pra_l, sa_r and sa_l and 16 more seem"),
    ],
)
def test_evaluate_tells_of_exchanged_labels(exchange, said, tmp_path, capsys):
    """An annotator's mix-up is no inaccuracy."""
    face = a_face("anna")
    order, chosen = np.arange(len(face)), exchange(face.scheme.codes)
    if chosen is None:
        order = face.scheme.mirror
    else:
        order[chosen] = chosen[::-1]
    write_landmarks(face, tmp_path / "truth.csv")
    mixed = replace(face, positions=a_face("anna", 1, 0.5).positions[order])
    write_landmarks(mixed, tmp_path / "mixed.csv")

    run(tmp_path / "mixed.csv", tmp_path / "truth.csv", "-o", tmp_path / "out")

    assert said in capsys.readouterr().err


def test_evaluate_tells_truth_that_is_a_detection(a_study, tmp_path, capsys):
    """With the folders exchanged, or a detection beside the annotations, nothing was said."""
    landmarks = read_landmarks(a_study["truth"] / "bert.mrk.json")
    status = tuple("detected" if there else "missing" for there in landmarks.is_placed.tolist())
    detected = replace(landmarks, status=status, expected_error_mm=np.full(50, 1.5))
    write_landmarks(detected, a_study["truth"] / "bert.mrk.json", overwrite=True)

    code = run(a_study["predicted"], a_study["truth"], "-o", tmp_path / "out")

    assert code == 0
    said = "TRUTH holds landmarks as palnet detected them, none of which anybody corrected: bert."
    assert f"palnet: {said} PREDICTED comes first, TRUTH second.\n" in capsys.readouterr().err


def test_evaluate_points_to_a_frame_that_differs(tmp_path, capsys):
    face = a_face("anna")
    turned = np.eye(4)
    turned[:3, :3] = Rotation.from_euler("x", 90, degrees=True).as_matrix()
    write_landmarks(move_landmarks(face, turned), tmp_path / "moved.mrk.json")
    write_landmarks(face, tmp_path / "face.mrk.json")

    run(tmp_path / "moved.mrk.json", tmp_path / "face.mrk.json", "-o", tmp_path / "out")

    assert "different frames or units" in capsys.readouterr().err


def test_evaluate_single_specimen_has_no_limits_of_agreement(tmp_path):
    write_landmarks(a_face("anna", 1, 1.0), tmp_path / "found.mrk.json")
    write_landmarks(a_face("anna"), tmp_path / "true.mrk.json")

    code = run(tmp_path / "found.mrk.json", tmp_path / "true.mrk.json", "-o", tmp_path / "out")

    assert code == 0
    rows = rows_of(tmp_path / "out" / "measurement_errors.csv")
    assert {(row["sd"], row["limit_margin"]) for row in rows} == {("", "")}
    assert "nan" not in (tmp_path / "out" / "report.html").read_text(encoding="utf-8").lower()


def test_evaluate_nothing_in_common_says_what_was_found(tmp_path, capsys):
    one = write_cohort(tmp_path / "one", 0.0, ("anna", "bert"))
    two = write_cohort(tmp_path / "two", 0.0, ("carl", "dora"))

    assert run(one, two, "-o", tmp_path / "out") == 2
    assert "got anna, bert and carl, dora" in capsys.readouterr().err


def in_frame(folder, target, frame):
    """The same annotations once more, in another frame."""
    target.mkdir()
    for path in sorted(folder.iterdir()):
        moved = read_landmarks(path).to_frame(frame)
        write_landmarks(moved, target / path.name)
    return target


@pytest.mark.parametrize(
    "frames", [("RAS", "RAS", "LPS"), ("RAS", "LPS", "RAS"), ("LPS", "RAS", "RAS")]
)
def test_evaluate_agreement_does_not_depend_on_the_frames_of_the_annotations(
    a_study, tmp_path, frames
):
    folders = [a_study[name] for name in ("truth", "again", "other")]
    turned = [
        in_frame(folder, tmp_path / f"{folder.name}_turned", frame)
        for folder, frame in zip(folders, frames, strict=True)
    ]

    tables = []
    for truth, *repeats in (folders, turned):
        out = tmp_path / f"out_{truth.name}"
        options = [text for folder in repeats for text in ("--repeat", folder)]
        assert run(a_study["predicted"], truth, *options, "-o", out) == 0
        tables.append(rows_of(out / "agreement_intra.csv"))

    for got, expected in zip(*tables, strict=True):
        assert (got["code"], got["n"]) == (expected["code"], expected["n"])
        for column in ("difference", "tem"):
            assert float(got[column]) == pytest.approx(float(expected[column]), abs=2e-3)


def test_evaluate_points_to_an_annotation_whose_frame_differs(a_study, tmp_path, capsys):
    turned = tmp_path / "turned"
    turned.mkdir()
    matrix = np.diag([-1.0, -1.0, 1.0, 1.0])
    for path in sorted(a_study["again"].iterdir()):
        write_landmarks(move_landmarks(read_landmarks(path), matrix), turned / path.name)

    run(a_study["predicted"], a_study["truth"], "--repeat", turned, "-o", tmp_path / "out")

    assert f"{turned} and TRUTH seem to be in different frames" in capsys.readouterr().err


def test_evaluate_annotation_that_lacks_specimens_is_told(a_study, tmp_path, capsys):
    (a_study["again"] / "anna.mrk.json").unlink()

    code = run(a_study["predicted"], a_study["truth"], "--repeat", a_study["again"],
               "-o", tmp_path / "out")  # fmt: skip

    assert code == 1
    said = capsys.readouterr().err.splitlines()
    assert [line for line in said if "anna has no such annotation" in line] == said
    assert {row["n"] for row in rows_of(tmp_path / "out" / "agreement_intra.csv")} == {"2"}


def test_evaluate_annotation_that_cannot_be_read_is_counted(a_study, tmp_path, capsys):
    (a_study["other"] / "zoe.mrk.json").write_text("no JSON")

    code = run(a_study["predicted"], a_study["truth"], "--observer", a_study["other"],
               "-o", tmp_path / "out")  # fmt: skip

    assert code == 1
    assert "zoe.mrk.json" in capsys.readouterr().err


def test_evaluate_leaves_no_table_of_an_earlier_report(a_study, tmp_path, capsys):
    out = tmp_path / "out"
    sides = (a_study["predicted"], a_study["truth"])
    run(*sides, "--repeat", a_study["again"], "-o", out)
    (out / "notes.csv").write_text("mine")
    for name in ("report", "landmarks", "measurement_errors", "specimens", "errors"):
        (out / f"{name}.{'html' if name == 'report' else 'csv'}").unlink()

    refused = run(*sides, "-o", out)

    assert refused == 2
    assert "agreement_intra.csv exists already" in capsys.readouterr().err
    assert {path.name for path in out.iterdir()} == {"agreement_intra.csv", "notes.csv"}
    assert run(*sides, "-o", out, "--overwrite") == 0
    assert not (out / "agreement_intra.csv").exists()
    assert (out / "notes.csv").read_text() == "mine"


def test_evaluate_replaces_nothing_that_measure_wrote(a_study, tmp_path):
    """Also of a scheme without a plan, of which evaluate has no table of measurements."""
    out = tmp_path / "out"
    assert main(["measure", str(a_study["truth"]), "-o", str(out)]) == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}

    assert run(a_study["predicted"], a_study["truth"], "-o", out, "--overwrite") == 0

    assert {name: (out / name).read_bytes() for name in before} == before
    assert not before.keys() & set(OPTIONAL_EVALUATION_TABLES)


def test_evaluate_of_one_specimen_counts_it_in_the_singular(a_study, tmp_path, capsys):
    files = (a_study[side] / "anna.mrk.json" for side in ("predicted", "truth"))

    assert run(*files, "-o", tmp_path / "out") == 0

    assert "1 specimen, 50 landmarks: " in capsys.readouterr().out
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "1 specimen, 50 landmarks compared" in page


def test_evaluate_frame_and_unit_are_those_of_files_that_do_not_say_them(a_study, tmp_path, capsys):
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    anna, bert, carl = (
        read_landmarks(a_study["predicted"] / f"{name}.mrk.json")
        for name in ("anna", "bert", "carl")
    )
    write_landmarks(anna, mixed / "anna.mrk.json")  # says it inside
    write_landmarks(bert.to_frame("LPS"), mixed / "bert.csv")  # says it beside
    in_cm = replace(carl, positions=carl.to_frame("RAS").positions / 10, mm_per_unit=10.0)
    write_landmarks(in_cm, mixed / "carl.csv")
    assert (mixed / "bert.csv.frame.json").exists()
    (mixed / "carl.csv.frame.json").unlink()

    options = ("--predicted-frame", "ras", "--predicted-unit", "cm")
    assert run(a_study["predicted"], a_study["truth"], "-o", tmp_path / "plain") == 0
    assert run(mixed, a_study["truth"], *options, "-o", tmp_path / "out") == 0
    assert "--predicted-unit cm does not count for anna.mrk.json:" in capsys.readouterr().err

    plain, out = (rows_of(tmp_path / name / "errors.csv") for name in ("plain", "out"))
    assert [row["code"] for row in out] == [row["code"] for row in plain]
    for got, expected in zip(out, plain, strict=True):
        assert float(got["error_mm"]) == pytest.approx(float(expected["error_mm"]), abs=2e-3)


def test_evaluate_truth_in_another_frame_leaves_a_plain_prediction_alone(a_study, tmp_path):
    for side in ("predicted", "truth"):
        anna = read_landmarks(a_study[side] / "anna.mrk.json")
        written = anna if side == "predicted" else anna.to_frame("RAS")
        write_landmarks(written, tmp_path / side / "anna.csv")
        (tmp_path / side / "anna.csv.frame.json").unlink(missing_ok=True)

    files = (tmp_path / "predicted" / "anna.csv", tmp_path / "truth" / "anna.csv")
    assert run(*files, "--frame", "ras", "-o", tmp_path / "out") == 0
    assert run(a_study["predicted"], a_study["truth"], "-o", tmp_path / "all") == 0

    every = [row for row in rows_of(tmp_path / "all" / "errors.csv") if row["specimen"] == "anna"]
    out = rows_of(tmp_path / "out" / "errors.csv")
    for got, expected in zip(out, every, strict=True):
        assert float(got["error_mm"]) == pytest.approx(float(expected["error_mm"]), abs=2e-3)


def test_evaluate_never_takes_one_person_for_another_of_a_folder(a_study, tmp_path, capsys):
    for name in ("bert", "carl"):
        (a_study["truth"] / f"{name}.mrk.json").unlink()
    bert = a_study["other"] / "bert.mrk.json"

    assert run(a_study["predicted"], a_study["truth"], "--observer", bert, "-o", tmp_path) == 2
    assert "must share a specimen with TRUTH" in capsys.readouterr().err


def test_evaluate_of_two_files_tells_that_their_names_differ(a_study, tmp_path, capsys):
    files = a_study["predicted"] / "anna.mrk.json", a_study["truth"] / "bert.mrk.json"

    assert run(*files, "--observer", a_study["other"] / "carl.mrk.json", "-o", tmp_path) == 0

    told = capsys.readouterr().err
    assert "anna is compared with bert" in told
    assert "carl is compared with bert" in told


def test_evaluate_finds_the_scans_of_a_table_that_names_their_files(a_study, tmp_path, capsys):
    """As a lab's table from a spreadsheet does; that names differ is told in one line."""
    faces = [read_landmarks(path) for path in sorted(a_study["truth"].iterdir())]
    rows = [
        f"{face.specimen}.ply;{code};{';'.join(f'{v:.6f}'.replace('.', ',') for v in place)}"
        for face in faces
        for code, place in zip(face.scheme.codes, face.positions, strict=True)
    ]
    table = tmp_path / "lab.csv"
    table.write_bytes("\r\n".join(["ID;Landmark;X;Y;Z", *rows, ""]).encode("utf-16"))
    assert run(a_study["predicted"], a_study["truth"], "-o", tmp_path / "files") == 0
    capsys.readouterr()

    code = run(a_study["predicted"], table, "--repeat", table, "-o", tmp_path / "out")

    told = capsys.readouterr()
    assert (code, "3 specimens, 150 landmarks" in told.out) == (0, True)
    assert told.err == (
        "palnet: anna is compared with anna.ply, bert is compared with bert.ply, carl is compared "
        "with carl.ply\n"
    )
    errors, expected = (rows_of(tmp_path / n / "errors.csv") for n in ("out", "files"))
    for got, true in zip(errors, expected, strict=True):
        assert got["specimen"] == f"{true['specimen']}.ply"
        assert float(got["error_mm"]) == pytest.approx(float(true["error_mm"]), abs=2e-3)


def test_evaluate_names_the_option_for_the_unit_of_each_side(a_study, tmp_path, capsys):
    anna = read_landmarks(a_study["predicted"] / "anna.mrk.json")
    in_m = replace(anna, positions=anna.positions / 1000, mm_per_unit=1000.0)
    write_landmarks(in_m, tmp_path / "anna.csv")
    (tmp_path / "anna.csv.frame.json").unlink()
    options = ("--predicted-unit", "m", "-o", tmp_path / "out")

    assert run(tmp_path / "anna.csv", a_study["truth"], "-o", tmp_path / "none") == 2
    assert "Give the unit of the numbers with --predicted-unit." in capsys.readouterr().err
    assert run(tmp_path / "anna.csv", a_study["truth"] / "anna.mrk.json", *options) == 0


def test_evaluate_several_landmarks_at_the_origin_are_no_positions(a_study, tmp_path, capsys):
    anna = read_landmarks(a_study["truth"] / "anna.mrk.json")
    positions = anna.positions.copy()
    positions[[0, 3]] = 0.0
    write_landmarks(replace(anna, positions=positions), tmp_path / "anna.csv")
    predicted = a_study["predicted"] / "anna.mrk.json"

    refused = run(predicted, tmp_path / "anna.csv", "-o", tmp_path / "strict")
    told = capsys.readouterr().err
    assert run(predicted, tmp_path / "anna.csv", "--lenient", "-o", tmp_path / "out") == 0
    assert re.search(r"^palnet: .*anna.csv: .* at 0, 0, 0", capsys.readouterr().err, re.MULTILINE)

    assert (refused, "tr, prn at 0, 0, 0: does this mean missing?" in told) == (2, True)
    assert "--lenient" in told
    codes = {row["code"] for row in rows_of(tmp_path / "out" / "errors.csv")}
    assert codes.isdisjoint({"tr", "prn"})


def test_evaluate_of_a_lab_s_tables_reads_its_scheme_on_both_sides(tmp_path):
    codes = ("prn", "n", "gn", "ch_l", "ch_r", "sn")
    scheme = Scheme("lab6", tuple(LandmarkDefinition(c, c, "midline", c) for c in codes))
    (tmp_path / "lab6.json").write_text(json.dumps(scheme_to_dict(scheme)), encoding="utf-8")
    face = a_face("anna").to_scheme(scheme)
    for format in ("csv", "tps"):
        write_landmarks(face, tmp_path / "lab" / f"cohort.{format}")
    options = ("--scheme", tmp_path / "lab6.json", "-o", tmp_path / "out")

    assert run(tmp_path / "lab", tmp_path / "lab", *options) == 0

    write_landmarks(a_face("anna"), tmp_path / "ours" / "cohort.csv")
    options = ("--predicted-scheme", "palnet50", *options, "--overwrite")
    assert run(tmp_path / "ours", tmp_path / "lab", *options) == 0
    found = {row["code"] for row in rows_of(tmp_path / "out" / "errors.csv")}
    assert found == set(codes)


def test_evaluate_of_a_detection_by_a_lab_s_model_needs_no_scheme(tmp_path, capsys):
    """Its .mrk.json holds the scheme, the .csv beside it only names it."""
    codes = ("prn", "n", "gn", "ch_l", "ch_r", "sn")
    scheme = Scheme("lab6", tuple(LandmarkDefinition(c, c, "midline", c) for c in codes))
    for folder in ("found", "truth"):
        for format in ("mrk.json", "csv"):
            face = a_face("anna").to_scheme(scheme)
            write_landmarks(face, tmp_path / folder / f"anna.{format}")

    assert run(tmp_path / "found", tmp_path / "truth", "-o", tmp_path / "out") == 0

    assert "its scheme" not in capsys.readouterr().err
    assert {row["code"] for row in rows_of(tmp_path / "out" / "errors.csv")} == set(codes)


def test_evaluate_names_predicted_landmarks_that_the_scheme_of_the_truth_lacks(tmp_path, capsys):
    face = a_face("anna")
    scheme = Scheme("lab47", face.scheme.landmarks[3:])
    write_landmarks(without(face, "g"), tmp_path / "found.mrk.json")
    write_landmarks(face.to_scheme(scheme), tmp_path / "truth.mrk.json")

    assert run(tmp_path / "found.mrk.json", tmp_path / "truth.mrk.json", "-o", tmp_path / "o") == 0

    assert "not compared: the scheme of TRUTH lacks tr, n\n" in capsys.readouterr().err


@pytest.mark.parametrize("mm_per_unit", [10.0, 1000.0])
def test_evaluate_of_a_few_landmarks_in_another_unit_is_refused(
    mm_per_unit, a_study, tmp_path, capsys
):
    anna = read_landmarks(a_study["truth"] / "anna.mrk.json")
    scaled = replace(anna, positions=anna.positions / mm_per_unit)
    write_landmarks(without(scaled, *anna.scheme.codes[20:]), tmp_path / "anna.csv")

    predicted = a_study["predicted"] / "anna.mrk.json"
    assert run(predicted, tmp_path / "anna.csv", "-o", tmp_path / "o") == 2
    assert "the landmarks of 'anna' must span a face" in capsys.readouterr().err
    unit = ("--unit", {10.0: "cm", 1000.0: "m"}[mm_per_unit])
    assert run(predicted, tmp_path / "anna.csv", *unit, "-o", tmp_path / "o") == 0


def test_evaluate_of_a_lab_s_landmarks_of_the_nose_is_no_face_in_another_unit(tmp_path):
    codes = ("prn", "sn", "c", "al_l", "al_r", "ac_l", "ac_r")
    scheme = Scheme("nose7", tuple(LandmarkDefinition(c, c, "midline", c) for c in codes))
    (tmp_path / "nose7.json").write_text(json.dumps(scheme_to_dict(scheme)), encoding="utf-8")
    write_landmarks(a_face("anna").to_scheme(scheme), tmp_path / "anna.csv")
    (tmp_path / "anna.csv.frame.json").unlink()
    files = tmp_path / "anna.csv", tmp_path / "anna.csv"

    options = ("--scheme", tmp_path / "nose7.json", "-o", tmp_path / "out")
    assert run(*files, *options) == 0
    assert run(*files, *options, "--unit", "cm", "-o", tmp_path / "cm") == 2
