# SPDX-License-Identifier: Apache-2.0
"""What the extension index and Slicer's build system ask of the files in the root."""

from __future__ import annotations

import json
import re
import subprocess

import draw_icons
import file_lists
import numpy as np
import pytest
from file_lists import CMAKE_FILE, RESOURCES, ROOT, SCRIPTS

REPOSITORY = "https://github.com/SlicerPALNet/SlicerPALNet"
SCHEMA = "slicer-extension-catalog-entry-schema-v1.0.1.json"
MAX_REPOSITORY_BYTES = 60e6  # the project's own; the index asks for less than 100 MB
FOLDERS = ("PALNetLandmarks", "Resources", "Testing", "benchmarks", "docs")
# What Windows takes for a device, whatever follows the first dot, and what no name there may hold.
DEVICE = re.compile(r"(con|prn|aux|nul|(com|lpt)[0-9])(\.|$)", re.IGNORECASE)
NOT_IN_NAMES = re.compile(r'[<>:"|?*\\\x00-\x1f]|[ .]$')
# Half of what Windows allows; the rest is for where a user or an installed extension puts it.
MAX_PATH_LENGTH = 130


@pytest.fixture
def the_cmake_file():
    return (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")


@pytest.fixture
def the_extension(the_cmake_file):
    """EXTENSION_* of the root's CMakeLists.txt, each set in one line."""
    return dict(re.findall(r'^set\(EXTENSION_(\w+) "([^"\n]+)"\)$', the_cmake_file, re.MULTILINE))


@pytest.fixture
def the_entry():
    return json.loads((ROOT / "PALNet.json").read_text(encoding="utf-8"))


@pytest.fixture
def the_s4ext():
    lines = (ROOT / "PALNet.s4ext").read_text(encoding="utf-8").splitlines()
    pairs = [line.partition(" ") for line in lines if line and not line.startswith("#")]
    return {key: value for key, _, value in pairs}


def test_lists_name_every_file_of_the_module():
    wanted = file_lists.expected_lists(file_lists.shipped_files())

    listed = {name: file_lists.listed_files(name) for name in (SCRIPTS, RESOURCES)}

    assert listed == wanted, "run `make file-lists` and commit PALNetLandmarks/CMakeLists.txt"


def test_lists_written_are_the_lists_read():
    lists = {SCRIPTS: ["a.py", "b/c.py"], RESOURCES: []}

    text = file_lists.with_lists(CMAKE_FILE.read_text(encoding="utf-8"), lists)

    assert {name: file_lists.listed_files(name, text) for name in lists} == lists


def test_one_python_file_lies_right_in_the_module_folder():
    scripts = [path.name for path in file_lists.MODULE_FOLDER.glob("*.py")]

    assert scripts == ["PALNetLandmarks.py"]


def test_extension_says_all_that_the_index_asks_for(the_extension, the_cmake_file):
    asked = ["HOMEPAGE", "CATEGORY", "CONTRIBUTORS", "DESCRIPTION", "ICONURL", "SCREENSHOTURLS"]

    assert [name for name in asked if name not in the_extension] == []
    assert the_extension["CATEGORY"] == "Shape Analysis"
    assert "project(PALNet)" in the_cmake_file


@pytest.mark.parametrize("name", ["ICONURL", "SCREENSHOTURLS"])
def test_pictures_of_the_extension_are_in_the_repository(the_extension, name):
    start = REPOSITORY.replace("github.com", "raw.githubusercontent.com") + "/main/"

    paths = [url.removeprefix(start) for url in the_extension[name].split()]

    assert [path for path in paths if not (ROOT / path).is_file()] == []


def test_entry_of_the_index_has_the_keys_of_its_schema(the_entry):
    keys = ["$schema", "build_dependencies", "build_subdirectory", "category"]

    assert sorted(the_entry) == [*keys, "scm_revision", "scm_url", "tier"]
    assert SCHEMA in the_entry["$schema"]
    assert (the_entry["build_subdirectory"], the_entry["tier"]) == (".", 1)


def test_entry_s4ext_and_cmake_agree(the_entry, the_s4ext, the_extension):
    for key in ("homepage", "category", "contributors", "description", "iconurl"):
        assert the_s4ext[key] == the_extension[key.upper()]
    assert the_s4ext["screenshoturls"] == the_extension["SCREENSHOTURLS"]
    assert the_s4ext["depends"] == the_extension["DEPENDS"] == "NA"
    assert the_entry["build_dependencies"] == []
    assert the_entry["category"] == the_extension["CATEGORY"]
    assert the_entry["scm_url"] == the_s4ext["scmurl"] == f"{REPOSITORY}.git"
    assert the_entry["scm_revision"] == the_s4ext["scmrevision"]
    assert the_extension["HOMEPAGE"] == REPOSITORY


@pytest.mark.parametrize("name", ["PALNet.json", "PALNet.s4ext", "CMakeLists.txt", "LICENSE.txt"])
def test_file_of_the_root_ends_its_lines_with_lf(name):
    content = (ROOT / name).read_bytes()

    assert b"\r" not in content
    assert content.endswith(b"\n")


def test_licence_is_apache():
    assert "Apache License" in (ROOT / "LICENSE.txt").read_text(encoding="utf-8")


def test_citation_names_the_version_and_where_the_extension_lies(the_extension):
    cited = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    made = (ROOT / "PALNetLandmarks/palnet/__init__.py").read_text(encoding="utf-8")

    version = re.search(r'^__version__ = "(.+)"$', made, re.MULTILINE)[1]
    assert f"\nversion: {version}\n" in cited
    assert f"\nrepository-code: {the_extension['HOMEPAGE']}\n" in cited


def test_citation_names_every_author_of_the_paper():
    cited = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    paper = cited.partition("references:")[2]

    # A citation manager takes "et al." for a person.
    assert "et al" not in paper
    assert paper.count("family-names:") == paper.count("given-names:") == 7


def test_readme_has_what_the_index_asks_for():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    title, summary = [part.strip() for part in text.split("\n\n")[:2]]
    images = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text)
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)

    assert title == "# SlicerPALNet"
    assert 50 < len(summary) < 500
    assert images
    assert [image for image in images if not (ROOT / image).is_file()] == []
    assert "**PALNet Landmarks**" in text
    assert "doi.org/10.1016/j.imu.2025.101729" in text
    assert {"How to cite", "Tutorial in 3D Slicer"} <= set(headings)


def test_windows_can_check_out_every_file():
    names = [
        f"{folder}/{name}" for folder in FOLDERS for name in file_lists.tracked_files(ROOT / folder)
    ]
    parts = {part for name in names for part in name.split("/")}

    assert sorted(filter(DEVICE.match, parts)) == []
    assert sorted(filter(NOT_IN_NAMES.search, parts)) == []
    assert max(map(len, names)) <= MAX_PATH_LENGTH
    assert len({name.lower() for name in names}) == len(names)


@pytest.mark.parametrize("name", ["prn.png", "CON", "com1.tar.gz", "a:b", "ends.", "ends "])
def test_name_that_windows_refuses_is_known(name):
    assert DEVICE.match(name) or NOT_IN_NAMES.search(name)


def test_clone_stays_below_the_limit():
    assert 0 < bytes_of_repository() < MAX_REPOSITORY_BYTES


def bytes_of_repository():
    """What the history takes, packed as git packs it by default.

    Packed anew each time: packs that are kept depend on the way the history came here. Landed in
    many parts, this one took 60.6 MB in place of 56.5.

    Of sources that were unpacked without their history, the tracked folders alone.
    """
    if not (ROOT / ".git").exists():
        files = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*")]
        return sum(path.stat().st_size for path in files if path.is_file())
    command = ["git", "pack-objects", "--revs", "--stdout", "-q"]
    command += ["--no-reuse-delta", "--no-reuse-object", "--threads=1"]
    pack = subprocess.run(command, cwd=ROOT, input=b"HEAD\n", stdout=subprocess.PIPE, check=True)
    return len(pack.stdout)


@pytest.mark.parametrize("path", draw_icons.ICONS, ids=lambda path: path.name)
def test_icon_is_drawn_from_its_svg(path):
    from PySide6.QtGui import QImage

    size = draw_icons.ICONS[path]

    shipped, drawn = QImage(str(path)), draw_icons.draw(size)

    assert (shipped.width(), shipped.height()) == (size, size)
    difference = np.abs(pixels(shipped).astype(int) - pixels(drawn))
    assert difference.mean() < 2.0  # of 255; other versions of Qt smooth edges differently


def pixels(image) -> np.ndarray:
    image = image.convertToFormat(image.Format.Format_ARGB32)
    return np.frombuffer(bytes(image.constBits()), dtype=np.uint8)
