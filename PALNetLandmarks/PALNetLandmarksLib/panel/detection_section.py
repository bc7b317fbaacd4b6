# SPDX-License-Identifier: Apache-2.0
"""One button that places the landmarks, and what comes of it."""

from __future__ import annotations

import slicer
from slicer.i18n import tr as _

from palnet.errors import PalnetError
from palnet.preview import classify_errors
from PALNetLandmarksLib.detection import ModelChangedError
from PALNetLandmarksLib.error_classes import CHECK, DOUBTFUL, GOOD
from PALNetLandmarksLib.panel.poller import Poller


class DetectionSection:
    """The section "Detection".

    Parameters
    ----------
    ui : object
        The widgets of the panel, by name.
    start : callable
        Starts a detection of what is selected and returns the `DetectionRun`.
    start_by_hand : callable
        Makes a list without positions for the selected scan, and returns it.
    on_found : callable
        Called with a `LandmarkList` that was written.
    """

    def __init__(self, ui, start, start_by_hand, on_found):
        self._ui, self._start, self._on_found = ui, start, on_found
        self._start_by_hand = start_by_hand
        self._run = None
        self._poller = Poller(self._on_end, self._on_tick)
        ui.detectButton.clicked.connect(self.on_detect)
        ui.byHandButton.clicked.connect(self.on_by_hand)
        self._show_idle()

    @property
    def is_running(self):
        """Whether a detection is on its way."""
        return self._poller.is_running

    def say(self, text):
        """Show a sentence below the button.

        Parameters
        ----------
        text : str
            What to say; empty says nothing.
        """
        self._ui.statusLabel.setText(text)

    def on_detect(self):
        """Start, or cancel what runs."""
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

    def on_by_hand(self):
        """Make a list whose landmarks the user places."""
        with slicer.util.tryWithErrorDisplay(_("The list could not be made.")):
            try:
                landmarks = self._start_by_hand()
            except PalnetError as err:
                self.say(str(err))
                return
            self._on_found(landmarks)
            self.say(_("Choose a landmark in the table, click Place, then click on the scan."))

    def cancel(self):
        """Give the detection up; the scene stays as it was."""
        if not self.is_running:
            return
        self._poller.stop()
        self._run = None
        self._show_idle()
        self.say(_("The detection was canceled; nothing was changed."))

    def _on_tick(self, job):
        self.say(_("Detecting landmarks: {seconds:.0f} s").format(seconds=job.seconds))

    def _on_end(self, job):
        run, self._run = self._run, None
        self._show_idle()
        with slicer.util.tryWithErrorDisplay(_("The detection failed.")):
            try:
                landmarks = run.finish()
            except (PalnetError, ModelChangedError) as err:
                self.say(str(err))
                return
            self._on_found(landmarks)
            self.say(" ".join(filter(None, (_summary(landmarks, job.seconds), run.remark))))

    def _show_running(self):
        self._ui.detectButton.setText(_("Cancel"))
        self._ui.detectButton.setToolTip(_("Give the detection up."))
        self._ui.progressBar.setVisible(True)

    def _show_idle(self):
        self._ui.detectButton.setText(_("Detect landmarks"))
        self._ui.detectButton.setToolTip(_("Place the landmarks on the selected scan."))
        self._ui.progressBar.setVisible(False)


def _summary(landmarks, seconds):
    """Say what came of a detection in one or two sentences."""
    found = landmarks.landmark_set()
    classes = classify_errors(found).tolist()
    text = _(
        "{n_placed} of {n_all} landmarks in {seconds:.1f} s: {n_good} good, {n_check} to check, "
        "{n_doubtful} doubtful. Trained model: {model}."
    ).format(
        model=landmarks.record.get("provenance", {}).get("model", ""),
        n_placed=int(found.is_placed.sum()),
        n_all=len(found),
        seconds=seconds,
        n_good=classes.count(GOOD),
        n_check=classes.count(CHECK),
        n_doubtful=classes.count(DOUBTFUL),
    )
    if landmarks.record.get("quality", {}).get("verdict") == "check":
        text += " " + _("This scan is unusual: look at each landmark.")
    if any(entry["code"] == "small_face" for entry in landmarks.record.get("findings", ())):
        size = landmarks.record["provenance"]["face_scale"]
        text += " " + _(
            "The face has {percent:.0f} % of the mean size: a small child's, or the unit is wrong."
        ).format(percent=100 * size)
    return text
