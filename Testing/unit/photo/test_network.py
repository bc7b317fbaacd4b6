# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from palnet.photo.network import WEIGHTS_FILE, read_photo_network, run_photo_network
from palnet.scheme import load_scheme

# By Google's own runtime (ai-edge-litert 2.1) and the whole file of 478 points, from which
# benchmarks/make_photo_network.py picks these: columns and rows in the picture of `_rings`.
BY_GOOGLES_RUNTIME = {
    "prn": (109.8811, 130.8608),
    "sn": (108.1846, 143.9566),
    "ls": (108.3150, 160.0663),
    "sto": (106.6060, 172.2394),
    "li": (105.2407, 188.8341),
    "ex_r": (47.0311, 95.0569),
    "en_r": (80.4072, 95.5327),
    "cph_r": (98.5219, 158.2836),
    "ch_r": (73.0441, 167.9279),
    "ex_l": (158.7268, 95.9623),
    "en_l": (129.2522, 96.0923),
    "cph_l": (118.1876, 159.1536),
    "ch_l": (134.4513, 172.2878),
}
PRESENCE = -2.0870402


def _rings():
    """A picture without a face, the same on every machine."""
    row, column, channel = np.indices((256, 256, 3))
    rings = (row - 128) ** 2 + 2 * (column - 100) ** 2 + 4000 * channel
    return (rings % 20000 / 20000).astype(np.float32)


def test_it_gives_what_googles_runtime_gives():
    network = read_photo_network()

    places, presence = run_photo_network(network, _rings())

    expected = [BY_GOOGLES_RUNTIME[code] for code in network.codes]
    # The weights of stomion are the mean of those of two points, in half precision.
    np.testing.assert_allclose(places, expected, atol=0.02)
    assert presence == pytest.approx(PRESENCE, abs=1e-3)


def test_what_a_filter_adds_can_be_taken_off_by_the_layer_behind_it():
    network, rng = read_photo_network(), np.random.default_rng(1)
    blocks = []
    for block in network.blocks:
        # As Google trained it, they add nothing.
        added = rng.normal(size=block["filter.bias"].shape).astype(np.float32)
        widened = block["widen.bias"] - block["widen.weight"] @ added
        blocks.append({**block, "filter.bias": added, "widen.bias": widened})

    places, _ = run_photo_network(replace(network, blocks=tuple(blocks)), _rings())

    np.testing.assert_allclose(places, run_photo_network(network, _rings())[0], atol=0.01)


def test_its_codes_are_those_of_the_scheme_and_both_sides_are_there():
    codes = read_photo_network().codes

    assert set(codes) <= set(load_scheme().codes)
    assert {code for code in codes if code.endswith("_r")} == {
        f"{code[:-2]}_r" for code in codes if code.endswith("_l")
    }


def test_the_picture_is_not_changed():
    pixels = _rings()
    before = pixels.copy()

    run_photo_network(read_photo_network(), pixels)

    np.testing.assert_array_equal(pixels, before)


def test_the_file_is_small():
    assert WEIGHTS_FILE.stat().st_size < 1_000_000
