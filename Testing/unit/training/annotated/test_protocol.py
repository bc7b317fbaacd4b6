# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from palnet.errors import UsageError
from palnet.network.paper import N_TOP, VARIANTS, count_tokens, least_points
from palnet.network.torch_paper import PalNet
from palnet.training.annotated.protocol import read_protocol
from palnet.training.recipe_file import RECIPES_FOLDER


def test_shipped_protocol_has_the_published_numbers():
    protocol = read_protocol()

    training = protocol.training
    assert (training.rate, training.batch_size, training.n_epochs) == (1e-3, 16, 5000)
    assert (training.plateau_factor, training.plateau_patience, training.stop_after) == (0.5, 8, 30)
    assert (protocol.n_folds, protocol.seed) == (5, 42)
    assert (protocol.patches.n_points, protocol.cohort.outlier_mm) == (1000, 120)
    assert (protocol.variant, protocol.finish) == ("palnet", "average")


def test_epochs_are_counted_by_the_scans_shown():
    paper, improved = read_protocol("paper"), read_protocol("improved")

    # 171 scans: the paper's epoch is ten batches of 16 and one of 11; the others are all of 16.
    assert [paper.count_epochs(n, 171) for n in (11, 12, 22, 23)] == [1, 2, 2, 3]
    assert [improved.count_epochs(n, 171) for n in (10, 11, 171, 172)] == [1, 2, 16, 17]
    # Five scans are shown three times and once more in each batch.
    assert (paper.count_epochs(600, 5), improved.count_epochs(600, 5)) == (600, 1920)


@pytest.mark.parametrize("variant", VARIANTS)
def test_least_points_are_those_that_last_through_all_poolings(variant):
    def lasts(n_points):
        *_, last_but_one, last = count_tokens(variant, n_points)
        return last >= 1 and (variant != "topk" or last_but_one >= N_TOP)

    least = least_points(variant)

    assert lasts(least)
    assert not lasts(least - 1)
    with torch.device("meta"):
        PalNet(1, least, variant)
        with pytest.raises(ValueError, match="n_points must be at least"):
            PalNet(1, least - 1, variant)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('variant = "palnet"', 'variant = "unet"', r"lab\.toml: variant must be one of .*'unet'"),
        ('finish = "average"', "finish = 12", "finish must be one of closest, average; got 12"),
        ("n_folds = 5", "n_folds = 0", "n_folds must be a whole number of at least 1; got 0"),
        ("seed = 42", "seed = 4.2", "seed must be a whole number of at least 0; got 4.2"),
        ("seed = 42", "seeds = 42", "lacks seed and has the unknown seeds"),
        ("rate = 1e-3", "rate = 0", "rate must be above 0; got 0"),
        ("rate = 1e-3", "rate = true", r"\[training\]: rate must be a number"),
        ("n_epochs = 5000", "n_epochs = 0.5", "n_epochs must be a whole number"),
        (
            "n_points = 1000",
            "n_points = 99",
            "n_points must be a whole number of at least 100; got 99",
        ),
        ("plateau_factor = 0.5", "plateau_factor = 1", "above 0 and below 1; got 1"),
        ("validation_share = 0.1", "validation_share = 1.0", "above 0 and below 1; got 1.0"),
        ("[cohort]", "[kohort]", "lacks cohort and has the unknown kohort"),
        ("n_folds = 5", "n_folds = ", "not a recipe"),
    ],
)
def test_wrong_protocol_is_named(old, new, message, tmp_path):
    text = (RECIPES_FOLDER / "paper.toml").read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "lab.toml"
    path.write_text(text.replace(old, new), encoding="utf-8")

    with pytest.raises(UsageError, match=message):
        read_protocol(path)


def test_absent_protocol_proposes_the_shipped_one():
    with pytest.raises(UsageError, match=r"a shipped recipe: paper, improved, finetune\.$"):
        read_protocol("published")


def test_protocol_changed_in_code_is_checked_too():
    with pytest.raises(UsageError, match="variant must be one of"):
        replace(read_protocol(), variant="resnet")
