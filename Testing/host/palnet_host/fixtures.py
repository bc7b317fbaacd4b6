# SPDX-License-Identifier: Apache-2.0
"""Fixtures for tests that run on the stand-in; a conftest.py takes them with an import."""

from __future__ import annotations

import gc

import pytest

from palnet_host import bootstrap

bootstrap.install()

import slicer  # noqa: E402  # complete only now

from palnet_host import application  # noqa: E402

__all__ = ["app", "scene"]


@pytest.fixture
def app(tmp_path):
    """`slicer.app` with an empty scene; ends with the test."""
    started = application.start(tmp_path)
    yield started
    left_over = started.left_over
    application.stop()
    gc.collect()
    assert left_over == []


@pytest.fixture
def scene(app):  # it opens the scene
    """`slicer.mrmlScene`, empty."""
    return slicer.mrmlScene
