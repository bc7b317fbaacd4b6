# SPDX-License-Identifier: Apache-2.0
"""Choose a trained model in the panel, and work with a lab's own landmarks."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import qt
import slicer
from palnet_host import settings
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtTest import QTest

import palnet
from palnet.errors import MissingDependencyError
from palnet.exchange import read_landmarks
from palnet_models import LAB_CODES, LAB_NAME, lab_scheme, write_lab_model
from palnet_panel import click, detect, measure, wait_while
from PALNetLandmarksLib.landmark_list import LandmarkList

FILES_KEY, CHOICE_KEY = "PALNet/TrainedModels", "PALNet/TrainedModel"


@pytest.fixture(scope="module")
def the_model_file(tmp_path_factory):
    return write_lab_model(tmp_path_factory.mktemp("lab") / "lab12.npz")


@pytest.fixture
def a_model_file(the_model_file, tmp_path):
    path = tmp_path / "M\u00fcller" / "lab12.npz"
    path.parent.mkdir()
    return shutil.copy(the_model_file, path)


@pytest.fixture
def a_panel(panel_factory):
    return settled(panel_factory())


@pytest.fixture
def a_lab_panel(a_panel, a_model_file, answers):
    """The panel with the lab's model added and selected."""
    add(a_panel, a_model_file, answers)
    return a_panel


def settled(panel):
    wait_while(lambda: panel.trainedModelSection.is_reading)
    return panel


def add(panel, path, answers):
    answers.expect("file", str(path), "Add model file")
    click(panel.ui.addTrainedModelButton)
    settled(panel)


def choose(panel, key):
    """Choose another entry with a key, as a user does."""
    QTest.keyClick(panel.ui.trainedModelSelector, key)
    settled(panel)


def entries(panel):
    selector = panel.ui.trainedModelSelector
    return [selector.itemText(row) for row in range(selector.count)]


def another_session():
    """Simulate the panel after a restart of Slicer, with the same settings."""
    return settled(slicer.modules.palnetlandmarks.createNewWidgetRepresentation().self())


def close_and_load(path):
    slicer.mrmlScene.Clear(False)
    slicer.util.loadScene(str(path), properties={})
    qt.QApplication.processEvents()


def detected_list(panel):
    return LandmarkList(panel.ui.landmarksSelector.currentNode())


def test_shipped_model_is_chosen_at_first_and_described(a_panel):
    ui = a_panel.ui

    assert entries(a_panel) == ["palnet50"]
    assert ui.trainedModelSelector.toolTip.startswith("Landmarks of the scheme palnet50: 50.")
    assert "Comes with the module" in ui.trainedModelSelector.toolTip
    assert ui.trainedModelInfoLabel.isHidden()
    assert not ui.removeTrainedModelButton.enabled
    assert a_panel.logic.getParameterNode().trainedModel == "palnet50"


def test_added_file_is_chosen_described_and_kept(a_lab_panel, a_model_file):
    ui = a_lab_panel.ui

    assert entries(a_lab_panel) == ["palnet50", "lab12"]
    assert ui.trainedModelSelector.currentText == "lab12"
    assert ui.trainedModelSelector.toolTip.startswith("Landmarks of the scheme lab12: 12.")
    assert str(a_model_file) in ui.trainedModelSelector.toolTip
    assert ui.trainedModelInfoLabel.isHidden()
    assert ui.removeTrainedModelButton.enabled
    assert a_lab_panel.logic.getParameterNode().trainedModel == str(a_model_file)
    assert json.loads(settings.QSettings().value(FILES_KEY)) == [str(a_model_file)]


def test_added_file_comes_back_in_the_next_session(a_lab_panel, scene):
    scene.Clear(False)

    again = another_session()

    assert entries(again) == ["palnet50", "lab12"]
    assert again.ui.trainedModelSelector.currentText == "lab12"
    again.cleanup()


def test_file_added_twice_is_listed_once(a_lab_panel, a_model_file, answers):
    add(a_lab_panel, a_model_file, answers)

    assert entries(a_lab_panel) == ["palnet50", "lab12"]


def test_canceled_dialog_changes_nothing(a_panel, answers):
    add(a_panel, "", answers)

    assert entries(a_panel) == ["palnet50"]
    assert not settings.QSettings().contains(FILES_KEY)


def cut_short(path):
    path.write_bytes(path.read_bytes()[:9000])


def empty(path):
    path.write_bytes(b"")


def make_older(path):
    with np.load(path) as content:
        arrays = dict(content)
    header = json.loads(str(arrays["header"])) | {"format_version": 0}
    np.savez(path, **arrays | {"header": np.array(json.dumps(header))})


def make_other(path):
    np.savez(path, measurements=np.zeros(3))


def make_pickle(path):
    np.savez(path, header=np.array([{"a": 1}], dtype=object))


def make_folder(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (cut_short, "not a palnet model"),
        (empty, "not a palnet model"),
        (make_older, "a file of format"),
        (make_other, "not a palnet model"),
        (make_pickle, "not a palnet model"),
        (make_folder, "is not there"),
    ],
)
def test_file_that_is_no_usable_model_is_told_and_not_added(
    damage, said, a_panel, a_model_file, answers
):
    damage(a_model_file)

    add(a_panel, a_model_file, answers)

    label = a_panel.ui.trainedModelInfoLabel
    assert not label.isHidden()
    assert said in label.text
    assert "lab12.npz" in label.text
    assert entries(a_panel) == ["palnet50"]
    assert a_panel.trainedModelSection.choice == "palnet50"
    assert not settings.QSettings().contains(FILES_KEY)


def test_what_was_wrong_with_a_file_is_forgotten_with_the_next_one(
    a_panel, a_model_file, the_model_file, answers
):
    empty(a_model_file)
    add(a_panel, a_model_file, answers)

    add(a_panel, the_model_file, answers)

    assert a_panel.ui.trainedModelInfoLabel.isHidden()
    assert entries(a_panel) == ["palnet50", "lab12"]


@pytest.mark.parametrize(("damage", "said"), [(None, "is not there"), (cut_short, "not a palnet")])
def test_unusable_file_stays_chosen_and_is_told(
    damage, said, a_lab_panel, a_model_file, a_face, scene
):
    scene.Clear(False)
    a_lab_panel.cleanup()
    kept = a_model_file.read_bytes()
    a_model_file.unlink() if damage is None else damage(a_model_file)

    again = another_session()

    assert again.ui.trainedModelSelector.currentText == "lab12"
    assert said in again.ui.trainedModelInfoLabel.text
    again.ui.scanSelector.setCurrentNode(load_face())
    detect(again)
    assert said in again.ui.statusLabel.text
    click(again.ui.byHandButton)
    assert said in again.ui.statusLabel.text
    assert scene.GetNumberOfNodesByClass("vtkMRMLMarkupsFiducialNode") == 0
    a_model_file.write_bytes(kept)
    detect(again)
    assert len(detected_list(again)) == len(LAB_CODES)
    again.cleanup()


def load_face():
    from PALNetLandmarksLib.panel.input_section import load_example

    return load_example()


def test_removed_entry_is_gone_for_good_and_the_file_stays(a_lab_panel, a_model_file):
    ui = a_lab_panel.ui

    click(ui.removeTrainedModelButton)
    settled(a_lab_panel)

    assert entries(a_lab_panel) == ["palnet50"]
    assert "lab12 is no longer in the list" in ui.trainedModelInfoLabel.text
    assert "palnet50 is chosen now" in ui.trainedModelInfoLabel.text
    assert a_lab_panel.logic.getParameterNode().trainedModel == "palnet50"
    assert a_model_file.exists()
    assert entries(another_session()) == ["palnet50"]


def test_two_files_of_one_name_are_told_apart(a_lab_panel, a_model_file, the_model_file, answers):
    add(a_lab_panel, the_model_file, answers)

    assert entries(a_lab_panel) == [
        "palnet50",
        f"lab12 ({a_model_file.parent})",
        f"lab12 ({the_model_file.parent})",
    ]


def test_keys_choose_between_models(a_lab_panel, a_model_file):
    choose(a_lab_panel, Qt.Key.Key_Up)
    assert a_lab_panel.trainedModelSection.choice == "palnet50"
    assert settings.QSettings().value(CHOICE_KEY) == "palnet50"
    assert not a_lab_panel.ui.removeTrainedModelButton.enabled

    choose(a_lab_panel, Qt.Key.Key_Down)
    assert a_lab_panel.trainedModelSection.choice == str(a_model_file)


def test_choosing_the_same_entry_reads_its_file_again(a_lab_panel, a_model_file):
    kept = a_model_file.read_bytes()
    a_model_file.unlink()
    choose_again(a_lab_panel)
    assert "is not there" in a_lab_panel.ui.trainedModelInfoLabel.text

    a_model_file.write_bytes(kept)
    choose_again(a_lab_panel)

    assert a_lab_panel.ui.trainedModelInfoLabel.isHidden()


def choose_again(panel):
    """Open the selector and pick the entry that is already selected."""
    selector = panel.ui.trainedModelSelector
    selector.showPopup()
    item = selector.view().visualRect(selector.view().currentIndex())
    QTest.mouseClick(
        selector.view().viewport(), Qt.MouseButton.LeftButton, pos=item.center(), delay=500
    )
    settled(panel)


def test_mouse_wheel_over_the_selector_chooses_nothing(a_lab_panel, a_model_file):
    selector = a_lab_panel.ui.trainedModelSelector
    middle = QPointF(selector.width / 2, selector.height / 2)
    turn = QWheelEvent(
        middle,
        selector.mapToGlobal(middle),
        QPoint(),
        QPoint(0, 120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )

    qt.QApplication.sendEvent(selector, turn)

    assert selector.currentText == "lab12"
    assert a_lab_panel.trainedModelSection.choice == str(a_model_file)


@pytest.mark.parametrize("text", ["{", "3", '{"a": 1}', '["relative.npz", 5, null]', "null"])
def test_settings_edited_by_hand_do_no_harm(text, panel_factory, app):
    settings.QSettings().setValue(FILES_KEY, text)

    panel = settled(panel_factory())

    assert entries(panel) == ["palnet50"]


def test_lab_s_landmarks_go_all_the_way(a_lab_panel, a_model_file, tmp_path, answers):
    """Detect, review with definitions, measure, export, save."""
    ui = a_lab_panel.ui
    click(ui.exampleButton)
    detect(a_lab_panel)
    assert ui.statusLabel.text.startswith("PALNet example face: 12 of 12 landmarks in")
    assert "Trained model: lab12." in ui.statusLabel.text
    assert ui.landmarkTable.rowCount == len(LAB_CODES)
    assert "trained model lab12\nSHA-256: " in ui.reviewedLabel.toolTip
    # Its expected errors are those for the lab's own people.
    assert "unlike" not in ui.reviewedLabel.toolTip

    click(ui.nextButton)
    assert ui.definitionLabel.text == "Nasion (n)\nThe lab's own Nasion."
    assert ui.pictureLabel.isHidden()
    for _ in LAB_CODES:
        a_lab_panel.reviewSection.on_confirm()
    assert ui.reviewedLabel.text == "12 of 12 reviewed"

    ui.measurementSection.setProperty("collapsed", False)
    assert ui.measurementLabel.isHidden()
    measure(a_lab_panel)
    assert "No measurement plan comes with the scheme lab12" in ui.measurementLabel.text
    assert ui.measurementTable.rowCount > 0

    answers.expect("file", str(tmp_path / "out.csv"), "Export landmarks")
    ui.formatSelector.setCurrentIndex(ui.formatSelector.findData("csv"))
    click(ui.exportButton)
    assert read_landmarks(tmp_path / "out.csv", lab_scheme()).scheme.name == LAB_NAME
    answers.expect("file", str(tmp_path / "face.mrk.json"), "Save landmarks")
    click(ui.saveButton)
    assert read_landmarks(tmp_path / "face.mrk.json").scheme == lab_scheme()


def test_scene_brings_model_list_and_definitions_back(a_lab_panel, a_model_file, tmp_path):
    click(a_lab_panel.ui.exampleButton)
    detect(a_lab_panel)
    click(a_lab_panel.ui.nextButton)
    click(a_lab_panel.ui.confirmButton)
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"), properties={})
    choose(a_lab_panel, Qt.Key.Key_Up)
    settings.reset()

    close_and_load(tmp_path / "scene.mrb")
    settled(a_lab_panel)

    ui = a_lab_panel.ui
    assert a_lab_panel.trainedModelSection.choice == str(a_model_file)
    assert ui.trainedModelSelector.currentText == "lab12"
    assert ui.trainedModelInfoLabel.isHidden()
    landmarks = detected_list(a_lab_panel)
    assert landmarks.scheme == lab_scheme()
    assert landmarks.status[0] == "confirmed"
    assert ui.landmarkTable.rowCount == len(LAB_CODES)
    detect(a_lab_panel)
    assert ui.landmarksSelector.currentNode() is landmarks.node
    assert landmarks.status[0] == "confirmed"


def test_scene_whose_model_is_gone_says_so_and_keeps_the_landmarks(
    a_lab_panel, a_model_file, tmp_path
):
    click(a_lab_panel.ui.exampleButton)
    detect(a_lab_panel)
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"), properties={})
    a_model_file.unlink()
    settings.reset()

    close_and_load(tmp_path / "scene.mrb")
    settled(a_lab_panel)

    assert a_lab_panel.ui.trainedModelSelector.currentText == "lab12"
    assert "is not there" in a_lab_panel.ui.trainedModelInfoLabel.text
    assert a_lab_panel.ui.landmarkTable.rowCount == len(LAB_CODES)
    click(a_lab_panel.ui.removeTrainedModelButton)
    settled(a_lab_panel)
    assert entries(a_lab_panel) == ["palnet50"]
    assert detected_list(a_lab_panel).scheme == lab_scheme()


def test_model_trained_again_since_the_scene_was_saved_is_told(a_lab_panel, a_model_file, tmp_path):
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"), properties={})
    write_lab_model(a_model_file, lab_scheme(LAB_CODES[:4]))

    close_and_load(tmp_path / "scene.mrb")
    settled(a_lab_panel)

    ui = a_lab_panel.ui
    assert "another file than the one that was chosen" in ui.trainedModelInfoLabel.text
    assert ui.trainedModelSelector.toolTip.startswith("Landmarks of the scheme lab12: 4.")
    choose(a_lab_panel, Qt.Key.Key_Up)
    choose(a_lab_panel, Qt.Key.Key_Down)
    assert ui.trainedModelInfoLabel.isHidden()


def test_scene_of_before_models_could_be_chosen_gets_the_last_choice(
    a_lab_panel, a_model_file, a_face, tmp_path
):
    node = a_lab_panel.logic.getParameterNode().parameterNode
    for name in ("trainedModel", "trainedModelHash"):
        node.UnsetParameter(name)
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"), properties={})

    close_and_load(tmp_path / "scene.mrb")
    settled(a_lab_panel)

    assert a_lab_panel.trainedModelSection.choice == str(a_model_file)


def test_scene_that_is_added_without_a_selection_leaves_the_model(
    a_lab_panel, a_model_file, a_list, tmp_path
):
    choose(a_lab_panel, Qt.Key.Key_Up)
    assert slicer.util.saveScene(str(tmp_path / "other.mrb"), properties={})
    a_lab_panel.ui.landmarksSelector.setCurrentNode(a_list.node)
    choose(a_lab_panel, Qt.Key.Key_Down)

    slicer.util.loadScene(str(tmp_path / "other.mrb"), properties={"clear": False})
    qt.QApplication.processEvents()
    settled(a_lab_panel)

    assert a_lab_panel.ui.landmarksSelector.currentNode() is a_list.node
    assert a_lab_panel.trainedModelSection.choice == str(a_model_file)
    assert a_lab_panel.ui.trainedModelInfoLabel.isHidden()


def test_name_that_does_not_come_with_this_release_is_told(a_panel):
    a_panel.logic.getParameterNode().trainedModel = "palnet68"
    settled(a_panel)

    assert a_panel.ui.trainedModelSelector.currentText == "palnet68"
    assert "no model 'palnet68'" in a_panel.ui.trainedModelInfoLabel.text


def test_switching_the_model_changes_no_list_and_a_detection_makes_a_new_one(
    a_panel, a_list, a_model_file, answers
):
    a_panel.ui.landmarksSelector.setCurrentNode(a_list.node)
    a_list.node.SetNthControlPointPositionWorld(5, *(a_list.world_positions[5] + 4.0))
    before = a_list.state()

    add(a_panel, a_model_file, answers)
    assert a_panel.ui.landmarksSelector.currentNode() is a_list.node
    assert a_panel.ui.landmarkTable.rowCount == 50
    detect(a_panel)

    made = detected_list(a_panel)
    assert made.node is not a_list.node
    assert made.scheme == lab_scheme()
    assert a_list.state().is_same(before)
    assert "the selected one holds the landmarks of palnet50" in a_panel.ui.statusLabel.text
    choose(a_panel, Qt.Key.Key_Up)
    detect(a_panel)
    assert detected_list(a_panel).scheme.name == "palnet50"
    assert LandmarkList(made.node).scheme == lab_scheme()


def test_model_that_needs_a_package_says_which(a_lab_panel, a_face, monkeypatch):
    def refuse(*_arguments, **_options):
        msg = "this model needs torch, which is not installed."
        raise MissingDependencyError(msg)

    monkeypatch.setattr(palnet, "detect", refuse)
    a_lab_panel.ui.scanSelector.setCurrentNode(a_face)

    detect(a_lab_panel)

    said = a_lab_panel.ui.statusLabel.text
    assert said == "Face: this model needs torch, which is not installed."


def test_landmarks_of_the_chosen_model_are_placed_by_hand(a_lab_panel, a_face):
    a_lab_panel.ui.scanSelector.setCurrentNode(a_face)

    click(a_lab_panel.ui.byHandButton)

    landmarks = detected_list(a_lab_panel)
    assert landmarks.scheme == lab_scheme()
    assert landmarks.status == ("undefined",) * len(LAB_CODES)


def test_list_known_by_its_labels_is_taken_up_once_the_model_was_read(
    a_panel, a_face, a_model_file, scene, answers
):
    node = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "From a .fcsv")
    for code in reversed(LAB_CODES):
        node.AddControlPoint([1.0, 2.0, 3.0], code)
    turned = lab_scheme(tuple(reversed(LAB_CODES)), "turned")
    a_panel.ui.landmarksSelector.setCurrentNode(node)
    assert "other points" in a_panel.ui.statusLabel.text
    write_lab_model(a_model_file, turned)

    add(a_panel, a_model_file, answers)

    assert a_panel.reviewSection.review.landmarks.scheme == turned
    assert a_panel.ui.landmarkTable.rowCount == len(LAB_CODES)


def test_scene_closed_while_a_model_is_read_is_safe(a_panel, a_model_file, answers, scene):
    answers.expect("file", str(a_model_file), "Add model file")
    click(a_panel.ui.addTrainedModelButton)
    assert "Reading the trained model" in a_panel.ui.trainedModelInfoLabel.text

    scene.Clear(False)
    settled(a_panel)

    QTest.qWait(300)
    assert entries(a_panel) == ["palnet50"]
    assert a_panel.trainedModelSection.choice == "palnet50"


def test_panel_closed_while_a_model_is_read_is_safe(panel_factory):
    panel = panel_factory()
    assert panel.trainedModelSection.is_reading

    panel.cleanup()
    QTest.qWait(300)


def test_scripts_detect_with_a_file(a_panel, a_face, a_model_file):
    node = a_panel.logic.detect(a_face, trainedModel=a_model_file)
    again = a_panel.logic.detect(a_face, node, replace=["prn"], trainedModel=a_model_file)

    assert again is node
    assert LandmarkList(node).scheme == lab_scheme()
