# SPDX-License-Identifier: Apache-2.0
"""Slicer's module `qt`: Qt's classes in one namespace, behaving as in PythonQt."""

from __future__ import annotations

import re

from PySide6 import QtCore, QtGui, QtWidgets

from palnet_host import pythonqt
from palnet_host.dialogs import QFileDialog, QMessageBox
from palnet_host.settings import QSettings
from palnet_host.ui_loader import QUiLoader

_MODULES = (QtCore, QtGui, QtWidgets)
pythonqt.adapt(_MODULES)

_ITEM = pythonqt.strict(QtWidgets.QTableWidgetItem)
_OWN = {kind.__name__: kind for kind in (QFileDialog, QMessageBox, QSettings, QUiLoader, _ITEM)}
# Names that only PySide6 has (Signal, Slot, Property, ...) are left out, as in Slicer.
_QT_NAME = re.compile(r"Qt?[A-Z]\w+|Qt")
_names = {
    name: getattr(module, name)
    for module in _MODULES
    for name in dir(module)
    if _QT_NAME.fullmatch(name) and not name.startswith("QtMsg")
}
globals().update(_names | _OWN)


def __getattr__(name: str):
    msg = f"module 'qt' has no {name!r}; the stand-in offers QtCore, QtGui and QtWidgets."
    raise AttributeError(msg)
