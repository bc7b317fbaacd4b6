# SPDX-License-Identifier: Apache-2.0
"""Connect parameter values and widgets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtWidgets import QAbstractButton, QComboBox, QDoubleSpinBox, QLineEdit, QSpinBox

from palnet_host.mrml_widgets import qMRMLNodeComboBox


@dataclass(frozen=True)
class Connector:
    """A widget's value: how to read and show it, and the signal for its changes."""

    read: Callable[[], object]
    show: Callable[[object], None]
    changed: object


def connector_for(widget) -> Connector:
    """Return the connector of a widget."""
    for kind, make in _MAKERS.items():
        if isinstance(widget, kind):
            return make(widget)
    msg = f"no parameter can be connected to a {type(widget).__name__}."
    raise TypeError(msg)


def _of_button(widget: QAbstractButton) -> Connector:
    if not widget.isCheckable():
        msg = f"the button {widget.property('objectName')!r} must be checkable."
        raise TypeError(msg)
    return Connector(widget.isChecked, widget.setChecked, widget.toggled)


def _of_line(widget: QLineEdit) -> Connector:
    return Connector(lambda: widget.property("text"), widget.setText, widget.textChanged)


def _of_combo(widget: QComboBox) -> Connector:
    return Connector(
        lambda: widget.property("currentText"), widget.setCurrentText, widget.currentTextChanged
    )


def _of_spin(widget: QSpinBox | QDoubleSpinBox) -> Connector:
    return Connector(lambda: widget.property("value"), widget.setValue, widget.valueChanged)


def _of_selector(widget: qMRMLNodeComboBox) -> Connector:
    return Connector(widget.currentNode, widget.setCurrentNode, widget.currentNodeChanged)


_MAKERS = {
    qMRMLNodeComboBox: _of_selector,
    QAbstractButton: _of_button,
    QLineEdit: _of_line,
    QComboBox: _of_combo,
    QSpinBox: _of_spin,
    QDoubleSpinBox: _of_spin,
}
