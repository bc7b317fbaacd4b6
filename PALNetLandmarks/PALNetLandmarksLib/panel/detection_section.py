# SPDX-License-Identifier: Apache-2.0
"""The button that places the landmarks, and the result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import slicer
from slicer.i18n import tr as _

from palnet.error_classes import ErrorClass, classify_errors
from palnet.errors import PalnetError
from PALNetLandmarksLib.detection import ModelChangedError
from PALNetLandmarksLib.detection_record import say_how_placed
from PALNetLandmarksLib.panel.poller import Poller

if TYPE_CHECKING:
    from collections.abc import Callable

    from PALNetLandmarksLib.detection import DetectionRun
    from PALNetLandmarksLib.job import BackgroundJob
    from PALNetLandmarksLib.landmark_list import LandmarkList


class DetectionSection:
    """The section "Detection".

    Parameters
    ----------
    ui : object
        The widgets of the panel, by name.
    start : callable
        Starts a detection for the current selection and returns the `DetectionRun`.
    start_by_hand : callable
        Creates a list without positions for the selected scan and returns it.
    on_found : callable
        Called with the `LandmarkList` that was written.
    """

    def __init__(
        self,
        ui: Any,
        start: Callable[[], DetectionRun],
        start_by_hand: Callable[[], LandmarkList],
        on_found: Callable[[LandmarkList], None],
    ) -> None:
        self._ui, self._start, self._on_found = ui, start, on_found
        self._start_by_hand = start_by_hand
        self._run: DetectionRun | None = None
        self._standing, self._is_allowed = "", False
        self._summarized: tuple[slicer.vtkMRMLMarkupsFiducialNode, object] | None = None
        self._poller = Poller(self._on_end, self._on_tick)
        ui.detectButton.clicked.connect(self.on_detect)
        ui.byHandButton.clicked.connect(self.on_by_hand)
        self._show_idle()

    @property
    def is_running(self) -> bool:
        """Whether a detection is running."""
        return self._poller.is_running

    def show(self, landmarks: LandmarkList | None, problem: str) -> None:
        """Show a list.

        Parameters
        ----------
        landmarks : LandmarkList or None
            The list; the warnings of its detection are shown while they apply.
        problem : str
            What is wrong with the selected node instead, or empty.
        """
        self._standing, self._summarized = _standing(landmarks, problem), None
        self.say(self._standing)

    def follow(self, landmarks: LandmarkList, problem: str) -> None:
        """Show a list again if something else is wrong with it by now.

        Parameters
        ----------
        landmarks, problem
            As for `show`.
        """
        if _standing(landmarks, problem) != self._standing:
            self.show(landmarks, problem)

    def allow(self, is_allowed: bool) -> None:
        """Enable or disable the button; a running detection can always be canceled.

        Parameters
        ----------
        is_allowed : bool
            Whether a scan is selected.
        """
        self._is_allowed = is_allowed
        self._ui.detectButton.setEnabled(is_allowed or self.is_running)

    def say(self, text: str) -> None:
        """Show a message below the button.

        Parameters
        ----------
        text : str
            The message; empty clears it.
        """
        self._ui.statusLabel.setText(text)

    def forget_result(self) -> None:
        """Take back what was said of the last detection; what is wrong with the list stays."""
        if not self.is_running:
            self.say(self._standing)

    def is_undone(self, landmarks: LandmarkList) -> bool:
        """Return whether the detection that the message sums up was undone in a list.

        Parameters
        ----------
        landmarks : LandmarkList
            The list.
        """
        if self._summarized is None:
            return False
        node, made = self._summarized
        return landmarks.node is node and landmarks.record.get("provenance") != made

    def on_detect(self) -> None:
        """Start a detection, or cancel the running one."""
        if self.is_running:
            self.cancel()
            return
        with slicer.util.tryWithErrorDisplay(_("The detection could not be started.")):
            try:
                self._run = self._start()
            except PalnetError as err:
                self.say(str(err))
                return
            self._poller.watch(self._run.job)
            self._show_running()

    def on_by_hand(self) -> None:
        """Create a list for the user to place the landmarks."""
        with slicer.util.tryWithErrorDisplay(_("The list could not be made.")):
            try:
                landmarks = self._start_by_hand()
            except PalnetError as err:
                self.say(str(err))
                return
            self._on_found(landmarks)
            text = _(
                "Choose the first landmark in the table, click Place, then click on the scan: the "
                "panel goes on to the next one. Mark missing skips one, Esc stops."
            )
            self.say(text)

    def close(self) -> None:
        """Cancel the detection without a message: the widgets may be gone."""
        self._poller.stop()
        self._run = None

    def cancel(self) -> None:
        """Cancel the detection; the scene is not changed."""
        if not self.is_running:
            return
        self.close()
        self._show_idle()
        self._say_beside(_("The detection was canceled; nothing was changed."))

    def _on_tick(self, job: BackgroundJob) -> None:
        if self._run is None:
            return
        text = _("{scan}: detecting landmarks, {seconds:.0f} s")
        self._say_beside(text.format(scan=self._run.scan_name, seconds=job.seconds))

    def _say_beside(self, text: str) -> None:
        """Show a message on a run together with those on the current list."""
        is_said = self._standing and self._standing not in text
        self.say("\n".join((text, self._standing)) if is_said else text)

    def _on_end(self, job: BackgroundJob) -> None:
        run, self._run = self._run, None
        self._show_idle()
        if run is None:
            return
        with slicer.util.tryWithErrorDisplay(_("The detection failed.")):
            try:
                landmarks = run.finish()
            except (PalnetError, ModelChangedError) as err:
                self._say_beside(_of_scan(run.scan_name, str(err)))
                return
            self._on_found(landmarks)
            parts = (_summary(landmarks, job.seconds), *_warnings(landmarks), run.remark)
            self._say_beside(_of_scan(run.scan_name, " ".join(filter(None, parts))))
            self._summarized = landmarks.node, landmarks.record.get("provenance")

    def _show_running(self) -> None:
        # The scan stays until its landmarks are there.
        self._ui.scanFolderRow.setEnabled(False)
        self._ui.openFolderButton.setEnabled(False)
        self._ui.detectButton.setText(_("Cancel"))
        self._ui.detectButton.setToolTip(_("Stop the detection; nothing is changed."))
        self._ui.progressBar.setVisible(True)

    def _show_idle(self) -> None:
        self._ui.scanFolderRow.setEnabled(True)
        self._ui.openFolderButton.setEnabled(True)
        self._ui.detectButton.setText(_("Detect landmarks"))
        self._ui.detectButton.setToolTip(_("Place the landmarks on the selected scan."))
        self.allow(self._is_allowed)
        self._ui.progressBar.setVisible(False)


def _summary(landmarks: LandmarkList, seconds: float) -> str:
    """Summarize the result of a detection in one or two sentences."""
    found = landmarks.landmark_set()
    classes = classify_errors(found).tolist()
    return _(
        "{n_placed} of {n_all} landmarks in {seconds:.1f} s, {how}: {n_good} good, {n_check} to "
        "check, {n_doubtful} doubtful. Trained model: {model}."
    ).format(
        model=landmarks.record.get("provenance", {}).get("model", ""),
        how=say_how_placed(landmarks.record),
        n_placed=int(found.is_placed.sum()),
        n_all=len(found),
        seconds=seconds,
        n_good=classes.count(ErrorClass.GOOD),
        n_check=classes.count(ErrorClass.CHECK),
        n_doubtful=classes.count(ErrorClass.DOUBTFUL),
    )


def _standing(landmarks: LandmarkList | None, problem: str) -> str:
    """Return what is to be said of a list as long as it is shown."""
    warnings = [] if landmarks is None else _warnings(landmarks)
    return " ".join(filter(None, (problem, *warnings)))


def _warnings(landmarks: LandmarkList) -> list[str]:
    """Describe what a detection found unusual."""
    record, warnings = landmarks.record, []
    if record.get("quality", {}).get("verdict") == "check":
        warnings.append(_("This scan is unusual: look at each landmark."))
    size = record.get("provenance", {}).get("face_scale")
    findings = {entry.get("code"): entry.get("message", "") for entry in record.get("findings", ())}
    if "small_face" in findings and size is not None:
        text = _(
            "The face has {percent:.0f} % of the mean size: it is a small child's, or the unit is "
            "wrong. If you know the unit, choose it above and detect again."
        )
        warnings.append(text.format(percent=100 * size))
    return warnings + [findings[code] for code in ("color", "texture") if code in findings]


def _of_scan(name: str, text: str) -> str:
    """Prefix a message with the scan it is about: the panel may show another one by now."""
    return text if text.startswith(f"{name}: ") else f"{name}: {text}"
