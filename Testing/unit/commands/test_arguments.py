# SPDX-License-Identifier: Apache-2.0
"""Arguments that several commands share."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from palnet.cli import build_parser, main

# Every command that writes into a folder, with what it needs before `-o`.
WRITING_INTO_A_FOLDER = {
    "detect": ["a.ply"],
    "measure": ["a.csv"],
    "procrustes": ["a.csv"],
    "evaluate": ["a.csv", "b.csv"],
    "crossvalidate": ["scans"],
    "finetune": ["scans"],
    "synthesize": ["-n", "1", "--morphable-model", "m.npz"],
    "train": ["--morphable-model", "m.npz"],
}
NAMES_OF_FILES = {
    "meas.csv": ".csv",
    "out/Page.HTML": ".html",
    "all.xlsx": ".xlsx",
    "face.mrk.json": ".mrk.json",
    "face.fcsv": ".fcsv",
    "face.ply": ".ply",
    "model.npz": ".npz",
}


def test_commands_that_write_into_a_folder_are_all_tested():
    (choices,) = (
        action.choices
        for action in build_parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    )

    writing = {
        name
        for name, parser in choices.items()
        if any((a.dest, a.metavar) == ("output", "DIR") for a in parser._actions)
    }

    assert writing == WRITING_INTO_A_FOLDER.keys()


@pytest.mark.parametrize("command", WRITING_INTO_A_FOLDER)
@pytest.mark.parametrize("name", NAMES_OF_FILES)
def test_folder_with_the_name_of_a_file_is_refused_before_anything_is_written(
    command, name, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)

    with pytest.raises(SystemExit) as ended:
        main([command, *WRITING_INTO_A_FOLDER[command], "-o", name])

    text = "must be a folder, but its name is that of a file. Leave"
    says = f"{name!r} {text} {NAMES_OF_FILES[name]} out"
    assert (ended.value.code, says in capsys.readouterr().err) == (2, True)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["meas.csv", "study.2", "csv", "meas.csv.d", "made.csv/"])
def test_folder_that_is_there_or_that_no_file_is_named_like_is_taken(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "meas.csv").mkdir()

    arguments = build_parser().parse_args(["measure", "a.csv", "-o", name])

    assert arguments.output == Path(name)
