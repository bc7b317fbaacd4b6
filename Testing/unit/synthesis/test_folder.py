# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from palnet.synthesis import folder as folder_module
from palnet.synthesis.folder import fill_folder, read_generated_scan, write_generated_scan
from toy_head import toy_generator, toy_model

ARRAYS = ("points_mm", "triangles", "landmarks_mm", "visible")


@pytest.fixture
def a_scan():
    return toy_generator().draw(11)


def assert_same(left, right):
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(left, name), getattr(right, name))
        assert getattr(left, name).dtype == getattr(right, name).dtype
    assert left.description == right.description


def test_scan_round_trip(a_scan, tmp_path):
    path = tmp_path / "11.npz"

    write_generated_scan(a_scan, path)

    assert_same(read_generated_scan(path), a_scan)


def test_folder_holds_what_direct_drawing_gives(tmp_path):
    paths = fill_folder(toy_model(), [5, 2, 9], tmp_path / "new", jobs=2)

    assert [path.name for path in paths] == ["5.npz", "2.npz", "9.npz"]
    for path, seed in zip(paths, (5, 2, 9), strict=True):
        assert_same(read_generated_scan(path), toy_generator().draw(seed))


def test_folder_is_taken_up_where_it_stopped(tmp_path):
    fill_folder(toy_model(), [1], tmp_path)
    kept = tmp_path / "1.npz"
    before = kept.stat().st_mtime_ns
    kept.write_bytes(kept.read_bytes() + b"mark")

    paths = fill_folder(toy_model(), [0, 1, 2], tmp_path)

    assert [path.exists() for path in paths] == [True] * 3
    assert kept.read_bytes().endswith(b"mark")
    assert kept.stat().st_mtime_ns >= before


def test_interrupted_writing_leaves_no_half_file_and_keeps_the_old_one(
    a_scan, tmp_path, monkeypatch
):
    path, old = tmp_path / "11.npz", tmp_path / "3.npz"
    write_generated_scan(a_scan, old)
    before = old.read_bytes()

    def stop_half_way(target, **arrays):
        with open(target, "wb") if not hasattr(target, "write") else target as stream:  # noqa: PTH123
            stream.write(b"PK half")
        raise KeyboardInterrupt

    monkeypatch.setattr(folder_module.np, "savez", stop_half_way)
    for target in (path, old):
        with pytest.raises(KeyboardInterrupt):
            write_generated_scan(toy_generator().draw(3), target)

    assert not path.exists()
    assert old.read_bytes() == before
