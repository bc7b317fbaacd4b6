# SPDX-License-Identifier: Apache-2.0
"""`palnet procrustes`: align the landmarks of a cohort and show how its shapes vary."""

from __future__ import annotations

import argparse
from pathlib import Path

from palnet.commands._landmark_files import add_reading_options, find_landmark_files, read_all

__all__ = ["DESCRIPTION", "EPILOG", "HELP", "add_options", "run"]

HELP = "align a cohort and show its shape axes"
DESCRIPTION = "Generalized Procrustes alignment and principal components of a cohort."

PAGE_NAME = "shapes.html"

EPILOG = """\
It writes DIR/shapes.html and, as tables, DIR/scores.csv, variances.csv, components.csv, mean.csv,
aligned.csv and, if anything had to be left out, dropped.csv. Exit code 0: all done; 1: some files
or specimens could not be used, one line each on stderr; 2: wrong usage.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the subcommand."""
    add = parser.add_argument
    add("landmarks", nargs="+", type=Path, metavar="FILE_OR_FOLDER", help="landmark files")
    add("-o", "--output", type=Path, default=Path("palnet-shapes"), metavar="DIR",
        help="folder for the files [%(default)s]")  # fmt: skip
    add_reading_options(parser)
    add("--overwrite", action="store_true", help="replace an earlier report")


def run(arguments: argparse.Namespace) -> int:
    """Run the subcommand and return its exit code."""
    from palnet.errors import UsageError
    from palnet.evaluation import (
        OPTIONAL_SHAPE_TABLES,
        align_cohort,
        page_of_shapes,
        select_complete,
        tables_of_shapes,
        write_report,
    )

    files = find_landmark_files(arguments.landmarks, arguments.scheme)
    read = [specimens for _, specimens in read_all(files, arguments)]
    sets = [landmarks for specimens in read for landmarks in specimens]
    if not sets:
        msg = "no readable landmark file. Name files, or a folder with some."
        raise UsageError(msg)
    cohort = select_complete(sets)
    space = align_cohort(cohort)
    texts = {PAGE_NAME: page_of_shapes(space)} | tables_of_shapes(space)
    write_report(arguments.output, texts, OPTIONAL_SHAPE_TABLES, overwrite=arguments.overwrite)
    for code, reason in cohort.dropped_landmarks.items():
        print(f"left out: landmark {code}: {reason}")
    for specimen, reason in cohort.dropped_specimens.items():
        print(f"left out: {specimen}: {reason}")
    print(
        f"{len(cohort.specimens)} specimens of {len(cohort.codes)} landmarks: "
        f"{arguments.output / PAGE_NAME}"
    )
    return 0 if all(read) else 1
