# SPDX-License-Identifier: Apache-2.0
"""Calls of Qt that Slicer's PythonQt would refuse, where the stand-in cannot see them."""

from __future__ import annotations

import ast

import pytest
from file_lists import ROOT

MODULE = ROOT / "PALNetLandmarks"
SOURCES = [MODULE / "PALNetLandmarks.py", *sorted((MODULE / "PALNetLandmarksLib").rglob("*.py"))]


def calls_with_keywords(source: str) -> list[str]:
    """Return the calls on qt or ctk with keyword arguments, which PythonQt does not take."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return [ast.unparse(call) for call in calls if call.keywords and root(call) in ("qt", "ctk")]


def root(node: ast.AST) -> str:
    """Return the name on which an expression begins: "qt" for `qt.QSettings().value`."""
    while isinstance(node, (ast.Call, ast.Attribute)):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_qt_gets_no_keyword_arguments(path):
    assert calls_with_keywords(path.read_text(encoding="utf-8")) == []


def test_call_with_a_keyword_argument_is_found():
    source = 'qt.QSettings().value(key, defaultValue="")\nask(parent=qt.QWidget())'

    assert calls_with_keywords(source) == ["qt.QSettings().value(key, defaultValue='')"]
