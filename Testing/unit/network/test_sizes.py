# SPDX-License-Identifier: Apache-2.0
"""A network that grows: the same answers at first, and everything in it can learn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from palnet.model import read_model
from palnet.network.landmarks import run_network
from palnet.network.sizes import LARGE_SIZE, SIZES, SMALL_SIZE, NetworkSize, grow_weights
from palnet.network.torch_landmarks import LandmarkNetwork

N_LANDMARKS = 5
# Sums in another order, in units of 4 mm; measured 1e-6.
SAME = 1e-5


def stirred_weights(size, seed, n_landmarks=N_LANDMARKS):
    """As of a trained network: nothing at its initial value."""
    torch.manual_seed(seed)
    network = LandmarkNetwork(n_landmarks, size)
    for parameter in network.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    return {name: weight.numpy().copy() for name, weight in network.state_dict().items()}


def some_inputs(seed):
    rng = np.random.default_rng(seed)
    return (
        rng.normal(0, 5, (3, N_LANDMARKS, 40, 6)).astype(np.float32),
        rng.random((3, N_LANDMARKS, 2), dtype=np.float32),
        rng.normal(0, 40, (3, N_LANDMARKS, 3)).astype(np.float32),
    )


TWO_POOLS = replace(SMALL_SIZE, n_pools=2)


@pytest.mark.parametrize("size", [*SIZES.values(), replace(TWO_POOLS, width=64)])
def test_size_is_read_off_the_weights(size):
    assert NetworkSize.of(stirred_weights(size, 0)) == size


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (SMALL_SIZE, LARGE_SIZE),
        (SMALL_SIZE, SMALL_SIZE),
        (TWO_POOLS, LARGE_SIZE),
        (SMALL_SIZE, replace(SMALL_SIZE, n_layers=3)),
        (SMALL_SIZE, replace(SMALL_SIZE, point_widths=(48, 64, 160))),
        (SMALL_SIZE, replace(SMALL_SIZE, point_widths=(48, 96, 128))),
        (SMALL_SIZE, replace(SMALL_SIZE, hidden=300)),
    ],
)
@pytest.mark.parametrize("seed", range(3))
def test_grown_network_says_what_the_trained_one_said(old, new, seed):
    weights, inputs = stirred_weights(old, seed), some_inputs(seed)

    grown = grow_weights(weights, stirred_weights(new, seed + 10))

    assert NetworkSize.of(grown) == new
    expected = run_network(weights, *inputs)
    np.testing.assert_allclose(run_network(grown, *inputs), expected, rtol=0, atol=SAME)
    assert np.ptp(expected[..., :3]) > 0.1


def test_what_is_new_in_a_grown_network_learns():
    """Within a few steps: it is heard of, and then changed itself."""
    weights, fresh = stirred_weights(SMALL_SIZE, 0), stirred_weights(LARGE_SIZE, 1)
    begun = grow_weights(weights, fresh)
    network = LandmarkNetwork.from_weights(begun)
    optimizer = torch.optim.SGD(network.parameters(), lr=3e-2)
    inputs = [torch.from_numpy(array) for array in some_inputs(2)]

    for _ in range(3):
        optimizer.zero_grad()
        network(*inputs).square().mean().backward()
        optimizer.step()

    n_checked = 0
    for name, weight in network.state_dict().items():
        moved = weight.numpy() != begun[name]
        old = weights[name].shape if name in weights else (0,) * moved.ndim
        if moved.shape == old or name == "score.bias":  # a softmax takes a constant away again
            continue
        new_rows = moved[old[0] :].any(axis=tuple(range(1, moved.ndim)))
        # Of the points' and hidden units some are lit by nothing here, in any network.
        if len(new_rows):
            assert new_rows.mean() > 0.3, name
        if moved.ndim == 2 and moved.shape[1] > old[1] and old[0]:
            new_columns = moved[: old[0], old[1] :].any(axis=0)
            assert new_columns.mean() > 0.3, name
        n_checked += 1
    # Of points, identity and scores 9, the token's weight, 3 of each old layer, 12 of each new one.
    assert n_checked == 9 + 1 + 2 * 3 + 2 * 12


def test_shipped_network_is_the_large_one():
    assert NetworkSize.of(read_model().network("landmarks")) == LARGE_SIZE


def test_growing_leaves_both_networks_as_they_were():
    weights, fresh = stirred_weights(SMALL_SIZE, 0), stirred_weights(LARGE_SIZE, 1)
    before = [{name: weight.copy() for name, weight in state.items()} for state in (weights, fresh)]

    grow_weights(weights, fresh)

    for state, old in zip((weights, fresh), before, strict=True):
        for name, weight in old.items():
            np.testing.assert_array_equal(state[name], weight)


@pytest.mark.parametrize(
    "other",
    [
        replace(SMALL_SIZE, width=64),
        replace(SMALL_SIZE, n_layers=1),
        replace(SMALL_SIZE, hidden=200),
        replace(LARGE_SIZE, point_widths=(40, 96, 192)),
    ],
)
def test_network_that_would_shrink_is_refused(other):
    with pytest.raises(ValueError, match="it may only grow, at its width"):
        grow_weights(stirred_weights(SMALL_SIZE, 0), stirred_weights(other, 1))


def test_network_of_other_landmarks_is_refused():
    with pytest.raises(ValueError, match="5 landmarks cannot become 6"):
        grow_weights(stirred_weights(SMALL_SIZE, 0), stirred_weights(LARGE_SIZE, 1, 6))
