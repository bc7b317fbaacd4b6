# SPDX-License-Identifier: Apache-2.0
"""Files damaged anywhere: read, or refused by an error that names them; never anything else."""

from __future__ import annotations

import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palnet.errors import FormatError
from palnet.exchange import FORMATS, FormatWarning, get_format, read_specimens
from palnet.landmarks import LandmarkSet
from palnet.scheme import scheme_from_dict

SCHEME = scheme_from_dict(
    {
        "scheme": "lab2",
        "landmarks": [
            {"code": "tip", "name": "Tip", "side": "midline", "definition": "Foremost."},
            {"code": "chin", "name": "Chin", "side": "midline", "definition": "Lowest."},
        ],
    }
)
TOKENS = [
    *("", "\n", "\n\n", " ", "\t", ",", ";", "'", '"', "=", "[", "]", "(", ")", "<", "/>", "\\"),
    *(
        "NA",
        "nan",
        "inf",
        "1e999",
        "-9999",
        "9999",
        "0",
        "1",
        "3",
        "-",
        "1_0",
        "\uff19",
        "\u2028",
        "é",
    ),
    *("LM3=2", "ID=", "SCALE=", "[names]", "tip", "chin", "null", "[]", "{}", "true", "\ufeff"),
    "9" * 5000,
]


def write_valid(name):
    specimens = [
        LandmarkSet(
            SCHEME,
            np.arange(6.0).reshape(2, 3) + shift,
            ("detected", "detected"),
            np.ones(2),
            1.0,
            "LPS",
            specimen,
            "LPS",
        )
        for specimen, shift in (("a", 1.5), ("b", -20.25))
    ]
    many = specimens if get_format(name).holds_many else specimens[:1]
    return "".join(get_format(name).write(many))


@st.composite
def damaged_texts(draw, name):
    text = write_valid(name)
    if name in ("csv", "csv-wide") and draw(st.booleans()):
        text = text.replace(",", ";").replace(".", ",")
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.one_of(st.integers(start, min(start + 12, len(text))), st.just(len(text))))
        new = draw(st.one_of(st.sampled_from(TOKENS), st.text(max_size=4)))
        text = text[:start] + new + text[end:]
    return text


@pytest.mark.parametrize("strict", [True, False], ids=["strict", "lenient"])
@pytest.mark.parametrize("name", FORMATS)
@given(data=st.data())
@settings(max_examples=40)
def test_damaged_file_is_read_or_named(name, strict, data):
    text = data.draw(damaged_texts(name))

    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("error" if strict else "ignore", FormatWarning)
        # That a list which carries its scheme was renamed is told, and no reason to refuse it.
        warnings.filterwarnings("ignore", ".* is taken for ", FormatWarning)
        path = Path(folder) / f"a{get_format(name).suffix}"
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        answer = read_or_message(path, strict=strict)

    assert answer == "read" or answer.startswith(f"{path}:")


def read_or_message(path, *, strict):
    try:
        found = read_specimens(path, SCHEME, strict=strict)
    except FormatError as err:
        return str(err)
    return "read" if found and all(entry.scheme is SCHEME for entry in found) else "nothing"
