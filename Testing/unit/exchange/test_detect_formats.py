# SPDX-License-Identifier: Apache-2.0
"""What `palnet detect --format` does with formats that hold less than the landmarks are."""

from __future__ import annotations

import json

import pytest

import palnet_fakes
from palnet.batch import process_scan
from palnet.exchange import FORMATS, read_landmarks
from palnet.jobs import BatchOptions, plan_jobs


def process(scan, output, *formats):
    (job,) = plan_jobs([scan], BatchOptions(output=output, formats=formats))
    return process_scan(job, detect=palnet_fakes.fake_detect)


@pytest.mark.parametrize("name", [n for n, entry in FORMATS.items() if entry.holds_missing])
def test_detect_writes_every_format_that_holds_missing_landmarks(name, a_head_file, tmp_path):
    result = process(a_head_file, tmp_path / "out", name)

    landmarks = read_landmarks(result.files[0])
    assert result.outcome == "done"
    assert (landmarks.is_placed.sum(), landmarks.specimen) == (49, "head")
    assert all(path.is_file() for path in result.files)


def test_detect_refused_format_fails_but_keeps_back_no_other(a_head_file, tmp_path):
    result = process(a_head_file, tmp_path / "out", "pts", "mrk.json", "fcsv")

    record = json.loads((tmp_path / "out" / "head.palnet.json").read_text(encoding="utf-8"))
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert result.outcome == "failed"
    assert "head.pts was not written: specimen 'head' lacks ch_l" in result.message
    assert "head.fcsv was not written" in result.message
    assert names == ["head.mrk.json", "head.palnet.json"]
    assert list(record["files"]) == ["head.mrk.json"]


def test_detect_name_that_does_not_fit_is_changed_and_told(a_head_file, tmp_path):
    scan = a_head_file.rename(a_head_file.with_name("Anna Müller.obj"))

    result = process(scan, tmp_path / "out", "tps", "csv")

    assert result.outcome == "done"
    assert result.warnings == ("specimen 'Anna Müller' is written as 'Anna_Muller'.",)
    assert read_landmarks(tmp_path / "out" / "Anna Müller.tps").specimen == "Anna Müller"
