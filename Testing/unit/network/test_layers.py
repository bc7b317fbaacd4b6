# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from palnet.network.layers import attend, layer_norm, linear, relu, select, softmax

# Single precision of values about one; measured 1e-6.
ATOL = 1e-5
seeds = st.integers(0, 2**32 - 1)


def state_of(module, prefix):
    """The weights of a torch module, stirred, under a prefix."""
    rng = np.random.default_rng(1)
    for parameter in module.parameters():
        noise = rng.normal(0, 0.5, parameter.shape).astype(np.float32)
        parameter.data += torch.from_numpy(noise)
    return {f"{prefix}.{name}": w.numpy() for name, w in module.state_dict().items()}


def values(seed, *shape):
    return np.random.default_rng(seed).normal(0, 2, shape).astype(np.float32)


@pytest.mark.parametrize("n_tokens", [1, 5, 50])
def test_attend_equals_torch(n_tokens):
    torch.manual_seed(0)
    twin = torch.nn.MultiheadAttention(16, 4, batch_first=True)
    weights = state_of(twin, "attention")
    tokens = values(2, 3, n_tokens, 16)

    mixed = attend(weights, "attention", tokens, 4)

    given = torch.from_numpy(tokens)
    expected = twin(given, given, given, need_weights=False)[0].detach().numpy()
    np.testing.assert_allclose(mixed, expected, atol=10 * ATOL)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_layer_norm_equals_torch(scale):
    twin = torch.nn.LayerNorm(24)
    weights = state_of(twin, "norm")
    tokens = values(3, 2, 7, 24) * np.float32(scale)

    normed = layer_norm(weights, "norm", tokens)

    expected = twin(torch.from_numpy(tokens)).detach().numpy()
    np.testing.assert_allclose(normed, expected, atol=ATOL)


def test_linear_equals_torch():
    twin = torch.nn.Linear(6, 9)
    weights = state_of(twin, "layer")
    tokens = values(4, 2, 3, 6)

    out = linear(weights, "layer", tokens)

    np.testing.assert_allclose(out, twin(torch.from_numpy(tokens)).detach().numpy(), atol=ATOL)


@given(seeds, st.sampled_from([0, 1, 2]))
def test_softmax_equals_torch_and_sums_to_one(seed, axis):
    logits = 40 * values(seed, 3, 4, 5)

    shares = softmax(logits, axis=axis)

    np.testing.assert_allclose(shares.sum(axis=axis), 1, atol=ATOL)
    expected = torch.softmax(torch.from_numpy(logits), dim=axis).numpy()
    np.testing.assert_allclose(shares, expected, atol=ATOL)


def test_softmax_of_huge_values_stays_finite():
    shares = softmax(np.array([[1e30, 1e30, -1e30]], dtype=np.float32), axis=1)

    np.testing.assert_allclose(shares, [[0.5, 0.5, 0]])


def test_relu_cuts_negative_values_in_place():
    array = np.array([-2.0, 0, 3], dtype=np.float32)

    result = relu(array)

    assert result is array
    np.testing.assert_array_equal(array, [0, 0, 3])


def test_select_takes_whole_prefixes_only():
    weights = {"layers.1.norm.weight": 1, "layers.10.norm.weight": 2, "layers.1": 3}

    assert select(weights, "layers.1") == {"norm.weight": 1}


@pytest.mark.parametrize("layer", [attend, layer_norm, linear, softmax])
def test_layers_leave_their_input_as_it_was(layer):
    torch.manual_seed(0)
    weights = state_of(torch.nn.MultiheadAttention(8, 2, batch_first=True), "a")
    weights |= state_of(torch.nn.LayerNorm(8), "n") | state_of(torch.nn.Linear(8, 8), "l")
    tokens = values(5, 2, 3, 8)
    before = tokens.copy()
    arguments = {
        attend: (weights, "a", tokens, 2),
        layer_norm: (weights, "n", tokens),
        linear: (weights, "l", tokens),
        softmax: (tokens, 1),
    }

    layer(*arguments[layer])

    np.testing.assert_array_equal(tokens, before)
