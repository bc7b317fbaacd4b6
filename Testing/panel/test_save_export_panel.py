# SPDX-License-Identifier: Apache-2.0
"""Save, export and measure with the panel."""

from __future__ import annotations

import csv
from pathlib import Path, PureWindowsPath

import numpy as np
import pytest
import qt
import slicer
import vtk

from palnet.errors import OutputError
from palnet.exchange import FORMATS, read_landmarks
from palnet_panel import click, measure
from palnet_scenes import SAMPLES, a_record, measured_lines, true_landmarks
from PALNetLandmarksLib.linking import find_lists, lies_on
from PALNetLandmarksLib.list_creation import create_list
from PALNetLandmarksLib.review import Review
from PALNetLandmarksLib.save_export import default_path, save


@pytest.fixture
def a_file(tmp_path):
    path = tmp_path / "J\u00f6rg M\u00fcller" / "face.ply"
    path.parent.mkdir()
    path.write_bytes((SAMPLES / "example.ply").read_bytes())
    return path


@pytest.fixture
def a_list_on_file(a_file, scene):
    model = slicer.util.loadModel(str(a_file))
    made = create_list(scene, true_landmarks().scheme, model, "Face landmarks")
    made.set_detection(true_landmarks(), a_record())
    return made


@pytest.fixture
def a_panel(panel_factory, a_list_on_file):
    return shown(panel_factory, a_list_on_file)


@pytest.fixture
def a_reviewed_panel(panel_factory, a_list_on_file):
    """Reviewed before the panel shows it, which is quicker."""
    review = Review(a_list_on_file)
    for index, status in enumerate(a_list_on_file.status):
        if status == "detected":
            review.confirm(index)
    review.close()
    return shown(panel_factory, a_list_on_file)


def shown(panel_factory, landmarks):
    panel = panel_factory()
    panel.ui.landmarksSelector.setCurrentNode(landmarks.node)
    return panel


def choose(panel, name, frame):
    for selector, value in ((panel.ui.formatSelector, name), (panel.ui.frameSelector, frame)):
        selector.setCurrentIndex(selector.findData(value))


def test_landmarks_are_saved_beside_the_scan(a_reviewed_panel, a_list_on_file, a_file, answers):
    path = a_file.with_name("face.mrk.json")
    answers.expect("file", str(path), "Save landmarks")

    click(a_reviewed_panel.ui.saveButton)

    assert path.as_posix() in a_reviewed_panel.ui.saveExportLabel.text
    assert read_landmarks(path).status == a_list_on_file.status
    assert a_list_on_file.node.GetStorageNode().GetFileName() == str(path)


def test_path_on_windows_is_told_with_slashes(a_panel):
    """Labels wrap at slashes, and Slicer shows paths with them."""
    a_panel.saveExportSection._say_written([PureWindowsPath("C:\\Study\\face.mrk.json")])

    assert a_panel.ui.saveExportLabel.text == "Written: C:/Study/face.mrk.json"


def test_what_was_written_is_no_longer_said_when_the_next_saving_is_given_up(
    a_reviewed_panel, a_file, answers
):
    answers.expect("file", str(a_file.with_name("face.mrk.json")), "Save landmarks")
    click(a_reviewed_panel.ui.saveButton)
    answers.expect("file", "", "Save landmarks")

    click(a_reviewed_panel.ui.saveButton)

    assert a_reviewed_panel.ui.saveExportLabel.text == ""


def test_list_is_saved_though_another_one_came_up_while_the_dialog_was_open(
    a_reviewed_panel, a_list_on_file, a_file, answers, scene
):
    path = a_file.with_name("face.mrk.json")
    other = create_list(scene, true_landmarks().scheme, a_list_on_file.model_node, "Other")
    select = a_reviewed_panel.ui.landmarksSelector.setCurrentNode
    answers.expect("file", str(path), "Save", meanwhile=lambda: select(other.node))

    click(a_reviewed_panel.ui.saveButton)

    assert a_list_on_file.node.GetStorageNode().GetFileName() == str(path)
    assert read_landmarks(path).status == a_list_on_file.status


def test_list_is_exported_though_it_was_deselected_while_the_dialog_was_open(
    a_reviewed_panel, a_list_on_file, a_file, answers
):
    choose(a_reviewed_panel, "csv", "LPS")
    path = a_file.with_name("face-export.csv")
    select = a_reviewed_panel.ui.landmarksSelector.setCurrentNode
    answers.expect("file", str(path), "Export", meanwhile=lambda: select(None))

    click(a_reviewed_panel.ui.exportButton)

    assert read_landmarks(path).status == a_list_on_file.status


def test_unreviewed_doubtful_landmarks_are_named_first(a_panel, a_file, answers):
    answers.expect("message", "No", r"landmarks that have not been reviewed \(\d+\): .*stn_l")

    click(a_panel.ui.saveButton)

    assert list(a_file.parent.glob("*.json")) == []


def test_warning_can_be_passed(a_panel, a_file, answers):
    path = a_file.with_name("face.mrk.json")
    answers.expect("message", "Yes", "Doubtful landmarks")
    answers.expect("file", str(path), "Save landmarks")

    click(a_panel.ui.saveButton)

    assert path.exists()


def test_ending_is_completed_and_a_file_replaced_only_with_a_yes(a_reviewed_panel, a_file, answers):
    path = a_file.with_name("face.mrk.json")
    path.write_text("mine", encoding="utf-8")
    answers.expect("file", str(a_file.with_name("face")), "Save landmarks")
    answers.expect("message", "No", r"face\.mrk\.json exists")

    click(a_reviewed_panel.ui.saveButton)

    assert path.read_text(encoding="utf-8") == "mine"


def test_file_that_another_person_has_changed_is_replaced_only_with_a_yes(
    a_reviewed_panel, a_file, answers
):
    path = a_file.with_name("face.mrk.json")
    answers.expect("file", str(path), "Save landmarks")
    click(a_reviewed_panel.ui.saveButton)
    path.write_text("theirs", encoding="utf-8")
    for answer in ("No", "Yes"):
        answers.expect("file", str(path), "Save landmarks")
        answers.expect("message", answer, r"face\.mrk\.json was changed(.|\n)*all the same\?")
        click(a_reviewed_panel.ui.saveButton)
        assert (path.read_text(encoding="utf-8") == "theirs") == (answer == "No")

    answers.expect("file", str(path), "Save landmarks")  # not asked again
    click(a_reviewed_panel.ui.saveButton)


def test_folder_that_cannot_be_written_is_told(a_reviewed_panel, a_file, answers, hidden_failures):
    path = a_file / "face.mrk.json"  # no folder
    answers.expect("file", str(path), "Save landmarks")
    remedy = r"(?s)could not be saved.*a folder that you may write to, or close the program"
    answers.expect("message", "Ok", remedy)

    click(a_reviewed_panel.ui.saveButton)

    hidden_failures.take(OSError, r"face\.ply")


def test_scan_that_was_scaled_is_to_be_saved_with_its_list(
    a_reviewed_panel, a_list_on_file, a_file, answers
):
    """Otherwise the list would be off the scan when both are opened again."""
    panel, model = a_reviewed_panel, a_list_on_file.model_node
    points = slicer.util.arrayFromModelPoints(model)
    points /= 1000.0
    slicer.util.arrayFromModelPointsModified(model)
    a_list_on_file.carry(np.diag([0.001, 0.001, 0.001, 1.0]))
    path = str(a_file.with_suffix(".mrk.json"))
    assert slicer.util.saveNode(model, str(a_file), properties={})
    answers.expect("file", path, "Save landmarks")
    click(panel.ui.saveButton)
    assert panel.ui.saveExportLabel.text == f"Written: {Path(path).as_posix()}"

    click(panel.ui.scaleButton)
    answers.expect("file", path, "Save landmarks")
    click(panel.ui.saveButton)

    _, remark = panel.ui.saveExportLabel.text.splitlines()
    assert "its file face.ply was not: save the scan as well" in remark
    assert slicer.util.saveNode(model, str(a_file), properties={})
    answers.expect("file", path, "Save landmarks")
    click(panel.ui.saveButton)
    assert panel.ui.saveExportLabel.text == f"Written: {Path(path).as_posix()}"
    slicer.mrmlScene.Clear(False)
    again = slicer.util.loadModel(str(a_file))
    slicer.util.loadMarkups(path)
    (found,) = find_lists(again)
    assert lies_on(found, again)


def test_list_is_not_called_written_any_more_once_it_is_corrected(
    a_reviewed_panel, a_file, answers
):
    ui, review = a_reviewed_panel.ui, a_reviewed_panel.reviewSection.review
    answers.expect("file", str(a_file.with_name("face.mrk.json")), "Save landmarks")
    click(ui.saveButton)
    said = ui.saveExportLabel.text

    review.mark_missing(3)

    assert said.startswith("Written: ")
    assert not ui.saveExportLabel.text


def test_export_in_the_chosen_format_and_frame(a_reviewed_panel, a_list_on_file, a_file, answers):
    choose(a_reviewed_panel, "csv", "LPS")
    path = a_file.with_name("out.csv")
    answers.expect("file", str(path), "Export landmarks")

    click(a_reviewed_panel.ui.exportButton)

    numbers = read_landmarks(path).positions
    expected = a_list_on_file.world_positions * [-1, -1, 1]
    np.testing.assert_allclose(numbers, expected, atol=1e-3)


def test_name_that_a_format_cannot_hold_is_changed_and_told(a_reviewed_panel, a_file, answers):
    panel = a_reviewed_panel
    panel.ui.scanSelector.currentNode().SetName("J. D\u00f6 landmarks 3")
    review = panel.reviewSection.review
    review.snap_to_surface = False
    missing = review.landmarks.status.index("missing")
    review.prepare_placing(missing)
    review.landmarks.node.SetNthControlPointPositionWorld(missing, 1.0, 2.0, 3.0)
    choose(panel, "morphologika", "LPS")
    path = a_file.with_name("out.txt")
    answers.expect("file", str(path), "Export landmarks")

    click(panel.ui.exportButton)

    said = panel.ui.saveExportLabel.text
    (written,) = [line for line in said.splitlines() if line.endswith(".txt")]
    assert "D\u00f6" in said
    assert "D\u00f6" not in Path(written.removeprefix("Written: ")).read_text(encoding="utf-8")


def test_choices_come_back_the_next_time(a_reviewed_panel, a_file, answers, panel_factory):
    choose(a_reviewed_panel, "csv", "RAS")
    answers.expect("file", str(a_file.with_name("out.csv")), "Export landmarks")
    click(a_reviewed_panel.ui.exportButton)

    again = slicer.modules.palnetlandmarks.createNewWidgetRepresentation().self()

    assert again.ui.formatSelector.itemData(again.ui.formatSelector.currentIndex) == "csv"
    assert again.ui.frameSelector.itemData(again.ui.frameSelector.currentIndex) == "RAS"
    again.cleanup()


def test_every_format_is_offered(a_panel):
    selector = a_panel.ui.formatSelector

    assert [selector.itemData(i) for i in range(selector.count)] == list(FORMATS)


def test_format_that_cannot_hold_the_list_says_why(
    a_reviewed_panel, a_file, scene, answers, hidden_failures
):
    model = a_reviewed_panel.ui.scanSelector.currentNode()
    choose(a_reviewed_panel, "csv", "file")
    slicer.util.arrayFromModelPoints(model)[:] += 1.0
    slicer.util.arrayFromModelPointsModified(model)
    answers.expect("file", str(a_file.with_name("out.csv")), "Export landmarks")

    click(a_reviewed_panel.ui.exportButton)

    assert "Save the model first" in a_reviewed_panel.ui.saveExportLabel.text
    assert not a_file.with_name("out.csv").exists()


def test_format_that_cannot_leave_a_landmark_out_is_told_before_a_file_is_asked_for(
    a_reviewed_panel, a_list_on_file
):
    missing = a_list_on_file.scheme.codes[a_list_on_file.status.index("missing")]
    for name in (key for key, each in FORMATS.items() if not each.holds_missing):
        choose(a_reviewed_panel, name, "LPS")

        click(a_reviewed_panel.ui.exportButton)

        said = a_reviewed_panel.ui.saveExportLabel.text
        assert f"without a position: {missing}." in said
        assert ".tps" in said
        assert "--" not in said  # an option of the command line helps nobody here


def test_measurements_are_taken_copied_saved_and_shown(
    a_reviewed_panel, scene, answers, a_file, monkeypatch
):
    ui = a_reviewed_panel.ui
    ui.measurementSection.setProperty("collapsed", False)
    measure(a_reviewed_panel)
    n_rows = ui.measurementTable.rowCount
    assert n_rows > 40

    click(ui.copyMeasurementsButton)
    lines = qt.QApplication.clipboard().text().splitlines()
    assert len(lines) == n_rows + 1
    assert ui.measurementTable.item(0, 0).text() in lines[1]
    monkeypatch.setattr(qt.QLocale, "system", lambda: qt.QLocale("de_DE"))
    click(ui.copyMeasurementsButton)
    german = qt.QApplication.clipboard().text().splitlines()
    value = lines[1].split("\t")[4]
    assert german[1].split("\t")[4] == value.replace(".", ",") != value

    ui.measurementTable.setCurrentCell(0, 0)
    (line,) = measured_lines()
    assert line.GetNumberOfControlPoints() == 2

    path = a_file.with_name("face.csv")
    answers.expect("file", str(path), "Save measurements")
    click(ui.saveMeasurementsButton)
    with path.open(encoding="utf-8", newline="") as file:
        assert len(list(csv.reader(file))) == n_rows + 1
    assert ui.measurementLabel.text == f"Written: {path}"


def test_values_are_seen_in_a_narrow_panel(a_reviewed_panel, main_window):
    main_window.resize(350, 900)
    ui = a_reviewed_panel.ui
    ui.measurementSection.setProperty("collapsed", False)
    qt.QApplication.processEvents()

    measure(a_reviewed_panel)

    table = ui.measurementTable
    assert table.columnWidth(0) + table.columnWidth(1) <= table.viewport().width
    numbers = [
        table.item(row, 1).text() for row in range(table.rowCount) if table.item(row, 2).text()
    ]
    widest = max(table.fontMetrics().horizontalAdvance(number) for number in numbers)
    assert table.columnWidth(1) >= widest
    longest = max(
        (table.item(row, 0) for row in range(table.rowCount)), key=lambda i: len(i.text())
    )
    assert longest.toolTip() == longest.text()


def test_reason_of_a_missing_value_does_not_push_expected_errors_aside(a_reviewed_panel):
    """With a landmark under the hair, the column was out of the view."""
    review, ui = a_reviewed_panel.reviewSection.review, a_reviewed_panel.ui
    table = ui.measurementTable

    def width():
        measure(a_reviewed_panel)
        return sum(table.columnWidth(column) for column in range(3))

    ui.measurementSection.setProperty("collapsed", False)
    qt.QApplication.processEvents()
    # Without fonts, as under Wine, letters are so wide that the columns do not fit anyway.
    most = max(width(), table.viewport().width)
    for code in ("pra_l", "pa_l", "sa_l", "t_l"):
        review.mark_missing(review.landmarks.scheme.index_of(code))

    assert width() <= most
    reason = "landmark missing: pra_l, pa_l, sa_l"
    items = [table.item(row, 1) for row in range(table.rowCount)]
    (row, *_) = (row for row, item in enumerate(items) if item.text() == reason)
    assert items[row].toolTip() == reason
    assert table.columnSpan(row, 1) == 2


def test_measurements_are_saved_though_they_were_dropped_while_the_dialog_was_open(
    a_reviewed_panel, answers, a_file
):
    a_reviewed_panel.ui.measurementSection.setProperty("collapsed", False)
    measure(a_reviewed_panel)
    n_rows = a_reviewed_panel.ui.measurementTable.rowCount
    path = a_file.with_name("face.csv")
    select = a_reviewed_panel.ui.landmarksSelector.setCurrentNode
    answers.expect("file", str(path), "Save measurements", meanwhile=lambda: select(None))

    click(a_reviewed_panel.ui.saveMeasurementsButton)

    assert len(path.read_text(encoding="utf-8").splitlines()) == n_rows + 1


def test_measurements_whose_file_a_spreadsheet_has_open_tell_to_close_it(
    a_reviewed_panel, answers, a_file, hidden_failures, monkeypatch
):
    def refuse(_path, _target):
        raise PermissionError(13, "The file is in use")

    a_reviewed_panel.ui.measurementSection.setProperty("collapsed", False)
    measure(a_reviewed_panel)
    path = a_file.with_name("face.csv")
    path.write_text("old", encoding="utf-8")
    answers.expect("file", str(path), "Save measurements")
    answers.expect("message", "Ok", r"face\.csv: cannot be replaced .* Close the program")
    monkeypatch.setattr(Path, "rename", refuse)

    click(a_reviewed_panel.ui.saveMeasurementsButton)

    hidden_failures.take(OutputError, "cannot be replaced")
    assert path.read_text(encoding="utf-8") == "old"


def test_correction_drops_measurements_that_no_longer_hold(a_panel, a_list_on_file):
    a_panel.ui.measurementSection.setProperty("collapsed", False)
    measure(a_panel)

    position = a_list_on_file.world_positions[5] + 3.0
    a_list_on_file.node.SetNthControlPointPositionWorld(5, *position)

    assert a_panel.ui.measurementTable.rowCount == 0
    assert not a_panel.ui.copyMeasurementsButton.enabled


@pytest.mark.parametrize("button", ["copyMeasurementsButton", "saveMeasurementsButton"])
def test_measurements_of_unreviewed_doubtful_landmarks_leave_with_a_yes_only(
    a_panel, answers, a_file, button
):
    a_panel.ui.measurementSection.setProperty("collapsed", False)
    measure(a_panel)
    qt.QApplication.clipboard().setText("mine")
    answers.expect("message", "No", r"landmarks that have not been reviewed \(\d+\): .*stn_l")

    click(getattr(a_panel.ui, button))

    assert qt.QApplication.clipboard().text() == "mine"
    assert list(a_file.parent.glob("*.csv")) == []


def test_correction_stops_measuring(a_panel, a_list_on_file):
    a_panel.ui.measurementSection.setProperty("collapsed", False)
    click(a_panel.ui.measureButton)
    assert not a_panel.ui.measureButton.enabled

    position = a_list_on_file.world_positions[5] + 3.0
    a_list_on_file.node.SetNthControlPointPositionWorld(5, *position)

    assert not a_panel.measurementSection.is_running
    assert a_panel.ui.measureButton.enabled
    assert a_panel.ui.measurementTable.rowCount == 0
    said = "The landmarks have changed since. Measure again."
    assert a_panel.ui.measurementLabel.text == said
    click(a_panel.ui.undoButton)
    assert a_panel.ui.measurementLabel.text == said


def test_export_leaves_the_file_of_the_saved_list(a_reviewed_panel, a_file, answers):
    """It contains the record of the detection; an export does not."""
    saved = a_file.with_name("face.mrk.json")
    answers.expect("file", str(saved), "Save landmarks")
    click(a_reviewed_panel.ui.saveButton)
    before = saved.read_bytes()
    choose(a_reviewed_panel, "mrk.json", "LPS")

    answers.expect("file", str(saved), "Export landmarks")
    click(a_reviewed_panel.ui.exportButton)
    assert "is the file of the saved list" in a_reviewed_panel.ui.saveExportLabel.text
    assert saved.read_bytes() == before

    proposed = a_file.with_name("face-export.mrk.json")
    answers.expect("file", str(proposed), "Export landmarks")
    click(a_reviewed_panel.ui.exportButton)
    assert proposed.exists()


def test_no_list_is_exported_over_the_file_of_another(a_reviewed_panel, a_file, scene, answers):
    saved = a_file.with_name("face.mrk.json")
    answers.expect("file", str(saved), "Save landmarks")
    click(a_reviewed_panel.ui.saveButton)
    before = saved.read_bytes()
    first = a_reviewed_panel.reviewSection.review.landmarks
    second = create_list(scene, first.scheme, first.model_node, "Second pass")
    second.node.SetNthControlPointPositionWorld(0, *first.world_positions[0])
    a_reviewed_panel.ui.landmarksSelector.setCurrentNode(second.node)
    choose(a_reviewed_panel, "mrk.json", "LPS")

    for path in (saved, saved.parent / "sub" / ".." / saved.name):
        (saved.parent / "sub").mkdir(exist_ok=True)
        answers.expect("file", str(path), "Export landmarks")
        click(a_reviewed_panel.ui.exportButton)

        said = a_reviewed_panel.ui.saveExportLabel.text
        assert "is the file of the saved list 'Face landmarks'" in said
        assert saved.read_bytes() == before
    assert default_path(second, ".mrk.json").name == "Second pass.mrk.json"


def test_line_of_a_measurement_is_not_drawn_where_the_landmarks_were(a_reviewed_panel, scene):
    ui = a_reviewed_panel.ui
    ui.measurementSection.setProperty("collapsed", False)
    measure(a_reviewed_panel)
    landmarks = a_reviewed_panel.reviewSection.review.landmarks
    parent = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = vtk.vtkMatrix4x4()
    matrix.SetElement(0, 3, 300.0)
    parent.SetMatrixTransformToParent(matrix)
    for node in (landmarks.node, landmarks.model_node):
        node.SetAndObserveTransformNodeID(parent.GetID())

    ui.measurementTable.setCurrentCell(0, 0)

    assert ui.measurementTable.rowCount == 0
    assert "Measure again" in ui.measurementLabel.text


@pytest.mark.parametrize("end", ["correct", "deselect", "clean up"])
def test_line_of_a_measurement_goes_with_the_measurement(a_reviewed_panel, scene, end):
    panel = a_reviewed_panel
    panel.ui.measurementSection.setProperty("collapsed", False)
    measure(panel)
    panel.ui.measurementTable.setCurrentCell(0, 0)
    (line,) = measured_lines()
    assert line.GetNumberOfControlPoints() == 2

    if end == "correct":
        panel.reviewSection.review.mark_missing(0)
    elif end == "deselect":
        panel.ui.landmarksSelector.setCurrentNode(None)
    else:
        panel.cleanup()

    assert measured_lines() == []


def test_names_that_no_file_can_have_are_proposed_otherwise(a_reviewed_panel, a_file, scene):
    first = a_reviewed_panel.reviewSection.review.landmarks
    save(first, a_file.with_name("face.mrk.json"))
    for name, proposed in (
        ("Observer B 12/03: left?", "Observer B 12_03_ left_.mrk.json"),
        ("face", "face-2.mrk.json"),
    ):
        second = create_list(scene, first.scheme, first.model_node, "Second")
        second.node.SetName(name)

        assert default_path(second, ".mrk.json").name == proposed
