# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import sys
from types import ModuleType

import pytest

from palnet._dependencies import require
from palnet.errors import MissingDependencyError


def test_require_gives_an_installed_package():
    assert require("vtk", feature="a picture").__name__ == "vtk"


def test_require_absent_package_names_feature_version_and_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)

    with pytest.raises(
        MissingDependencyError,
        match=r'training needs torch>=2\.4, .*Install it: pip install "palnet\[train\]"',
    ):
        require("torch", feature="training")


def test_require_inside_slicer_names_slicer_s_own_ways(monkeypatch):
    monkeypatch.setitem(sys.modules, "slicer", ModuleType("slicer"))
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setitem(sys.modules, "distributed", None)

    with pytest.raises(MissingDependencyError, match="Install the PyTorch extension"):
        require("torch", feature="training")
    with pytest.raises(MissingDependencyError, match=r'slicer\.util\.pip_install\("distributed"\)'):
        require("distributed", feature="a cluster run")


def test_missing_dependency_can_be_caught_as_import_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)

    with pytest.raises(ImportError, match="training needs torch"):
        require("torch", feature="training")
