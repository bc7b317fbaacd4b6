# SPDX-License-Identifier: Apache-2.0
"""Connect parameter values and widgets.

As in Slicer, the class of the widget has to be exactly one of those that are known for the type of
the parameter: a `ctkComboBox` is no `QComboBox`, for example.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtWidgets import QCheckBox, QDoubleSpinBox, QLineEdit, QPushButton, QSlider, QSpinBox

from palnet_host.mrml_widgets import qMRMLNodeComboBox


@dataclass(frozen=True)
class Connector:
    """A widget's value: how to read and show it, and the signal for its changes."""

    read: Callable[[], object]
    show: Callable[[object], None]
    changed: object


def connector_for(widget, kind: type, *, is_node: bool) -> Connector:
    """Return the connector of a widget for a parameter of a type."""
    if is_node and type(widget) is qMRMLNodeComboBox:
        return _of_selector(widget, kind)
    if (type(widget), kind) in _MAKERS:
        return _MAKERS[type(widget), kind](widget)
    msg = f"no parameter of the type {kind.__name__} can be connected to {widget!r}."
    raise TypeError(msg)


def _of_box(widget: QCheckBox) -> Connector:
    # Sent before `toggled`, on which the module's own slots may be.
    return Connector(widget.isChecked, widget.setChecked, widget.stateChanged)


def _of_button(widget: QPushButton) -> Connector:
    if not widget.isCheckable():
        msg = f"the button {widget.property('objectName')!r} must be checkable."
        raise TypeError(msg)
    return Connector(widget.isChecked, widget.setChecked, widget.toggled)


def _of_line(widget: QLineEdit) -> Connector:
    return Connector(lambda: widget.property("text"), widget.setText, widget.textChanged)


def _of_number(widget: QSpinBox | QDoubleSpinBox | QSlider) -> Connector:
    return Connector(lambda: widget.property("value"), widget.setValue, widget.valueChanged)


def _of_selector(widget: qMRMLNodeComboBox, kind: type) -> Connector:
    widget.nodeTypes = [kind.__name__]
    return Connector(widget.currentNode, widget.setCurrentNode, widget.currentNodeChanged)


_MAKERS = {
    (QCheckBox, bool): _of_box,
    (QPushButton, bool): _of_button,
    (QLineEdit, str): _of_line,
    (QSpinBox, int): _of_number,
    (QSlider, int): _of_number,
    (QDoubleSpinBox, float): _of_number,
}
