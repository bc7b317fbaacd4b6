# SPDX-License-Identifier: Apache-2.0
"""A module is loaded, entered, driven and left as Slicer does."""

from __future__ import annotations

from pathlib import Path

import ctk
import pytest
import qt
import slicer
from palnet_host.dialogs import UnexpectedDialogError
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest


@pytest.fixture
def a_model(scene):
    return scene.AddNewNodeByClass("vtkMRMLModelNode", "Face")


def test_module_is_registered_under_its_name(a_panel):
    module = slicer.modules.samplemodule

    assert (module.title, slicer.util.modulePath("SampleModule")) == ("Sample module", module.path)
    assert slicer.util.getModuleLogic("SampleModule") is a_panel.logic


def test_unknown_property_of_the_module_raises(a_panel):
    with pytest.raises(AttributeError, match="no property 'catgories'"):
        slicer.modules.samplemodule.catgories = []


def test_parameter_shows_in_the_panel_and_the_panel_in_the_parameter(a_panel, a_model):
    parameters, ui = a_panel.parameterNode, a_panel.ui

    parameters.label, parameters.count, parameters.size = "nose", 7, 1.5
    parameters.isVisible, parameters.model = False, a_model
    shown = (ui.labelLine.text, ui.countBox.value, ui.sizeBox.value, ui.visibleBox.checked)
    ui.labelLine.setText("chin")
    ui.countBox.value = 9
    ui.modelSelector.setCurrentNode(None)

    assert shown == ("nose", 7, 1.5, False)
    assert (parameters.label, parameters.count, parameters.model) == ("chin", 9, None)


def test_parameter_changes_before_the_slots_of_its_box(a_panel):
    seen = []
    a_panel.ui.visibleBox.toggled.connect(
        lambda _checked: seen.append(a_panel.parameterNode.isVisible)
    )

    a_panel.ui.visibleBox.click()

    assert seen == [False]


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("label", ctk.ctkComboBox),
        ("label", qt.QComboBox),
        ("isVisible", ctk.ctkCollapsibleButton),
        ("count", qt.QDoubleSpinBox),
    ],
)
def test_widget_that_slicer_cannot_connect_raises(a_panel, name, make):
    with pytest.raises(TypeError, match="no parameter of the type"):
        a_panel.parameterNode.connectParametersToGui({name: make()})


def test_disconnected_panel_no_longer_follows(a_panel):
    a_panel.parameterNode.disconnectGui(a_panel.tag)

    a_panel.parameterNode.label = "nose"
    a_panel.ui.countBox.value = 9

    assert (a_panel.ui.labelLine.text, a_panel.parameterNode.count) == ("none", 3)


def test_whole_panel_that_is_connected_cannot_be_disconnected_as_in_slicer(a_panel):
    again = a_panel.logic.getParameterNode()

    tag = again.connectGui(a_panel.ui)
    again.disconnectGui(tag)
    a_panel.ui.countBox.value = 9

    assert (tag, again.count) == (None, 9)


def test_parameters_are_saved_with_the_scene(a_panel, a_model, tmp_path):
    a_panel.parameterNode.shade = type(a_panel.parameterNode.shade).DARK
    a_panel.parameterNode.model = a_model
    a_panel.parameterNode.note = None
    path = str(tmp_path / "scene.mrb")
    slicer.util.saveScene(path, properties={})

    slicer.util.loadScene(path, properties={})
    again = a_panel.logic.getParameterNode()

    assert (again.shade.name, again.model.GetName(), again.note, again.double()) == (
        "DARK",
        "Face",
        None,
        6,
    )


@pytest.mark.parametrize(
    ("name", "value"), [("count", "3"), ("label", 3), ("isVisible", 1), ("size", True)]
)
def test_parameter_of_a_wrong_type_raises(a_panel, name, value):
    with pytest.raises(TypeError, match=f"parameter '{name}' must be a"):
        setattr(a_panel.parameterNode, name, value)


def test_unknown_parameter_raises(a_panel):
    with pytest.raises(AttributeError, match="has no parameter 'lable'"):
        a_panel.parameterNode.lable = "x"


def test_selector_follows_the_scene(a_panel, a_model):
    selector = a_panel.ui.modelSelector
    heard = []
    selector.currentNodeChanged.connect(heard.append)

    selector.setCurrentNode(a_model)
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode")
    hidden = slicer.mrmlScene.CreateNodeByClass("vtkMRMLModelNode")
    hidden.UnRegister(None)
    hidden.SetHideFromEditors(True)
    slicer.mrmlScene.AddNode(hidden)
    listed = selector.nodeCount()
    slicer.mrmlScene.RemoveNode(a_model)

    assert (listed, selector.nodeCount()) == (1, 0)
    assert heard == [a_model, None]


def test_selector_without_none_selects_the_first_node(a_panel, a_model):
    selector = a_panel.ui.modelSelector
    selector.noneEnabled = False

    selector.setCurrentNode(None)

    assert selector.currentNode() is a_model


def test_selector_empties_when_the_scene_closes(a_panel, a_model):
    a_panel.ui.modelSelector.setCurrentNode(a_model)

    slicer.mrmlScene.Clear(False)

    assert a_panel.ui.modelSelector.currentNode() is None


def test_mouse_runs_the_slot(a_panel, a_model, qapp):
    a_panel.parameterNode.model = a_model
    qapp.processEvents()

    QTest.mouseClick(a_panel.ui.runButton, Qt.MouseButton.LeftButton)

    assert a_panel.calls[-1] == "run"


def test_failing_slot_shows_its_dialog_and_is_collected(a_panel, answers, hidden_failures):
    answers.expect("message", "Ok", match="It failed")

    a_panel.ui.runButton.click()

    hidden_failures.take(ValueError, match="there is no model")
    assert "there is no model" in answers.shown[0].text


def test_other_module_is_entered_and_this_one_left(a_panel):
    slicer.util.selectModule("Markups")
    is_entered = a_panel.parent.isEntered
    slicer.util.selectModule("SampleModule")

    assert not is_entered
    assert [call for call in a_panel.calls if call != "modified"] == ["enter", "exit", "enter"]


def test_reload_cleans_up_and_makes_a_new_panel_in_the_old_ones_place(a_panel, qapp):
    around = a_panel.parent

    a_panel.onReload()
    qapp.processEvents()
    new = slicer.modules.SampleModuleWidget

    assert a_panel.calls[-2:] == ["enter", "cleanup"]
    assert new is not a_panel
    assert new.parent is around is slicer.modules.samplemodule.widgetRepresentation()
    assert (around.isEntered, "enter" in new.calls) == (True, False)
    assert (new.ui.runButton.visible, a_panel.ui.runButton.visible) == (True, False)


def test_own_test_of_the_module_runs(a_panel):
    slicer.modules.samplemodule.instance.runTest()

    assert slicer.modules.samplemodule.python_module().SampleModuleTest.runs == 1


def test_file_dialog_answers_with_a_path(a_panel, answers):
    answers.expect("file", "face.ply", match="Open it")

    assert a_panel.logic.askForFile() == "face.ply"


@pytest.mark.parametrize("arguments", [("Open it",), (None, "Open it", Path("scans"))])
def test_file_dialog_takes_a_parent_and_texts(qapp, arguments):
    with pytest.raises(TypeError, match="of a file dialog must be"):
        qt.QFileDialog.getOpenFileName(*arguments)


def test_questions_answer_as_told(a_panel, answers):
    answers.expect("message", "No", match="Overwrite")
    answers.expect("message", qt.QMessageBox.Yes, match="Delete")

    assert not slicer.util.confirmYesNoDisplay("Overwrite?")
    assert slicer.util.confirmYesNoDisplay("Delete?")


def test_unannounced_dialog_raises(a_panel, answers):
    with pytest.raises(UnexpectedDialogError, match="unexpected message dialog"):
        slicer.util.infoDisplay("Done.")

    assert answers.left_over.pop() == "unexpected message dialog 'Slicer info': 'Done.'"
    answers.forget()


def test_announced_dialog_that_stays_away_is_left_over(answers):
    answers.expect("message", "Ok", match="Never")

    assert answers.left_over == ["message dialog 'Never' never came up"]
    answers.forget()


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ('class="QSpinBox"', 'class="QSpinBocks"', "class 'QSpinBocks'"),
        ('<property name="noneEnabled">', '<property name="nonEnabled">', "property 'nonEnabled'"),
        ("toggled(bool)", "togled(bool)", "has no signal"),
        ("<receiver>labelLine", "<receiver>lable", "unknown widget"),
        ("setEnabled(bool)", "setEnable(bool)", "has no slot"),
    ],
)
def test_ui_file_with_a_mistake_raises(a_ui_file, tmp_path, app, qapp, right, wrong, message):
    text = a_ui_file.read_text(encoding="utf-8")
    assert right in text
    path = tmp_path / "wrong.ui"
    path.write_text(text.replace(right, wrong), encoding="utf-8")

    with pytest.raises(ValueError, match=message):
        slicer.util.loadUI(str(path))
