# SPDX-License-Identifier: Apache-2.0
"""Folds by people: nobody is in two parts of a split."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from palnet._stored import counted
from palnet.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Fold", "split_for_training", "split_people"]

SINGLE_TEST_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class Fold:
    """Rows of a cohort for training, for validation (early stopping) and for testing."""

    train: tuple[int, ...]
    validation: tuple[int, ...]
    test: tuple[int, ...]


def split_people(
    people: Sequence[str],
    n_folds: int,
    seed: int,
    validation_share: float,
    least_validation: int = 1,
) -> list[Fold]:
    """Split a cohort by people.

    With one scan per person, the test parts are those of scikit-learn's ``KFold(n_folds,
    shuffle=True, random_state=seed)``, and of ``train_test_split(test_size=0.2,
    random_state=seed)`` for one fold, which the paper used.

    Parameters
    ----------
    people : sequence of str
        The person of each scan.
    n_folds : int
        Number of folds; 1 gives a single 80/20 split.
    seed : int
        Seed of the shuffling.
    validation_share : float
        Share of the people of each training part that is used for validation instead.
    least_validation : int
        Minimum number of validation people, as long as one is left for training.

    Returns
    -------
    list of Fold
        Each scan is tested once; in a single split, one person in five is.

    Raises
    ------
    UsageError
        If there are too few people.
    """
    names = list(dict.fromkeys(people))
    # At least two people must remain outside the test part, to train and to validate.
    least = 4 if n_folds == 2 else max(n_folds, 3)
    if len(names) < least:
        msg = (
            f"{counted(n_folds, 'fold')}: expected at least {least} people; got {len(names)}. "
            "Give more scans, or fewer folds."
        )
        raise UsageError(msg)
    # The legacy generator, so that the folds are the published ones.
    rng = np.random.RandomState(seed)
    if n_folds == 1:
        n_test = math.ceil(SINGLE_TEST_SHARE * len(names))
        tests = [rng.permutation(len(names))[:n_test]]
    else:
        order = np.arange(len(names))
        rng.shuffle(order)
        tests = [np.sort(part) for part in np.array_split(order, n_folds)]
    return [
        _fold(
            people,
            test.tolist(),
            np.random.default_rng([seed, number]),
            validation_share,
            least_validation,
        )
        for number, test in enumerate(tests)
    ]


def split_for_training(
    people: Sequence[str], seed: int, validation_share: float, least_validation: int = 1
) -> Fold:
    """Split all people into training and validation parts, without a test part.

    Parameters
    ----------
    people : sequence of str
        The person of each scan.
    seed : int
        Seed of the choice.
    validation_share : float
        Share of the people used for validation.
    least_validation : int
        Minimum number of validation people.

    Returns
    -------
    Fold
        With an empty test part.
    """
    return _fold(people, [], np.random.default_rng(seed), validation_share, least_validation)


def _fold(
    people: Sequence[str],
    test: list[int],
    rng: np.random.Generator,
    validation_share: float,
    least_validation: int,
) -> Fold:
    """Choose the validation people among those that are not tested."""
    names = list(dict.fromkeys(people))
    rest = [row for row in range(len(names)) if row not in set(test)]
    n_validation = min(max(least_validation, round(validation_share * len(rest))), len(rest) - 1)
    chosen = set(rng.permutation(rest)[:n_validation].tolist())
    part_of = {names[row]: "test" for row in test}
    part_of |= {names[row]: "validation" if row in chosen else "train" for row in rest}
    rows = {
        part: tuple(row for row, person in enumerate(people) if part_of[person] == part)
        for part in ("train", "validation", "test")
    }
    return Fold(**rows)
