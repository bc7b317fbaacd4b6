# SPDX-License-Identifier: Apache-2.0
"""Trained models to detect with: those that come with the module, and files of the user."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from slicer.i18n import tr as _

from palnet.errors import ModelFileError
from palnet.model import DEFAULT_MODEL, MODELS_FOLDER, read_model
from palnet.scheme import Scheme


class ModelGoneError(ModelFileError):
    """The file of a model that was chosen is no longer there; its text is the path."""


@dataclass(frozen=True)
class TrainedModel:
    """What the panel has to know of a model that was read, without its weights.

    Attributes
    ----------
    choice : str
        Name of a shipped model, or path of a file.
    scheme : Scheme
        The landmarks that it places.
    sha256 : str
        Hash of the file.
    source : str
        What its maker says of the faces that it was trained on; empty where he says nothing.
    """

    choice: str
    scheme: Scheme
    sha256: str
    source: str


def shipped_models():
    """List the models that come with the module.

    Returns
    -------
    list of str
        Their names, the default one first.
    """
    names = sorted(path.stem for path in MODELS_FOLDER.glob("*.npz"))
    return sorted(names, key=lambda name: name != DEFAULT_MODEL)


def is_file_of_user(choice):
    """Tell a file from the name of a shipped model.

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


def names_of(choices):
    """Name models for a list to choose from; of files of one name, with their folders.

    Parameters
    ----------
    choices : sequence of str
        As `TrainedModel.choice`.

    Returns
    -------
    list of str
        A name each.
    """
    stems = [Path(choice).stem if is_file_of_user(choice) else choice for choice in choices]
    counts = Counter(stems)
    return [
        f"{stem} ({Path(choice).parent})" if counts[stem] > 1 and is_file_of_user(choice) else stem
        for choice, stem in zip(choices, stems, strict=True)
    ]


def read_trained_model(choice):
    """Read a model whole, so that a damaged one is found before it is used.

    It touches neither scene nor widgets, for a thread of its own: files may be large or far away.

    Parameters
    ----------
    choice : str
        As `TrainedModel.choice`.

    Returns
    -------
    TrainedModel
        What the panel has to know of it.

    Raises
    ------
    ModelFileError
        If the file is gone, damaged or of another version.
    """
    check_is_there(choice)
    model = read_model(choice)
    source = model.metadata.get("source") if isinstance(model.metadata, dict) else None
    return TrainedModel(
        choice, model.scheme, model.sha256, source if isinstance(source, str) else ""
    )


def check_is_there(choice):
    """Require a file that was chosen to be there still.

    Parameters
    ----------
    choice : str
        As `TrainedModel.choice`; shipped models are there.

    Raises
    ------
    ModelGoneError
        If there is no such file; for `in_words` to say it, since threads do not translate.
    """
    if is_file_of_user(choice) and not Path(choice).is_file():
        raise ModelGoneError(choice)


def in_words(error):
    """Say in the user's language what a thread has raised; for the main thread.

    Parameters
    ----------
    error : Exception
        What stopped a job.

    Returns
    -------
    Exception
        The same, or one that says what to do.
    """
    if isinstance(error, ModelGoneError):
        msg = _("The model file {path} is not there. Put it back, or choose another trained model.")
        return ModelFileError(msg.format(path=Path(str(error)).as_posix()))
    return error
