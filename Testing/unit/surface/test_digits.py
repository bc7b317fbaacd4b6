# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from palnet.surface._digits import DIGITS_PADDING, parse_leading_integers
from palnet.surface._text import parse_floats


def tokens_of(words):
    """The text of some words, and where each starts."""
    lengths = np.array([len(word) + 1 for word in words], dtype=np.int64)
    text = " ".join(words).encode() + DIGITS_PADDING
    return np.frombuffer(text, dtype=np.uint8), np.cumsum(lengths) - lengths


@given(
    st.lists(st.floats(), max_size=40), st.sampled_from([b" ", b"\t", b"\r\n", b" \0 ", b" \x1a "])
)
def test_numbers_are_read_to_the_last_bit_as_python_reads_them(numbers, blank):
    text = blank + blank.join(b"%r" % number for number in numbers) + blank

    values = parse_floats(text)

    np.testing.assert_array_equal(values, numbers)


@given(st.lists(st.integers(-(10**10) + 1, 10**10 - 1), min_size=1, max_size=40))
def test_integers_are_read_with_the_byte_behind_them(numbers):
    words = [f"{number}{behind}" for number, behind in zip(numbers, "/x" * 20, strict=False)]

    values, ends = parse_leading_integers(*tokens_of(words))

    assert values.tolist() == numbers
    assert bytes(ends).decode() == "".join(word[-1] for word in words)


@pytest.mark.parametrize("word", ["/1", "x", "-", "-/2"])
def test_no_integer_is_zero(word):
    values, _ = parse_leading_integers(*tokens_of([word]))

    assert values.tolist() == [0]


@pytest.mark.parametrize("n_digits", [11, 12, 16, 20])
def test_more_than_ten_digits_end_with_a_digit(n_digits):
    _, ends = parse_leading_integers(*tokens_of(["7" * n_digits]))

    assert bytes(ends).isdigit()
