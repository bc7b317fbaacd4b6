# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palnet.errors import UsageError
from palnet.training.annotated.folds import split_for_training, split_people

# KFold(5, shuffle=True, random_state=42).split and train_test_split(test_size=0.2,
# random_state=42) on arange(23), scikit-learn 1.9.1.
KFOLD = [
    (0, 8, 9, 15, 17),
    (1, 2, 5, 12, 13),
    (3, 4, 11, 18, 20),
    (7, 16, 21, 22),
    (6, 10, 14, 19),
]
SINGLE = (0, 8, 9, 15, 17)


def test_test_parts_are_those_of_scikit_learn():
    people = [f"p{number}" for number in range(23)]

    assert [fold.test for fold in split_people(people, 5, 42, 0.1)] == KFOLD
    assert [fold.test for fold in split_people(people, 1, 42, 0.1)] == [SINGLE]


@given(
    st.lists(st.sampled_from("abcdefghijkl"), min_size=5).filter(lambda p: len(set(p)) >= 5),
    st.integers(1, 5),
    st.integers(0, 99),
    st.sampled_from([0.01, 0.1, 0.5, 0.99]),
)
def test_nobody_is_in_two_parts_and_everybody_is_tested_once(people, n_folds, seed, share):
    folds = split_people(people, n_folds, seed, share)

    for fold in folds:
        parts = [fold.train, fold.validation, fold.test]
        assert sorted(row for part in parts for row in part) == list(range(len(people)))
        assert all(parts)
        owners = [{people[row] for row in part} for part in parts]
        assert sum(map(len, owners)) == len(set(people))
    tested = [row for fold in folds for row in fold.test]
    assert len(set(tested)) == len(tested)
    assert len(folds) == n_folds
    if n_folds > 1:
        assert len(tested) == len(people)


def test_folds_depend_on_the_seed_alone():
    people = [f"p{number}" for number in range(30)]

    assert split_people(people, 5, 42, 0.1) == split_people(people, 5, 42, 0.1)
    assert split_people(people, 5, 42, 0.1) != split_people(people, 5, 43, 0.1)


@pytest.mark.parametrize(("n_folds", "least"), [(5, 5), (3, 3), (2, 4), (1, 3)])
def test_too_few_people_are_refused(n_folds, least):
    people = [str(number) for number in range(least - 1)] * 9

    with pytest.raises(UsageError, match=f"at least {least} people; got {least - 1}"):
        split_people(people, n_folds, 42, 0.1)
    for fold in split_people([str(number) for number in range(least)], n_folds, 42, 0.1):
        assert all([fold.train, fold.validation, fold.test])


def test_share_that_validates_is_one_of_those_who_are_not_tested():
    for fold in split_people([f"p{number}" for number in range(20)], 5, 42, 0.25):
        assert (len(fold.train), len(fold.validation), len(fold.test)) == (12, 4, 4)


def test_all_train_but_those_who_validate():
    people = [f"p{number // 2}" for number in range(40)]

    fold = split_for_training(people, 42, 0.1)

    assert fold.test == ()
    assert sorted(fold.train + fold.validation) == list(range(40))
    assert len(fold.validation) == 4
    assert not {people[row] for row in fold.train} & {people[row] for row in fold.validation}
    assert fold == split_for_training(people, 42, 0.1)
    assert fold != split_for_training(people, 43, 0.1)
