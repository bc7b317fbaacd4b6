# SPDX-License-Identifier: Apache-2.0
"""Slicer's module `ctk`, with the widgets that this project uses."""

from __future__ import annotations

from typing import ClassVar

from PySide6.QtCore import Property, QEvent, QSize, Qt, Signal
from PySide6.QtWidgets import (
    QAbstractButton,
    QComboBox,
    QSizePolicy,
    QStyle,
    QStyleOptionButton,
    QStylePainter,
    QWidget,
)

from palnet_host import dialogs
from palnet_host.pythonqt import stand_in

__all__ = ["ctkCollapsibleButton", "ctkComboBox", "ctkMessageBox"]


# Dynamic property of a child widget: whether it is visible while the button is expanded.
_WANTED = "visibleWhenOpen"


@stand_in
class ctkCollapsibleButton(QAbstractButton):
    """A button with a title that expands and collapses its contents."""

    contentsCollapsed = Signal(bool)
    _signatures: ClassVar = {"contentsCollapsed(bool)": "contentsCollapsed"}
    _MARGIN = 4

    def __init__(self, *arguments) -> None:
        parents = [a for a in arguments if isinstance(a, QWidget)]
        super().__init__(*parents[:1])
        for text in (a for a in arguments if isinstance(a, str)):
            self.setText(text)
        self._collapsed = False
        self._is_applying = False
        self.setCheckable(True)
        self.setChecked(True)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        self.toggled.connect(lambda is_open: self._collapse(not is_open))
        self._make_room()

    def _is_collapsed(self) -> bool:
        return self._collapsed

    def _collapse(self, collapsed: bool) -> None:
        """Hide (True) or show the contents; in CTK this is no slot, and thus not for Python."""
        if collapsed == self._collapsed:
            return
        self._collapsed = bool(collapsed)
        self.setChecked(not collapsed)
        for child in self._child_widgets():
            if self._collapsed:
                child.setProperty(_WANTED, not child.isHidden())
            self._apply(child)
        self.updateGeometry()
        self.contentsCollapsed.emit(self._collapsed)

    collapsed = Property(bool, _is_collapsed, _collapse)

    def _title_height(self) -> int:
        return self.fontMetrics().height() + 2 * self._MARGIN

    def _make_room(self) -> None:
        self.setContentsMargins(0, self._title_height(), 0, 0)

    def childEvent(self, event: QEvent) -> None:
        """Watch added children, and hide them while collapsed."""
        child = event.child()
        if event.type() == QEvent.Type.ChildAdded and isinstance(child, QWidget):
            child.setProperty(_WANTED, True)
            child.installEventFilter(self)
        super().childEvent(event)

    def eventFilter(self, child, event: QEvent) -> bool:
        """Remember what is shown and hidden while collapsed, to apply it when expanded."""
        kinds = {QEvent.Type.ShowToParent: True, QEvent.Type.HideToParent: False}
        if self._collapsed and not self._is_applying and event.type() in kinds:
            child.setProperty(_WANTED, kinds[event.type()])
            self._apply(child)
        return False

    def _child_widgets(self) -> list[QWidget]:
        return [child for child in self.children() if isinstance(child, QWidget)]

    def _apply(self, child: QWidget) -> None:
        self._is_applying = True
        child.setVisible(bool(child.property(_WANTED)) and not self._collapsed)
        if self._collapsed:
            # Otherwise hiding the already hidden child would send no event.
            child.setAttribute(Qt.WidgetAttribute.WA_WState_ExplicitShowHide, False)
        self._is_applying = False

    def minimumSizeHint(self) -> QSize:
        """Size of the title and, if expanded, the contents."""
        title = QSize(self.fontMetrics().horizontalAdvance(self.property("text")) + 40, 0)
        size = QSize(title.width(), self._title_height())
        if not self._collapsed and self.layout() is not None:
            # The layout's own hint includes the contents margins, and thus the title.
            size = size.expandedTo(self.layout().totalSizeHint())
        return size

    sizeHint = minimumSizeHint

    def hitButton(self, position) -> bool:
        """Accept clicks on the title only."""
        return position.y() < self._title_height()

    def paintEvent(self, _event) -> None:
        """Draw the title with its arrow."""
        option = QStyleOptionButton()
        option.initFrom(self)
        option.rect.setHeight(self._title_height())
        option.text = ("\u25b8 " if self._collapsed else "\u25be ") + self.property("text")
        option.state |= QStyle.StateFlag.State_Raised
        QStylePainter(self).drawControl(QStyle.ControlElement.CE_PushButton, option)


@stand_in
class ctkComboBox(QComboBox):
    """A combo box that can pass the mouse wheel on to its parent."""

    NeverScroll, AlwaysScroll = 0, 1

    def __init__(self, *parents) -> None:
        super().__init__(*parents)
        self._effect = self.AlwaysScroll

    def wheelEvent(self, event) -> None:
        """Select another entry, or pass the wheel event on."""
        if self._effect == self.NeverScroll:
            event.ignore()
        else:
            super().wheelEvent(event)

    def _get_effect(self) -> int:
        return self._effect

    def _set_effect(self, effect: int) -> None:
        self._effect = int(effect)

    scrollWheelEffect = Property(int, _get_effect, _set_effect)


@stand_in
class ctkMessageBox(dialogs.QMessageBox):
    """Message box with a "don't show again" option; `slicer.util` uses it for its messages."""

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        self._settings_key = ""

    def _key(self) -> str:
        return self._settings_key

    def _set_key(self, key: str) -> None:
        self._settings_key = key

    dontShowAgainSettingsKey = Property(str, _key, _set_key)
