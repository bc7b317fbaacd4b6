# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import re

import pytest

from palnet.errors import UsageError
from palnet.training.generated.recipe import read_recipe
from palnet.training.recipe_file import RECIPES_FOLDER

RECIPE = """
scheme = "palnet50"
seed = 7
[people]
first_seed = 10
n_train = 4
n_validation = 2
n_calibration = 1
wide_share = 0.4
[atlas]
n_people = 5
n_modes = 3
n_points = 60
[pose]
n_people = 4
n_steps_coarse = 12
n_steps_fine = 12
[joint]
ridge = 300
[unseen_source]
factor = 1.5
power = 0.8
[[landmarks]]
n_steps = 12
peak_rate = 2e-3
batch_size = 24
n_drawn = 32
warp = 0
network = "small"
share_before = 0

[[landmarks]]
n_steps = 6
peak_rate = 1e-3
batch_size = 24
n_drawn = 48
warp = 0.5
network = "large"
share_before = 0
"""


@pytest.fixture
def a_recipe_file(tmp_path):
    path = tmp_path / "lab.toml"
    path.write_text(RECIPE, encoding="utf-8")
    return path


def test_recipe_is_what_the_file_says(a_recipe_file):
    recipe = read_recipe(a_recipe_file)

    assert (recipe.name, recipe.scheme, recipe.seed) == ("lab", "palnet50", 7)
    assert recipe.people.n_validation == 2
    assert recipe.people.wide_share == 0.4
    assert recipe.atlas.n_points == 60
    assert recipe.joint.ridge == 300
    assert (recipe.unseen_source.factor, recipe.unseen_source.power) == (1.5, 0.8)
    assert [part.peak_rate for part in recipe.landmarks] == [0.002, 0.001]
    assert [part.batch_size for part in recipe.landmarks] == [24, 24]
    assert [part.n_drawn for part in recipe.landmarks] == [32, 48]
    assert [part.warp for part in recipe.landmarks] == [0, 0.5]
    assert [part.network for part in recipe.landmarks] == ["small", "large"]


def test_shipped_recipe_is_read_by_its_name():
    recipe = read_recipe("palnet50")

    assert recipe.scheme == "palnet50"
    assert recipe.people.n_calibration >= 100


@pytest.mark.parametrize("name", ["held_out", "held_out_short"])
def test_recipe_that_measures_an_unseen_source_supposes_nothing_of_it(name):
    law = read_recipe(name).unseen_source

    assert (law.factor, law.power) == (1, 1)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seed = 7\n", "", "lacks seed"),
        ("wide_share = 0.4", "wide_share = 1.5", r"\[people\]: wide_share must be 0 to 1; got 1.5"),
        ("wide_share = 0.4", "wide_share = nan", "wide_share must be 0 to 1; got nan"),
        ("wide_share = 0.4", "", "lacks wide_share"),
        ("n_modes = 3", "n_modes = 3\nn_mode = 4", "has the unknown n_mode"),
        ("[pose]", "[poses]", "lacks pose"),
        ("n_steps = 12", "n_steps = -1", "n_steps must be a number of at least 0; got -1"),
        ("n_steps = 12", "n_steps = true", "n_steps must be a number"),
        ("n_points = 60", 'n_points = "60"', "n_points must be a number"),
        ('network = "large"', "", "2 lacks network"),
        ('network = "large"', "network = 2", "2: network must be a text in quotes; got 2"),
        ('"large"', '"huge"', r"2: network must be one of .'large', 'small'.; got 'huge'"),
        ("warp = 0.5", "", r"\[\[landmarks\]\] 2 lacks warp"),
        ("share_before = 0\n\n", "\n", "1 lacks share_before"),
        (
            "share_before = 0\n\n",
            "share_before = 1\n\n",
            "1: share_before must be 0 to below 1; got 1",
        ),
        ("share_before = 0\n\n", "share_before = nan\n\n", "must be 0 to below 1; got nan"),
        ("share_before = 0\n\n", "share_before = 0.5\n\n", "1: share_before must be 0 unless"),
        (
            '"large"\nshare_before = 0',
            '"large"\nshare_before = 0.5',
            "2: share_before must be 0 unless",
        ),
        ("n_drawn = 48", "n_drawn = 65", r"\[\[landmarks\]\] 2: n_drawn must be 1 to 64; got 65"),
        ("n_drawn = 48", "n_drawn = 0", "n_drawn must be 1 to 64; got 0"),
        ("n_drawn = 48", "n_drawn = 48.0", "n_drawn must be a whole number; got 48.0"),
        ("batch_size = 24", "batch_size = 0", r"1: batch_size must be 1 to 8 or a multiple of 8"),
        ("batch_size = 24", "batch_size = 25", "a multiple of 8; got 25"),
        ("n_steps = 12", "n_steps = 1.2e1", "n_steps must be a whole number; got 12.0"),
        ("warp = 0.5", "warp = 1.5", "warp must be 0 to 1; got 1.5"),
        ("ridge = 300", "ridge = 0", r"\[joint\]: ridge must be a number above 0; got 0"),
        ("ridge = 300", "ridge = nan", "ridge must be a number above 0; got nan"),
        ("ridge = 300", "ridge = inf", "ridge must be a number above 0; got inf"),
        ("[joint]\nridge = 300\n", "", "lacks joint"),
        (
            "factor = 1.5",
            "factor = 0",
            r"\[unseen_source\]: factor must be a number above 0; got 0",
        ),
        ("power = 0.8", "power = inf", "power must be a number above 0; got inf"),
        ("power = 0.8", "", "lacks power"),
        ("[[landmarks]]", "[[landmark]]", "lacks landmarks"),
        ("[atlas]", "[atlas", "not a recipe"),
        ("seed = 7", "seed = " + "[" * 5000, "not a recipe"),
        ("seed = 7", "seed = 7.5", "lab.toml: seed must be a whole number; got 7.5"),
        ("seed = 7", "seed = -1", "lab.toml: seed must be a number of at least 0; got -1"),
        ("seed = 7", 'seed = "7"', "seed must be a number of at least 0; got '7'"),
        ("seed = 7", "seed = true", "seed must be a number of at least 0; got True"),
        (
            "n_train = 4",
            "n_train = 99999999999999999999",
            r"\[people\]: n_train must be at most 92",
        ),
        ("n_train = 4", "n_train = [4]", r"\[people\]: n_train must be a number of at least 0"),
        ('scheme = "palnet50"', "scheme = 50", "lab.toml: scheme must be a text in quotes; got 50"),
        ("warp = 0.5", "warp = nan", "2: warp must be 0 to 1; got nan"),
        ("peak_rate = 2e-3", "peak_rate = inf", "1: peak_rate must be a finite number; got inf"),
    ],
)
def test_wrong_recipe_is_refused_with_what_is_wrong(old, new, message, a_recipe_file):
    assert old in RECIPE
    a_recipe_file.write_text(RECIPE.replace(old, new), encoding="utf-8")

    with pytest.raises(UsageError, match=message):
        read_recipe(a_recipe_file)


def test_network_that_shrinks_is_refused(a_recipe_file):
    text = RECIPE.replace('"small"', '"huge"').replace('"large"', '"small"')
    a_recipe_file.write_text(text.replace('"huge"', '"large"'), encoding="utf-8")

    with pytest.raises(UsageError, match="may grow from round to round, not shrink"):
        read_recipe(a_recipe_file)


@pytest.mark.parametrize("rounds", ["[landmarks]\nn_steps = 12", "landmarks = []"])
def test_recipe_without_rounds_is_refused(rounds, a_recipe_file):
    others = RECIPE[: RECIPE.index("[[landmarks]]")]
    content = f"{rounds}\n{others}" if "=" in rounds.split("\n")[0] else others + rounds
    a_recipe_file.write_text(content, encoding="utf-8")

    with pytest.raises(UsageError, match=r"each starting with \[\[landmarks\]\]"):
        read_recipe(a_recipe_file)


def test_missing_recipe_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"absent\.toml: there is no such recipe\. Give a TOML"):
        read_recipe(tmp_path / "absent.toml")


def test_unknown_name_is_refused_with_those_there_are():
    names = sorted(path.stem for path in RECIPES_FOLDER.glob("*.toml"))

    with pytest.raises(UsageError, match="a shipped recipe: palnet50") as refusal:
        read_recipe("palnet51")

    told = re.search(r"shipped recipe: (.*)\.$", str(refusal.value))[1].split(", ")
    assert sorted([*told, "paper", "improved", "finetune"]) == names


@pytest.mark.parametrize("start", ["./", ""])
def test_file_of_a_shipped_name_in_a_folder_is_not_the_shipped_recipe(start, tmp_path, monkeypatch):
    """The folder was ignored, and the shipped recipe was trained."""
    monkeypatch.chdir(tmp_path)
    folder = "" if start else "own/"
    (tmp_path / "own").mkdir()
    (tmp_path / folder / "palnet50").write_text(RECIPE, encoding="utf-8")

    read, shipped = read_recipe(f"{start}{folder}palnet50"), read_recipe("palnet50")

    assert read.people.n_train != shipped.people.n_train
