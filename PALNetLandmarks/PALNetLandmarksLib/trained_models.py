# SPDX-License-Identifier: Apache-2.0
"""Trained models for detection: those that come with the module, and the user's files."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from slicer.i18n import tr as _

from palnet.errors import ModelFileError
from palnet.model import DEFAULT_MODEL, MODELS_FOLDER, read_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from palnet.scheme import Scheme


class ModelGoneError(ModelFileError):
    """The file of the chosen model no longer exists; the message is its path."""


@dataclass(frozen=True)
class TrainedModel:
    """What the panel needs to know about a loaded model, without its weights.

    Attributes
    ----------
    choice : str
        Name of a shipped model, or path of a file.
    scheme : Scheme
        Its landmarks.
    sha256 : str
        Hash of the file.
    source : str
        The maker's description of the training faces; empty if there is none.
    """

    choice: str
    scheme: Scheme
    sha256: str
    source: str


def shipped_models() -> list[str]:
    """List the models that come with the module.

    Returns
    -------
    list of str
        Their names, the default one first.
    """
    names = sorted(path.stem for path in MODELS_FOLDER.glob("*.npz"))
    return sorted(names, key=lambda name: name != DEFAULT_MODEL)


def is_file_of_user(choice: str) -> bool:
    """Distinguish a file from the name of a shipped model.

    Parameters
    ----------
    choice : str
        As `TrainedModel.choice`.

    Returns
    -------
    bool
        True for a path.
    """
    return Path(choice).is_absolute()


def names_of(choices: Sequence[str]) -> list[str]:
    """Name models for a selector; files of the same name get their folders.

    Parameters
    ----------
    choices : sequence of str
        As `TrainedModel.choice`.

    Returns
    -------
    list of str
        One name per model.
    """
    stems = [Path(choice).stem if is_file_of_user(choice) else choice for choice in choices]
    counts = Counter(stems)
    return [
        f"{stem} ({Path(choice).parent})" if counts[stem] > 1 and is_file_of_user(choice) else stem
        for choice, stem in zip(choices, stems, strict=True)
    ]


def read_trained_model(choice: str) -> TrainedModel:
    """Read a complete model, so that a damaged one is found before use.

    Safe in a worker thread, since files may be large or remote: no access to scene or widgets.

    Parameters
    ----------
    choice : str
        As `TrainedModel.choice`.

    Returns
    -------
    TrainedModel
        What the panel needs to know about it.

    Raises
    ------
    ModelFileError
        If the file is gone, damaged or of another version.
    """
    check_is_there(choice)
    model = read_model(choice)
    source = model.metadata.get("source")
    return TrainedModel(
        choice, model.scheme, model.sha256, source if isinstance(source, str) else ""
    )


def check_is_there(choice: str) -> None:
    """Check that a chosen file still exists.

    Parameters
    ----------
    choice : str
        As `TrainedModel.choice`; shipped models exist.

    Raises
    ------
    ModelGoneError
        If there is no such file; `in_words` adds the text, since threads do not translate.
    """
    if is_file_of_user(choice) and not _is_file(Path(choice)):
        raise ModelGoneError(choice)


def _is_file(path: Path) -> bool:
    """Return whether a path is a file; False if its drive is out of reach."""
    try:
        return path.is_file()
    except OSError:
        return False


def in_words(error: Exception) -> Exception:
    """Translate an error from a worker thread to the user's language; call it on the main thread.

    Parameters
    ----------
    error : Exception
        The error of a job.

    Returns
    -------
    Exception
        The same error, or one that says what to do.
    """
    if isinstance(error, ModelGoneError):
        msg = _("The model file {path} is not there. Put it back, or choose another trained model.")
        return ModelFileError(msg.format(path=Path(str(error)).as_posix()))
    return error
