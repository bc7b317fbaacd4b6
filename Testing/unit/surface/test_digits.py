# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from palnet.surface._digits import DIGITS_PADDING, parse_decimals, parse_leading_integers
from palnet.surface._text import parse_floats

digits = st.text("0123456789", max_size=15)
plain_decimals = (
    st.tuples(st.sampled_from(["", "-", "+"]), digits, st.sampled_from(["", "."]), digits)
    .filter(lambda parts: parts[2] or not parts[3])
    .filter(lambda parts: 1 <= len(parts[1] + parts[3]) <= 15)
    .map("".join)
)


def tokens_of(words, blank=" "):
    """The text of some words, and where each starts."""
    lengths = np.array([len(word) + len(blank) for word in words], dtype=np.int64)
    text = blank.join(words).encode() + DIGITS_PADDING
    return np.frombuffer(text, dtype=np.uint8), np.cumsum(lengths) - lengths


@given(st.lists(plain_decimals, min_size=1, max_size=40), st.sampled_from([" ", "\t", "\r\n"]))
def test_plain_decimals_are_read_to_the_last_bit_as_python_reads_them(words, blank):
    values = parse_decimals(*tokens_of(words, blank))

    expected = np.array([float(word) for word in words])
    assert values is not None
    np.testing.assert_array_equal(values.view(np.int64), expected.view(np.int64))


@given(st.floats(-1e5, 1e5), st.integers(0, 9))
def test_coordinates_as_programs_write_them_are_read_exactly(value, n_places):
    word = f"{value:.{n_places}f}"

    values = parse_decimals(*tokens_of([word]))

    assert values is not None
    assert values.tolist() == [float(word)]


@given(
    st.lists(st.floats(), max_size=40), st.sampled_from([b" ", b"\t", b"\r\n", b" \0 ", b" \x1a "])
)
def test_numbers_are_read_to_the_last_bit_as_python_reads_them(numbers, blank):
    text = blank + blank.join(b"%r" % number for number in numbers) + blank

    values = parse_floats(text)

    np.testing.assert_array_equal(values, numbers)


@pytest.mark.parametrize(
    "word",
    ["1e3", "nan", "inf", "1,5", "1.2.3", "--1", "-", ".", "x", "1x", "0x10", "1234567890.123456"],
)
def test_what_is_no_plain_decimal_is_left_to_others(word):
    assert parse_decimals(*tokens_of(["1.5", word, "2.5"])) is None


def test_no_tokens_are_no_numbers():
    values = parse_decimals(np.frombuffer(DIGITS_PADDING, dtype=np.uint8), np.zeros(0, np.int64))

    assert values is not None
    assert values.shape == (0,)


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
