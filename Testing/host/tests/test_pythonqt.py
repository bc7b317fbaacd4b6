# SPDX-License-Identifier: Apache-2.0
"""PySide6 behaves as PythonQt does, and is stricter where Slicer only prints an error."""

from __future__ import annotations

import ctk
import numpy as np
import pytest
import qt
import shiboken6

pytestmark = pytest.mark.usefixtures("qapp", "app")


@pytest.fixture
def a_button():
    return qt.QPushButton("Go")


def test_property_is_an_attribute_that_reads_and_writes(a_button):
    a_button.text = "Stop"

    assert (a_button.text, a_button.property("text")) == ("Stop", "Stop")


def test_setter_and_question_stay_methods(a_button):
    a_button.setText("Stop")
    a_button.setEnabled(False)

    assert (a_button.text, a_button.isEnabled(), a_button.enabled) == ("Stop", False, False)


def test_getter_of_a_property_is_no_method(a_button):
    with pytest.raises(TypeError, match="'str' object is not callable"):
        a_button.text()


@pytest.mark.parametrize("make", [qt.QPushButton, ctk.ctkCollapsibleButton])
def test_stray_attribute_raises(make):
    with pytest.raises(AttributeError, match="has no property 'enable'"):
        make().enable = False


def test_method_cannot_be_replaced(a_button):
    with pytest.raises(AttributeError, match="has no property 'setText'"):
        a_button.setText = print


def test_read_only_property_cannot_be_written(a_button):
    with pytest.raises(AttributeError, match="'width' of QPushButton can only be read"):
        a_button.width = 3


def test_deleted_object_is_false_and_cannot_be_used(a_button):
    shiboken6.delete(a_button)

    assert not a_button
    with pytest.raises(RuntimeError, match="already deleted"):
        a_button.setText("Stop")


def test_numpy_scalar_is_refused():
    with pytest.raises(TypeError, match="takes no numpy scalars"):
        qt.QSpinBox().value = np.int64(3)


@pytest.mark.parametrize("number", [np.int64(3), np.bool_(True), np.float64(3.0)])
def test_method_refuses_a_numpy_scalar(number):
    with pytest.raises(TypeError, match=r"setValue\(\) got .*: PythonQt takes no numpy scalars"):
        qt.QSpinBox().setValue(number)


def test_method_takes_no_keyword_arguments():
    with pytest.raises(TypeError, match=r"addItem\(\) got keyword arguments, \['userData'\]"):
        qt.QComboBox().addItem("mm", userData="mm")


def test_cell_of_a_table_is_as_strict():
    table = qt.QTableWidget(1, 1)
    table.setItem(0, 0, qt.QTableWidgetItem("nose"))

    with pytest.raises(TypeError, match=r"setData\(\) got .*: PythonQt takes no numpy scalars"):
        table.item(0, 0).setData(qt.Qt.UserRole, np.int64(3))
    with pytest.raises(TypeError, match="got None"):
        table.item(0, 0).setToolTip(None)


def test_none_is_no_text(a_button):
    with pytest.raises(TypeError, match="got None"):
        a_button.setText(None)
    with pytest.raises(TypeError, match="got None"):
        a_button.text = None


def test_setter_of_the_section_is_no_slot_as_in_ctk():
    section = ctk.ctkCollapsibleButton()

    with pytest.raises(AttributeError, match="setCollapsed"):
        section.setCollapsed(True)
    with pytest.raises(ValueError, match="has no slot"):
        qt.QCheckBox().connect("toggled(bool)", section, "setCollapsed(bool)")


def test_dynamic_property_is_an_attribute_once_it_exists(a_button):
    a_button.setProperty("SlicerParameterName", "a")

    a_button.SlicerParameterName = "b"

    assert a_button.property("SlicerParameterName") == "b"


def test_subclass_in_python_keeps_its_attributes_and_overrides(qapp):
    class Label(qt.QLabel):
        def __init__(self):
            super().__init__()
            self.mine = 3

        def sizeHint(self):
            return qt.QSize(77, 88)

    frame = qt.QWidget()
    layout = qt.QVBoxLayout(frame)
    layout.setContentsMargins(0, 0, 0, 0)
    label = Label()
    layout.addWidget(label)

    assert label.mine == 3
    assert (frame.sizeHint.width(), frame.sizeHint.height()) == (77, 88)


def test_signal_connects_by_signature_and_by_name(a_button):
    heard = []

    def hear(checked):
        heard.append(checked)

    a_button.connect("clicked(bool)", hear)
    a_button.clicked.connect(lambda: heard.append("name"))

    a_button.click()

    assert heard == [False, "name"]


def test_disconnect_by_signature_undoes_connect(a_button):
    heard = []
    a_button.connect("clicked()", heard.append)

    a_button.disconnect("clicked()", heard.append)
    a_button.click()

    assert heard == []


def test_signal_connects_to_a_slot_by_its_signature(a_button):
    box = qt.QCheckBox()
    box.connect("toggled(bool)", a_button, "setDisabled(bool)")

    box.setChecked(True)

    assert not a_button.enabled


def test_unknown_signal_raises(a_button):
    with pytest.raises(ValueError, match=r"has no signal 'clickt\(\)'"):
        a_button.connect("clickt()", print)


def test_unknown_slot_raises(a_button):
    with pytest.raises(ValueError, match=r"has no slot 'setEnable\(bool\)'"):
        a_button.connect("clicked(bool)", a_button, "setEnable(bool)")


def test_failing_slot_is_collected(a_button, hidden_failures):
    def fail():
        message = "wrong"
        raise KeyError(message)

    a_button.clicked.connect(fail)
    a_button.click()

    assert hidden_failures.take(KeyError, match="wrong")


def test_names_of_pyside_only_are_no_part_of_qt():
    with pytest.raises(AttributeError, match="module 'qt' has no 'Signal'"):
        qt.Signal  # noqa: B018  # reading it is the test


def test_timer_knows_the_property_and_the_static_function(qapp):
    heard = []
    timer = qt.QTimer()
    timer.singleShot = True
    timer.timeout.connect(lambda: heard.append("timer"))
    timer.start(0)
    qt.QTimer.singleShot(0, lambda: heard.append("static"))

    for _ in range(3):
        qapp.processEvents()

    assert sorted(heard) == ["static", "timer"]


def test_collapsed_section_remembers_what_was_hidden():
    section = ctk.ctkCollapsibleButton()
    layout = qt.QVBoxLayout(section)
    hidden, shown, late = qt.QLabel("a"), qt.QLabel("b"), qt.QLabel("c")
    for label in (hidden, shown, late):
        layout.addWidget(label)
    hidden.setVisible(False)
    section.show()

    section.collapsed = True
    while_collapsed = [label.visible for label in (hidden, shown, late)]
    late.setVisible(False)
    section.collapsed = False

    assert while_collapsed == [False, False, False]
    assert [label.visible for label in (hidden, shown, late)] == [False, True, False]


@pytest.mark.parametrize(
    ("value", "text"), [(True, "true"), (0, "0"), (0.5, "0.5"), ("x", "x"), ([1, 2], ["1", "2"])]
)
def test_setting_comes_back_as_text(value, text):
    qt.QSettings().setValue("PALNet/size", value)
    settings = qt.QSettings()

    assert (settings.value("PALNet/size"), settings.value("PALNet/lock", 3)) == (text, 3)
