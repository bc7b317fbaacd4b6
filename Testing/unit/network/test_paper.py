# SPDX-License-Identifier: Apache-2.0
"""The paper's networks: sizes as published, values as a naive evaluation has them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from palnet.network.paper import VARIANTS, run_palnet, shapes_of_palnet
from palnet.network.torch_paper import PalNet

# Counted from the paper's description, for 50 patches of 1000 points.
PUBLISHED_COUNTS = {
    "palnet": 67_064_262,
    "noatt": 66_772_662,
    "topk": 181_533_862,
    "2blk": 132_442_230,
    "ndo": 67_064_262,
}
# Sums of float32 in another order: measured up to 3e-6 on values near 1.
NAIVE_ATOL = 5e-5
TWIN_MM = 1e-3


def stirred(variant, n_landmarks, n_points, seed=0, noise=0.1):
    """A network none of whose parameters is zero, not even the biases of the tokens."""
    torch.manual_seed(seed)
    network = PalNet(n_landmarks, n_points, variant)
    for parameter in network.parameters():
        parameter.data += noise * torch.randn_like(parameter)
    return network.eval()


def some_patches(n_faces, n_landmarks, n_points, seed=1):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n_faces, n_landmarks, n_points, 3)).astype(np.float32)


def run(network, patches):
    with torch.no_grad():
        return network(torch.from_numpy(patches)).numpy()


def naive_face(network, variant, patches):
    """Evaluate one face point by point in float64, from the paper's words."""
    state = {name: value.double().numpy() for name, value in network.state_dict().items()}
    n_blocks = 2 if variant == "2blk" else 3
    rows = [[point.astype(np.float64) for point in patch] for patch in patches]
    summaries = []
    for block in range(n_blocks):
        for layer in (0, 2):
            weight = state[f"blocks.{block}.{layer}.weight"][:, :, 0, 0]
            bias = state[f"blocks.{block}.{layer}.bias"]
            rows = [[np.maximum(weight @ x + bias, 0) for x in row] for row in rows]
        if variant != "noatt":
            weight = state[f"attentions.{block}.weight"]
            bias = state[f"attentions.{block}.bias"]
            summary = naive_top if variant == "topk" else naive_sum
            summaries.append(summary(rows, weight, bias))
        pool = (5, 5, 4)[block]
        rows = [
            [np.max(row[i : i + pool], axis=0) for i in range(0, len(row) - pool + 1, pool)]
            for row in rows
        ]
    channels = len(rows[0][0])
    last = [x[c] for c in range(channels) for row in rows for x in row]
    values = np.concatenate([*summaries, last])
    values = np.maximum(state["head.0.weight"] @ values + state["head.0.bias"], 0)
    values = state["head.2.weight"] @ values + state["head.2.bias"]
    return (state["head.4.weight"] @ values + state["head.4.bias"]).reshape(-1, 3)


def naive_sum(rows, weight, bias):
    tokens = [x for row in rows for x in row]
    scores = [
        math.exp(math.tanh(float(x @ weight[:, 0]) + bias[i, 0])) for i, x in enumerate(tokens)
    ]
    return sum(score * x for score, x in zip(scores, tokens, strict=True)) / sum(scores)


def naive_top(rows, weight, bias):
    chosen = []
    for number, row in enumerate(rows):
        scores = [float(x @ weight[number, :, 0]) + bias[number, i, 0] for i, x in enumerate(row)]
        best = sorted(range(len(row)), key=lambda i: -scores[i])[:10]
        chosen += [row[i] for i in best]
    return np.concatenate(chosen)


@pytest.mark.parametrize("variant", VARIANTS)
def test_size_is_the_published_one(variant):
    with torch.device("meta"):
        network = PalNet(50, 1000, variant)

    assert sum(p.numel() for p in network.parameters()) == PUBLISHED_COUNTS[variant]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(("n_landmarks", "n_points"), [(3, 250), (2, 333)])
def test_forward_equals_a_naive_evaluation(variant, n_landmarks, n_points):
    network = stirred(variant, n_landmarks, n_points)
    patches = some_patches(2, n_landmarks, n_points)

    predicted = run(network, patches)

    naive = np.array([naive_face(network, variant, face) for face in patches])
    # Outputs must differ by far more than the tolerance, or equality would say nothing.
    assert np.ptp(naive) > 1
    np.testing.assert_allclose(predicted, naive, rtol=NAIVE_ATOL, atol=NAIVE_ATOL)


@pytest.mark.parametrize("variant", VARIANTS)
def test_weights_start_xavier_normal_and_biases_at_zero(variant):
    torch.manual_seed(4)
    network = PalNet(4, 250, variant)

    for name, parameter in network.state_dict().items():
        if name.endswith("bias"):
            assert not parameter.any(), name
            continue
        fans = parameter.shape[:2] if parameter.ndim != 3 else parameter.shape[1:]
        expected = math.sqrt(2 / sum(fans))
        # Five standard errors of a standard deviation taken from so many draws.
        slack = 5 / math.sqrt(2 * parameter.numel())
        assert float(parameter.std()) == pytest.approx(expected, rel=slack), name
        assert abs(float(parameter.mean())) < 5 * expected / math.sqrt(parameter.numel()), name


@pytest.mark.parametrize(
    ("variant", "drops"),
    [("palnet", True), ("noatt", True), ("topk", True), ("2blk", True), ("ndo", False)],
)
def test_dropout_acts_in_training_only(variant, drops):
    network = stirred(variant, 2, 250)
    patches = torch.from_numpy(some_patches(1, 2, 250))

    at_rest = network(patches)
    assert torch.equal(at_rest, network(patches))
    network.train()
    assert torch.equal(network(patches), network(patches)) is not drops


def test_convention_faces_of_a_batch_do_not_mix():
    network = stirred("palnet", 3, 250)
    patches = some_patches(3, 3, 250)

    together = run(network, patches)

    alone = np.concatenate([run(network, face[None]) for face in patches])
    np.testing.assert_allclose(together, alone, rtol=NAIVE_ATOL, atol=NAIVE_ATOL)


def test_convention_result_depends_on_order_and_frame():
    network = stirred("palnet", 3, 250)
    patches = some_patches(1, 3, 250)

    as_given = run(network, patches)

    assert np.abs(as_given - run(network, patches[:, :, ::-1].copy())).max() > 1e-3
    assert np.abs(as_given + 1 - run(network, patches + 1)).max() > 1e-3


def test_top_tokens_scores_get_no_gradient_and_the_others_do():
    for variant, learns in (("topk", False), ("palnet", True)):
        network = stirred(variant, 2, 250)
        network(torch.from_numpy(some_patches(2, 2, 250))).square().sum().backward()

        grads = [p.grad for p in network.attentions.parameters()]
        assert [grad is not None and bool(grad.any()) for grad in grads] == [learns] * 6


def test_patches_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"\(batch, \(3, 250, 3\)\); got \(1, 2, 250, 3\)"):
        run(stirred("palnet", 3, 250), some_patches(1, 2, 250))


@pytest.mark.parametrize(
    ("variant", "n_points", "least"),
    [("palnet", 99, 100), ("2blk", 24, 25), ("topk", 249, 250), ("noatt", 0, 100)],
)
def test_patch_that_is_too_small_is_refused(variant, n_points, least):
    with pytest.raises(ValueError, match=f"at least {least} for {variant}; got {n_points}"):
        PalNet(2, n_points, variant)
    PalNet(2, least, variant)


def test_unknown_variant_is_refused():
    with pytest.raises(ValueError, match=r"one of palnet, noatt, .*; got '3blk'"):
        PalNet(2, 250, "3blk")


# --- the twin in numpy ---------------------------------------------------------------------------


def weights_of(network):
    return {name: weight.numpy() for name, weight in network.state_dict().items()}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(("n_landmarks", "n_points"), [(13, 1000), (3, 333)])
def test_numpy_equals_torch(variant, n_landmarks, n_points):
    """On patches as they are, tens of millimetres from the origin and sorted by distance."""
    network = stirred(variant, n_landmarks, n_points, noise=0.01)
    rng = np.random.default_rng(7)
    centres = rng.normal(0, 50, (n_landmarks, 1, 3))
    patches = (centres + rng.uniform(-20, 20, (n_landmarks, n_points, 3))).astype(np.float32)
    order = np.argsort(np.linalg.norm(patches, axis=2), axis=1)
    patches = np.take_along_axis(patches, order[..., None], axis=1)

    predicted = run_palnet(weights_of(network), patches)

    expected = run(network, patches[None])[0]
    assert np.ptp(expected) > 1
    # Measured: up to 1e-4 mm.
    np.testing.assert_allclose(predicted, expected, rtol=0, atol=TWIN_MM)


@pytest.mark.parametrize("variant", VARIANTS)
def test_numpy_knows_the_shapes(variant):
    with torch.device("meta"):
        network = PalNet(4, 300, variant)

    shapes = {name: tuple(weight.shape) for name, weight in network.state_dict().items()}
    assert shapes_of_palnet(variant, 4, 300) == shapes
