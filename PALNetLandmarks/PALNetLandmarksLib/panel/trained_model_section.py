# SPDX-License-Identifier: Apache-2.0
"""Choose the trained model that places the landmarks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import qt
import slicer
from slicer.i18n import tr as _

from palnet.errors import ModelFileError, PalnetError
from palnet.model import DEFAULT_MODEL
from PALNetLandmarksLib.job import BackgroundJob
from PALNetLandmarksLib.list_scheme import learn_scheme
from PALNetLandmarksLib.panel.poller import Poller
from PALNetLandmarksLib.trained_models import (
    in_words,
    is_file_of_user,
    names_of,
    read_trained_model,
    shipped_models,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from palnet.scheme import Scheme
    from PALNetLandmarksLib.trained_models import TrainedModel

# Settings: the files that were added, and the model for new scenes.
FILES_KEY, CHOICE_KEY = "PALNet/TrainedModels", "PALNet/TrainedModel"

# A model is read while the user continues, perhaps during the inspection of a scan.
_SLICE_S = 0.005


class TrainedModelSection:
    """The upper part of the section "Detection".

    The chosen model is read in the background. If it cannot be used, it stays chosen, with the
    reason below it; no other model replaces it.

    Parameters
    ----------
    ui : object
        The widgets of the panel, by name.
    on_choose : callable
        Called with the user's choice: the name of a shipped model or the path of a file.
    on_read : callable
        Called with the `TrainedModel` once the current one was read.
    """

    def __init__(
        self,
        ui: Any,
        on_choose: Callable[[str], None],
        on_read: Callable[[TrainedModel], None],
    ) -> None:
        self._ui, self._on_choose, self._on_read = ui, on_choose, on_read
        self._choice: str | None = None
        self._model: TrainedModel | None = None
        self._expected, self._problem, self._notice = "", "", ""
        self._guests: list[str] = []
        self._reading = Poller(self._on_ready, slice_s=_SLICE_S)
        self._adding = Poller(self._on_added, slice_s=_SLICE_S)
        ui.trainedModelSelector.connect("activated(int)", self.on_activated)
        ui.addTrainedModelButton.clicked.connect(self.on_add)
        ui.removeTrainedModelButton.clicked.connect(self.on_remove)
        self._fill()
        self._explain()

    @property
    def choice(self) -> str:
        """Name of the shipped model, or path of the file, for the next detection."""
        return self._choice or _last_choice()

    @property
    def is_reading(self) -> bool:
        """Whether a model is being read."""
        return self._reading.is_running or self._adding.is_running

    def read_scheme(self) -> Scheme:
        """Return the scheme of the chosen model, reading the model first if necessary.

        Returns
        -------
        Scheme
            The scheme.

        Raises
        ------
        ModelFileError
            If the model cannot be read.
        """
        try:
            return (self._model or read_trained_model(self.choice)).scheme
        except ModelFileError as err:
            raise in_words(err) from err

    def show(self, choice: str, expected_sha256: str = "") -> None:
        """Show the model that is stored in the scene.

        Parameters
        ----------
        choice : str
            Name of a shipped model or path of a file; empty for the last choice.
        expected_sha256 : str
            Hash of the file when it was chosen; empty if it was not read then.
        """
        choice, self._expected = choice or _last_choice(), expected_sha256
        if choice != self._choice:
            self._choice, self._model, self._problem = choice, None, ""
            if choice not in (*shipped_models(), *_added_files(), *self._guests):
                self._guests.append(choice)
            self._fill()
            self._reading.watch(BackgroundJob(read_trained_model, choice))
        self._explain()

    def close(self) -> None:
        """Stop work in the background without a message: the widgets may be gone."""
        self._reading.stop()
        self._adding.stop()

    def stop(self) -> None:
        """Stop work in the background; the next model shown is read again."""
        self.close()
        self._choice, self._notice = None, ""
        self._explain()

    def on_activated(self, index: int) -> None:
        """Apply the entry that the user chose.

        Parameters
        ----------
        index : int
            Row of the entry.
        """
        self._choose(self._ui.trainedModelSelector.itemData(index))

    def on_add(self) -> None:
        """Let the user pick a model file, and choose it if it can be read completely."""
        folder = Path(self.choice).parent if is_file_of_user(self.choice) else ""
        path = qt.QFileDialog.getOpenFileName(
            slicer.util.mainWindow(),
            _("Add model file"),
            str(folder or slicer.util.settingsValue("PALNet/LastFolder", "")),
            _("Trained models") + " (*.npz)",
        )
        if path:
            self._notice = ""
            self._adding.watch(BackgroundJob(read_trained_model, str(Path(path).absolute())))
            self._explain()

    def on_remove(self) -> None:
        """Remove the chosen file from the list; the file itself is kept."""
        removed = self.choice
        self._guests = [path for path in self._guests if path != removed]
        _remember_files(path for path in _added_files() if path != removed)
        text = _("{name} is no longer in the list; its file stays. {other} is chosen now.")
        self._choose(DEFAULT_MODEL)
        self._notice = text.format(name=Path(removed).stem, other=DEFAULT_MODEL)
        self._explain()

    def _choose(self, choice: str) -> None:
        """Choose a model; it is read again even if it was already chosen."""
        self._reading.stop()
        self._choice, self._notice = None, ""
        qt.QSettings().setValue(CHOICE_KEY, choice)
        self._on_choose(choice)
        self.show(choice)  # the scene reports changes only, not the same choice again

    def _on_added(self, job: BackgroundJob) -> None:
        with slicer.util.tryWithErrorDisplay(_("The model file could not be added.")):
            try:
                added = _result(job)
            except PalnetError as err:
                self._notice = str(err)
                self._explain()
                return
            _remember_files((*_added_files(), added.choice))
            self._choose(added.choice)

    def _on_ready(self, job: BackgroundJob) -> None:
        with slicer.util.tryWithErrorDisplay(_("The trained model could not be read.")):
            try:
                self._model = read = _result(job)
            except PalnetError as err:
                self._problem = str(err)
                self._explain()
                return
            learn_scheme(read.scheme)
            self._explain()
            self._on_read(read)

    def _fill(self) -> None:
        """Refill the list of models."""
        selector = self._ui.trainedModelSelector
        choices = list(dict.fromkeys((*shipped_models(), *_added_files(), *self._guests)))
        selector.clear()
        for row, (choice, name) in enumerate(zip(choices, names_of(choices), strict=True)):
            selector.addItem(name, choice)
            selector.setItemData(row, _origin(choice), qt.Qt.ToolTipRole)
        selector.setCurrentIndex(selector.findData(self.choice))

    def _explain(self) -> None:
        """Describe the chosen model, or what is wrong with it."""
        is_changed = (
            self._model is not None and self._expected and self._expected != self._model.sha256
        )
        text = _(
            "This is another file than the one that was chosen for this scene. A detection uses "
            "it as it is now; choose it again to accept it."
        )
        lines = (
            _("Reading the trained model...") if self.is_reading else "",
            self._problem,
            text if is_changed else "",
            self._notice,
        )
        label, selector = self._ui.trainedModelInfoLabel, self._ui.trainedModelSelector
        label.setText("\n".join(filter(None, lines)))
        label.setVisible(any(lines))
        selector.setToolTip(_origin(self.choice) if self._model is None else _describe(self._model))
        self._ui.removeTrainedModelButton.setEnabled(is_file_of_user(self.choice))


def _result(job: BackgroundJob) -> TrainedModel:
    """Return the result of a job, or raise its error."""
    if job.error is not None:
        raise in_words(job.error)
    return job.result


def _origin(choice: str) -> str:
    """Describe where a model comes from."""
    return choice if is_file_of_user(choice) else _("Comes with the module.")


def _describe(model: TrainedModel) -> str:
    """Describe a model, for the user to decide on it."""
    lines = [
        _("Landmarks of the scheme {scheme}: {n_landmarks}.").format(
            n_landmarks=len(model.scheme), scheme=model.scheme.name
        ),
        _origin(model.choice),
        _("Trained on: {source}").format(source=model.source) if model.source else "",
        f"SHA-256: {model.sha256}",
    ]
    return "\n".join(filter(None, lines))


def _added_files() -> list[str]:
    """Read the files that the user added, in this session or an earlier one."""
    try:
        paths = json.loads(slicer.util.settingsValue(FILES_KEY, "") or "[]")
    except ValueError:
        return []  # the settings were edited by hand
    if not isinstance(paths, list):
        return []
    return [path for path in paths if isinstance(path, str) and is_file_of_user(path)]


def _remember_files(paths: Iterable[str]) -> None:
    """Store the added files as one text: Qt would not return a list of one item as a list."""
    qt.QSettings().setValue(FILES_KEY, json.dumps(list(dict.fromkeys(paths))))


def _last_choice() -> str:
    """Read the last choice, whether that model still exists or not."""
    return str(slicer.util.settingsValue(CHOICE_KEY, "") or DEFAULT_MODEL)
