# SPDX-License-Identifier: Apache-2.0
"""Load .ui files strictly: an unknown class, property, signal or slot raises."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree import ElementTree as ET

from PySide6.QtCore import QBuffer, QByteArray, QObject
from PySide6.QtUiTools import QUiLoader as QtUiLoader
from PySide6.QtWidgets import QWidget

from palnet_host import ctk, pythonqt


class UiFileError(ValueError):
    """A .ui file contains an unknown name."""


def own_classes() -> dict[str, type]:
    """Return the widgets that are not Qt's, by class name."""
    from palnet_host import mrml_widgets  # needs the complete slicer package

    return {name: getattr(ctk, name) for name in ctk.__all__} | mrml_widgets.classes()


class QUiLoader(QtUiLoader):
    """`qt.QUiLoader` with Slicer's widgets, and strict."""

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        self._own = own_classes()
        self._unknown: list[str] = []

    def createWidget(self, className: str, parent=None, name: str = "") -> QWidget:
        """Create a widget of the file."""
        if className in self._own:
            widget = self._own[className](parent)
            widget.setObjectName(name)
            return widget
        if className not in super().availableWidgets():
            self._unknown.append(f"class {className!r} of the widget {name!r}")
            return QWidget(parent)
        return super().createWidget(className, parent, name)

    def load(self, device, parent=None) -> QWidget:
        """Create the widgets of a file, set their properties and make its connections."""
        tree = ET.fromstring(bytes(device.readAll().data()))
        connections = tree.find("connections")
        wanted = [] if connections is None else list(connections)
        if connections is not None:
            tree.remove(connections)  # made below, where a wrong one is noticed
        buffer = QBuffer()
        buffer.setData(QByteArray(ET.tostring(tree)))
        buffer.open(QBuffer.OpenModeFlag.ReadOnly)
        with pythonqt.ignoring_strays():
            widget = super().load(buffer, parent)
        self._unknown += unknown_properties(tree, widget)
        if self._unknown:
            msg = f"the .ui file names what does not exist: {'; '.join(self._unknown)}."
            raise UiFileError(msg)
        for connection in wanted:
            connect(widget, connection)
        return widget


def unknown_properties(tree: ET.Element, widget: QWidget) -> Iterator[str]:
    """Yield properties in the file that its widgets do not have, except dynamic ones."""
    for element in tree.iter("widget"):
        found = named(widget, element.get("name"))
        for prop in element.findall("property"):
            is_known = found is None or found.metaObject().indexOfProperty(prop.get("name")) >= 0
            if not is_known and prop.get("stdset") != "0":
                yield f"property {prop.get('name')!r} of the widget {element.get('name')!r}"


def connect(widget: QWidget, connection: ET.Element) -> None:
    """Make one connection of the file."""
    sender = named(widget, connection.findtext("sender"))
    receiver = named(widget, connection.findtext("receiver"))
    if sender is None or receiver is None:
        msg = f"the .ui file connects an unknown widget: {ET.tostring(connection)!r}."
        raise UiFileError(msg)
    slot = pythonqt.slot_of(receiver, connection.findtext("slot"))
    pythonqt.signal_of(sender, connection.findtext("signal")).connect(slot)


def named(widget: QWidget, name: str) -> QObject | None:
    """Return the widget or its child with a name."""
    if widget.property("objectName") == name:
        return widget
    return widget.findChild(QObject, name)
