# SPDX-License-Identifier: Apache-2.0
"""`palnet check-data`: find errors in annotated scans before a training."""

from __future__ import annotations

import argparse
from pathlib import Path

__all__ = ["DESCRIPTION", "EPILOG", "HELP", "add_options", "run"]

HELP = "find what is wrong with annotated scans"
DESCRIPTION = "Read every scan with its landmarks and say what is wrong."

EPILOG = """\
FOLDER holds meshes and landmark files of the same names, in any format; or LAFAS (a folder for each
subject: mesh.obj, landmarks.txt, transformation_matrix.npy); or FaceScape
(*_neutral.obj and landmark_indices.npz). people.csv (specimen,person) says which scans are of one
person. Exit code 0: nothing that spoils a training; 1: something does; 2: wrong usage.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the subcommand."""
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the data set")
    parser.add_argument("--scheme", metavar="NAME_OR_PATH", help="landmark scheme [palnet50]")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help=_PICTURES_HELP)


_PICTURES_HELP = "draw each scan that has a problem, the landmarks in question in orange"


def run(arguments: argparse.Namespace) -> int:
    """Run the subcommand and return its exit code."""
    from palnet._stored import counted
    from palnet.data_sets.checking import ERRORS, check_data_set
    from palnet.data_sets.layouts import read_data_set

    data = read_data_set(arguments.folder, arguments.scheme)
    report = check_data_set(data)
    for problem in report.problems:
        weight = "error" if problem.kind in ERRORS else "warning"
        where = f"{problem.specimen}: " if problem.specimen else ""
        print(f"{weight} {problem.kind}: {where}{problem.text}")
    print(
        f"{data.layout}: {counted(report.n_scans, 'scan')} of "
        f"{counted(report.n_people, 'person', 'people')}, "
        f"{counted(report.n_landmarks, 'landmark')} ({data.scheme.name}), {report.n_missing} "
        f"missing; {counted(report.n_errors, 'error')}, "
        f"{counted(len(report.problems) - report.n_errors, 'warning')}"
    )
    if arguments.pictures is not None:
        from palnet.data_sets.pictures import draw_problems

        n_drawn = len(draw_problems(data, report.problems, arguments.pictures))
        print(f"pictures: {n_drawn} in {arguments.pictures}")
    return 1 if report.n_errors else 0
