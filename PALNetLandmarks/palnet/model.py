# SPDX-License-Identifier: Apache-2.0
"""The model file: atlas, weights and calibration in one ``.npz`` without pickle."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from palnet._checks import check_finite, frozen_copy
from palnet._files import replacing
from palnet.errors import ModelFileError
from palnet.face.atlas import FaceAtlas
from palnet.network.layers import select
from palnet.scheme import Scheme, scheme_from_dict, scheme_to_dict

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

__all__ = [
    "DEFAULT_MODEL",
    "Calibration",
    "Model",
    "find_model",
    "list_models",
    "read_model",
    "write_model",
]

DEFAULT_MODEL = "palnet50"
FORMAT_NAME, FORMAT_VERSION = "palnet-model", 1
MODELS_FOLDER = Path(__file__).parent / "models"


# Of distances whose three axes err alike; for files written before it was fitted.
DEFAULT_NINETY = 1.7


@dataclass(frozen=True, eq=False)
class Calibration:
    """From the network's spread to an expected error: ``factor[landmark] * spread ** power``.

    Convention: both in millimetres of the face frame, where every face has adult size.

    Attributes
    ----------
    factor : ndarray of shape (n_landmarks,)
        One factor a landmark.
    power : float
        The same for all landmarks.
    min_visibility : float
        Landmarks whose predicted visibility is lower are called missing.
    ninety : float
        Nine of ten errors are below this times the expected one.
    """

    factor: NDArray[np.float64]
    power: float
    min_visibility: float
    ninety: float = DEFAULT_NINETY

    def __post_init__(self) -> None:
        """Check and freeze the factors."""
        check_finite(np.asarray(self.factor), name="factor")
        object.__setattr__(self, "factor", frozen_copy(self.factor))

    def expected_error_mm(self, spread_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Expected error in mm for each landmark's spread."""
        return np.asarray(self.factor * spread_mm**self.power)


@dataclass(frozen=True, eq=False)
class Model:
    """Everything a detection needs.

    Attributes
    ----------
    name : str
        Name it is listed under.
    path : Path
        Where it was read from.
    sha256 : str
        Hash of the file.
    scheme : Scheme
        The landmarks it places.
    atlas : FaceAtlas
        Where to start.
    weights : dict of str to ndarray
        Networks, with the prefixes ``pose_coarse.``, ``pose_fine.`` and ``landmarks.``.
    calibration : Calibration
        From spread to expected error.
    metadata : dict
        Training data, licence, measured accuracy, versions.
    """

    name: str
    path: Path
    sha256: str
    scheme: Scheme
    atlas: FaceAtlas
    weights: dict[str, NDArray[np.float32]]
    calibration: Calibration
    metadata: dict[str, Any]

    def network(self, name: str) -> dict[str, NDArray[np.float32]]:
        """Weights of one network, without the prefix."""
        return select(self.weights, name)


def write_model(
    path: str | os.PathLike[str],
    *,
    scheme: Scheme,
    atlas: FaceAtlas,
    weights: dict[str, NDArray[np.float32]],
    calibration: Calibration,
    metadata: dict[str, Any],
) -> None:
    """Write a model file.

    Parameters
    ----------
    path : path-like
        Where; an existing file is replaced as a whole.
    scheme : Scheme
        The landmarks it places.
    atlas : FaceAtlas
        Kept in half precision where that costs less than 0.01 mm.
    weights : dict of str to ndarray
        The networks.
    calibration : Calibration
        From spread to expected error.
    metadata : dict
        Anything JSON can hold.
    """
    arrays: dict[str, Any] = {f"network.{name}": weight for name, weight in weights.items()}
    arrays |= {f"atlas.{name}": array for name, array in atlas.to_arrays().items()}
    arrays["calibration.factor"] = calibration.factor
    header = {
        "format": FORMAT_NAME,
        "format_version": FORMAT_VERSION,
        "scheme": scheme_to_dict(scheme),
        "calibration": {
            "power": calibration.power,
            "min_visibility": calibration.min_visibility,
            "ninety": calibration.ninety,
        },
        "metadata": metadata,
    }
    arrays["header"] = np.array(json.dumps(header))
    # Into a stream: to a path without the suffix numpy adds it and writes beside the draft.
    with replacing(Path(path), overwrite=True) as draft, draft.open("wb") as stream:
        np.savez_compressed(stream, **arrays)


def list_models() -> list[Model]:
    """Read every model that comes with palnet.

    Returns
    -------
    list of Model
        In the order of their names.
    """
    return [read_model(path) for path in sorted(MODELS_FOLDER.glob("*.npz"))]


def read_model(name_or_path: str | os.PathLike[str] | None = None) -> Model:
    """Read a model by the name of a shipped one or by its path.

    Parameters
    ----------
    name_or_path : str or path-like, optional
        The shipped default model if not given.

    Returns
    -------
    Model
        The model.

    Raises
    ------
    ModelFileError
        If there is no such model, or the file is damaged or of another version.
    """
    path = find_model(name_or_path)
    try:
        data = path.read_bytes()
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
        header = json.loads(str(arrays.pop("header")))
    except Exception as err:  # a damaged archive raises nearly anything
        msg = f"{path}: not a palnet model ({err}). Get the file again, or train one."
        raise ModelFileError(msg) from err
    found = (header.get("format"), header.get("format_version")) if isinstance(header, dict) else ()
    if found != (FORMAT_NAME, FORMAT_VERSION):
        msg = (
            f"{path}: a file of format {found}; this palnet reads {FORMAT_NAME} "
            f"{FORMAT_VERSION}. Use a model of the same release, or train one."
        )
        raise ModelFileError(msg)
    try:
        return _assemble(path, hashlib.sha256(data).hexdigest(), arrays, header)
    except (KeyError, ValueError, TypeError) as err:
        msg = f"{path}: the model is incomplete ({err}). Get the file again, or train one."
        raise ModelFileError(msg) from err


def find_model(name_or_path: str | os.PathLike[str] | None = None) -> Path:
    """Find the file of a model.

    Parameters
    ----------
    name_or_path : str or path-like, optional
        Name of a shipped model, or a path; the default model if not given.

    Returns
    -------
    Path
        An existing file.

    Raises
    ------
    ModelFileError
        If there is none; the text names the shipped ones.
    """
    path = Path(DEFAULT_MODEL if name_or_path is None else name_or_path)
    shipped = MODELS_FOLDER / f"{path.name}.npz"
    if path.parent == Path() and not path.suffix and shipped.is_file():
        return shipped
    if path.is_file():
        return path
    names = ", ".join(sorted(p.stem for p in MODELS_FOLDER.glob("*.npz"))) or "none"
    msg = f"no model '{path}'. Give a file, or one of the shipped models: {names}."
    raise ModelFileError(msg)


def _assemble(
    path: Path, sha256: str, arrays: dict[str, NDArray[Any]], header: dict[str, Any]
) -> Model:
    """Put the parts of a model file together."""
    parts: dict[str, dict[str, NDArray[Any]]] = {"network": {}, "atlas": {}, "calibration": {}}
    for key, array in arrays.items():
        part, name = key.split(".", maxsplit=1)
        parts[part][name] = array
    model = Model(
        name=path.stem,
        path=path,
        sha256=sha256,
        scheme=scheme_from_dict(header["scheme"]),
        atlas=FaceAtlas.from_arrays(parts["atlas"]),
        weights={name: frozen_copy(w, np.float32) for name, w in parts["network"].items()},
        calibration=Calibration(parts["calibration"]["factor"], **header["calibration"]),
        metadata=header["metadata"],
    )
    _check_parts(model)
    return model


def _check_parts(model: Model) -> None:
    """Require that scheme, atlas, calibration and networks fit together."""
    n_landmarks = len(model.scheme)
    lengths = {
        "atlas landmarks": len(model.atlas.landmark_mean_mm),
        "calibration factors": len(model.calibration.factor),
        "network landmarks": len(model.weights["landmarks.landmark"]),
    }
    for name, length in lengths.items():
        if length != n_landmarks:
            msg = f"{length} {name} for the {n_landmarks} landmarks of scheme {model.scheme.name}"
            raise ValueError(msg)
    for name in ("pose_coarse.out.weight", "pose_fine.out.weight", "landmarks.out.weight"):
        if name not in model.weights:
            raise KeyError(name)
    for name, weight in model.weights.items():
        check_finite(weight, name=name)
