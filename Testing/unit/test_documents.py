# SPDX-License-Identifier: Apache-2.0
"""What the documents tell people to type, and where their links lead."""

from __future__ import annotations

import ast
import builtins
import json
import re
import shlex
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from benchmarks.report import fill

from palnet.cli import build_parser, main
from palnet.exchange import read_landmarks, write_landmarks
from palnet.measurement import match_scan, measure
from palnet.samples import example_scan, example_truth
from palnet.surface import read_mesh, write_ply

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "benchmarks/README.md"])
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:)([^)\s#]*)#?([^)\s]*)\)")
# What a command is explained by stands behind it in the same line.
EXPLANATION = re.compile(r"\s{2,}\w.*$")
# Where the shell puts what a command prints is no argument of it.
REDIRECTION = re.compile(r"\s2?>\s*\S+$")
GIVEN = {"slicer", *dir(builtins)}
SHOWN_POINTS = "Annotated development scans, point by point, mm"


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def blocks_of(path: Path, language: str) -> list[str]:
    found = BLOCK.findall(path.read_text(encoding="utf-8"))
    return [text for written_in, text in found if written_in == language]


def all_commands() -> list[tuple[str, str]]:
    lines = [
        (name(path), REDIRECTION.sub("", EXPLANATION.sub("", line)))
        for path in DOCUMENTS
        for block in blocks_of(path, "")
        for line in re.sub(r"\s*\\\n\s*", " ", block).splitlines()
    ]
    # Square brackets stand for what may be left out: a summary, nothing to type.
    return [
        (where, line) for where, line in lines if line.startswith("palnet ") and "[" not in line
    ]


@pytest.mark.parametrize(("where", "command"), all_commands())
def test_command_of_a_document_is_one_that_palnet_takes(where, command):
    arguments = shlex.split(command.partition(" #")[0])[1:]

    assert build_parser().parse_args(arguments), where


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_python_of_a_document_defines_the_names_that_it_uses(path):
    nodes = [node for text in blocks_of(path, "python") for node in ast.walk(ast.parse(text))]
    names = [node for node in nodes if isinstance(node, ast.Name)]
    defined = {node.id for node in names if isinstance(node.ctx, ast.Store)} | GIVEN
    imports = [node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
    defined |= {each.asname or each.name for node in imports for each in node.names}

    assert {node.id for node in names} - defined == set()


def test_python_of_the_readme_runs(tmp_path, monkeypatch, capsys):
    """On the bundled scan, the mouth of whose person is 52 mm wide."""
    shutil.copy(example_scan(), tmp_path / "face.ply")
    monkeypatch.chdir(tmp_path)

    for text in blocks_of(ROOT / "README.md", "python"):
        exec(text, {})  # what users copy

    value, unit, expected = capsys.readouterr().out.split()
    assert (unit, (tmp_path / "face.mrk.json").exists()) == ("mm", True)
    assert abs(float(value) - 52) < 2 * float(expected)


def test_arcs_of_the_readme_do_not_depend_on_how_triangles_are_wound(tmp_path, monkeypatch):
    """Measured on the mesh as it is in the file, arcs along the nose were others or lost."""
    mesh = read_mesh(example_scan())
    is_turned = np.random.default_rng(0).random(len(mesh.triangles)) < 0.4
    mixed = np.where(is_turned[:, None], mesh.triangles[:, ::-1], mesh.triangles)
    write_ply(replace(mesh, triangles=mixed), tmp_path / "face.ply")
    monkeypatch.chdir(tmp_path)

    told: dict[str, Any] = {}
    for text in blocks_of(ROOT / "README.md", "python"):
        exec(text, told)

    usual = measure(told["landmarks"], match_scan(mesh, told["landmarks"]))
    arcs = {each.code: each.value for each in usual if each.kind == "arc"}
    assert {code: told["taken"][code].value for code in arcs} == pytest.approx(arcs, abs=1e-3)


def test_folders_that_the_readme_fills_are_different():
    """`palnet calibrate` refuses a folder that `palnet synthesize` has filled."""
    parser = build_parser()
    told = [command for where, command in all_commands() if where == "README.md"]
    filling = [line for line in told if line.split()[1] in ("synthesize", "calibrate")]
    asked = [parser.parse_args(shlex.split(line)[1:]) for line in filling]

    folders = [getattr(each, "folder", each.output) for each in asked]

    assert len(set(folders)) == len(folders) > 1


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_links_of_a_document_lead_somewhere(path):
    found = LINK.findall(path.read_text(encoding="utf-8"))
    lost = [
        f"{target}#{heading}"
        for target, heading in found
        if not (path.parent / target).exists()
        or (heading and heading not in headings_of(path.parent / target if target else path))
    ]

    assert lost == []


def headings_of(path: Path) -> set[str]:
    """Give the headings of a document as links name them."""
    text = BLOCK.sub("", path.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def result(name: str) -> dict[str, Any]:
    text = (ROOT / "benchmarks" / "results" / f"{name}.json").read_text(encoding="utf-8")
    return json.loads(text)


def column(table: dict[str, Any], heading: str) -> list[Any]:
    return [row[table["columns"].index(heading)] for row in table["rows"]]


def text_of(path: str) -> str:
    return " ".join((ROOT / path).read_text(encoding="utf-8").split())


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_tables_of_a_document_are_those_of_the_results(path):
    text = path.read_text(encoding="utf-8")

    assert fill(text, ROOT / "benchmarks" / "results") == text


def test_figures_in_words_are_those_that_were_measured():
    accuracy = result("accuracy")
    new = accuracy["summary"]["new_presets"]["all"]["mean mm"]
    points = next(table for table in accuracy["tables"] if table["title"] == SHOWN_POINTS)
    found, expected = (np.mean(column(points, name)) for name in ("final", "expected"))
    anny, ict = (
        result(f"held_out_short_{source}")["summary"]["held_out_mean_mm"]
        for source in ("anny", "ict_facekit")
    )
    readme, card = text_of("README.md"), text_of("docs/model_card.md")

    every = accuracy["summary"]["final_mean_mm"]
    assert f"like those of the training | {every:.2f} mm ({new:.2f} mm in captures" in readme
    assert f"**New people of both sources**: {every:.2f} mm on average" in card
    assert f"nothing was trained on: {new:.2f} mm on average" in card
    assert f"{anny:.1f} mm (anny), {ict:.1f} mm (ICT-FaceKit)" in readme
    assert f"{anny:.2f} mm on average from ICT-FaceKit to anny and {ict:.2f} mm" in card
    assert f"{expected:.2f} mm were expected and {found:.2f} found" in readme
    assert f"{expected:.2f} mm were expected on average and {found:.2f} found" in text_of(
        "docs/user_guide.md"
    )
    assert f"{found:.2f} mm are found where {expected:.2f} mm are expected" in card


def test_what_is_said_of_expected_errors_on_unseen_sources_was_measured():
    law = result("unseen_source")["tables"]
    wanted = ("held out", "true / by the law", "within 2 times that %")
    of_all = {
        source: rest
        for source, *rest in zip(*(column(law[1], name) for name in wanted), strict=True)
    }
    ratios, held = zip(*of_all.values(), strict=True)
    shares = [
        share
        for name, share in zip(column(law[3], "class"), column(law[3], "over 2 mm %"), strict=True)
        if name == "good"
    ]

    ratio = f"{min(ratios):.2f} to {max(ratios):.2f} times"
    good = f"{min(shares):.0f} to {max(shares):.0f} % of the landmarks called good"
    limits, card, readme = map(text_of, ("docs/accuracy.md", "docs/model_card.md", "README.md"))
    for page in (limits, card):
        assert f"{ratio} as large" in page or f"{ratio} the expected ones" in page
        assert f"{min(held):.0f} to {max(held):.0f}" in page
    assert all(good in page for page in (limits, card, readme))
    assert f"{min(held):.0f} to {max(held):.0f} of 100" in text_of("docs/user_guide.md")


def test_figures_of_color_in_words_are_those_that_were_measured():
    summary = result("color")["summary"]
    names = ("real by shape", "real by both", "expected")
    shape, both, expected = (summary[name] for name in names)

    assert f"| {both:.1f} mm (by shape alone {shape:.1f}) |" in text_of("README.md")
    told = f"{both:.2f} mm where {expected:.2f} are expected; by shape alone {shape:.2f}"
    assert told in text_of("docs/model_card.md")


def test_what_fine_tuning_gains_is_what_was_measured():
    table = result("own_labels")["tables"][0]
    before, one_pass, few, before_many, _, many = column(table, "mean mm")
    _, _, n_few, _, _, n_many = column(table, "people trained on")

    readme = f"`palnet finetune` with {n_few} of its people"
    assert readme in text_of("README.md")
    told = f"| {few:.1f} mm (from {before:.1f}; one pass of a person: {one_pass:.1f}) |"
    assert told in text_of("README.md")
    for page in ("CHANGELOG.md", "docs/model_card.md"):
        text = " ".join(text_of(page).split())
        assert f"{before:.2f} to {few:.2f} mm" in text
        assert f"one pass of a person is off by {one_pass:.2f} mm" in text
    told = f"with {n_many} people, on more others, from {before_many:.2f} to {many:.2f} mm"
    assert told in " ".join(text_of("docs/model_card.md").split())


def test_first_table_of_the_accuracy_is_what_was_measured():
    accuracy, page = result("accuracy"), text_of("docs/accuracy.md")
    assert all(row in page for name in ("accuracy", "accuracy_fresh") for row in rows_of(name))
    points = next(table for table in accuracy["tables"] if table["title"] == SHOWN_POINTS)
    found = np.array(column(points, "final"))

    assert f"| {found.mean():.2f} | {np.sum(found <= 2)} of {len(found)} | 0 |" in page
    real = result("color")["tables"][0]
    exact = [
        error
        for error, grade in zip(
            column(real, "by shape and color"), column(real, "grade"), strict=True
        )
        if grade == "exact"
    ]
    n_within = np.sum(np.array(exact) <= 2)
    assert f"exact points | 1 | {np.mean(exact):.2f} | {n_within} of {len(exact)} | 0 |" in page
    for name in ("held_out_ict_facekit", "held_out_anny"):
        assert f"| {held_out_row(name)}" in page
    for name in ("held_out_short_ict_facekit", "held_out_short_anny", "held_out_fresh_anny"):
        interval = re.search(r"among other people of it (.*?) \(", result(name)["notes"][0])[1]
        people, mean, rest = held_out_row(name).split(" | ", 2)
        assert f"| {people} | {mean} ({interval}) | {rest}" in page


def rows_of(name: str) -> Iterator[str]:
    """Write the rows of people like those of the training: all, and those of new captures."""
    measured = result(name)
    found = measured["summary"]
    low, high = found["final_mean_among_others_mm"]
    mean, within = found["final_mean_mm"], found["final_within_2_mm_percent"]
    yield (
        f"| {found['people']} | {mean:.2f} ({low:.2f} to {high:.2f}) | {within:.0f} % | "
        f"{found['refused']} |"
    )
    low, high = found["new_presets_mean_among_others_mm"]
    n_people, mean, within = (
        column(measured["tables"][9], name)[0] for name in ("people", "mean mm", "within 2 mm %")
    )
    yield f"training drew | {n_people} | {mean:.2f} ({low:.2f} to {high:.2f}) | {within:.0f} %"


def held_out_row(name: str) -> str:
    """Write the row of a held-out source: people, mean, share within 2 mm, refused."""
    table = result(name)["tables"][0]
    wanted = ("is", "landmarks", "people", "mean mm", "within 2 mm %", "refused")
    for kind, what, people, mean, within, refused in zip(
        *(column(table, heading) for heading in wanted), strict=True
    ):
        if (kind, what) == ("held out", "final, shown"):
            return f"{people} | {mean:.2f} | {within:.0f} % | {refused} |"
    raise AssertionError(name)


def test_known_limits_tell_the_speed_that_was_measured():
    table = result("speed")["tables"][0]
    ratio = dict(zip(column(table, "vertices"), column(table, "ratio"), strict=True))

    told = f"{ratio[179_000]:.2f} times at 179,000, {ratio[400_000]:.2f} at 400,000"
    assert told in text_of("docs/accuracy.md")


def a_study_as_the_protocol_has_it(folder):
    """Passes of two observers over four people, one of them refused; return error and TEM."""
    truth, rng = read_landmarks(example_truth()), np.random.default_rng(0)
    shape, people = truth.positions.shape, ("p1", "p2", "p3", "p4")
    # The second observer sees everything 1 mm to the left of where the first one does.
    shifts = {"a1": 0.0, "a2": 0.0, "b1": 1.0, "b2": 1.0}
    noise = {(name, person): rng.normal(0, 0.5, shape) for name in shifts for person in people}
    for name, shift in shifts.items():
        (folder / name).mkdir()
        for person in people:
            moved = truth.positions + noise[name, person] + [shift, 0, 0]
            landmarks = replace(truth, specimen=person, positions=moved)
            write_landmarks(landmarks, folder / name / f"{person}.mrk.json")
    (folder / "detected").mkdir()
    errors = {}
    for person in people[:3]:
        off = rng.normal(0, 0.8, shape)
        middle = np.mean([noise[name, person] + [shifts[name], 0, 0] for name in shifts], axis=0)
        errors[person] = np.linalg.norm(off - middle, axis=1)
        found = replace(
            truth,
            specimen=person,
            positions=truth.positions + off,
            status=("detected",) * len(truth),
            expected_error_mm=np.linspace(1, 5, len(truth)),
        )
        write_landmarks(found, folder / "detected" / f"{person}.mrk.json")
    return errors


def test_protocol_of_an_external_validation_runs_as_it_stands(tmp_path, monkeypatch, capsys):
    """Its commands write the files that it names, and its Python computes its endpoints."""
    page = ROOT / "docs" / "external_validation.md"
    monkeypatch.chdir(tmp_path)
    errors = a_study_as_the_protocol_has_it(tmp_path)
    told: dict[str, Any] = {}
    reference, figures = blocks_of(page, "python")

    exec(reference, told)
    for _, command in (each for each in all_commands() if each[0] == name(page)):
        if command.startswith("palnet evaluate"):
            is_refused_one_there = "detected" in command
            assert main(shlex.split(command)[1:]) == is_refused_one_there, command
    capsys.readouterr()
    told = {}  # some weeks later, in another session
    exec(figures, told)

    scheme = read_landmarks(example_truth()).scheme
    rows = [scheme.index_of(code) for code in told["CODES"]]
    expected = np.linspace(1, 5, len(scheme))[rows]
    chosen = np.array([each[rows] for each in errors.values()])
    means = chosen.mean(axis=1)
    half = 4.303 * means.std(ddof=1) / np.sqrt(3)  # the t distribution's, of two degrees of freedom
    ratio = (chosen.sum(axis=1) / expected.sum()).mean()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"primary endpoint, mm: {means.mean():.2f} ± {half:.2f}, 3 people"
    assert lines[1].startswith(f"true over expected: {ratio:.2f} ± ")
    assert lines[2].startswith(f"share within the factor: {(chosen <= 2.0 * expected).mean():.2f}")
    assert lines[3] == f"within 2 mm: {(chosen <= 2).sum()} of {4 * len(rows)} true landmarks"
    is_good, is_bad = expected < 2, chosen > 2
    n_good = 3 * is_good.sum()
    told_good = f"good: {n_good}, of these {is_bad[:, is_good].sum()} off by more than 2 mm"
    assert lines[4] == told_good
    text = page.read_text(encoding="utf-8")
    for written in re.findall(r"`(report/\w+\.csv|observer-\w/\w+\.csv)`", text):
        assert Path(written).exists(), written
    for folder in ("observer-a", "observer-b"):
        assert Path(folder, "agreement_intra.csv").exists()
        assert Path(folder, "agreement_inter.csv").exists()
