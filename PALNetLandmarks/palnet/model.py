# SPDX-License-Identifier: Apache-2.0
"""The model file: atlas, weights and calibration in one ``.npz`` without pickle."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from palnet._checks import check_finite, check_points, check_transform
from palnet._files import to_path
from palnet._frozen import frozen_copy
from palnet._stored import one_line, parse_json, unpack_arrays, write_arrays
from palnet.calibration import CHECKS, Calibration
from palnet.errors import ModelFileError
from palnet.face.atlas import FaceAtlas
from palnet.network.landmarks import LandmarkPredictor
from palnet.network.layers import select
from palnet.network.paper import VARIANTS, least_points, shapes_of_palnet
from palnet.network.paper_patches import FINISHES, Finish
from palnet.network.shapes import check_landmark_network, check_pose_network, check_shapes
from palnet.scheme import Scheme, scheme_from_dict, scheme_to_dict

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = [
    "DEFAULT_MODEL",
    "Model",
    "ModelParts",
    "PaperNetwork",
    "find_model",
    "list_models",
    "read_model",
    "write_model",
]


DEFAULT_MODEL = "palnet50"
FORMAT_NAME, FORMAT_VERSION = "palnet-model", 1
MODELS_FOLDER = Path(__file__).parent / "models"
# Fields of a `PaperNetwork` that are stored in the header.
PAPER_KEYS = ("variant", "n_points", "spacing_mm", "finish")
# Tolerance for a computed rotation matrix.
RIGID_WITHIN = 1e-6


@dataclass(frozen=True, eq=False)
class PaperNetwork:
    """What one of the paper's networks needs in addition to its weights.

    Attributes
    ----------
    variant : str
        One of `palnet.network.paper.VARIANTS`.
    n_points : int
        Points of a patch.
    spacing_mm : float
        Spacing of the points sampled on the surface.
    finish : str
        One of `palnet.network.paper_patches.FINISHES`.
    means_mm : ndarray of shape (n_landmarks, 3)
        Mean landmarks of the training subjects, in the training frame.
    frame_from_face : ndarray of shape (4, 4)
        Rotation and translation from the face frame, without the scale of the pose, to the training
        frame; the identity if that is the face frame.
    """

    variant: str
    n_points: int
    spacing_mm: float
    finish: Finish
    means_mm: NDArray[np.float64]
    frame_from_face: NDArray[np.float64]

    def __post_init__(self) -> None:
        """Check everything that does not need the weights, and freeze the arrays."""
        if self.variant not in VARIANTS or self.finish not in FINISHES:
            msg = f"network {self.variant!r} with finish {self.finish!r} is unknown"
            raise ValueError(msg)
        if self.n_points < least_points(self.variant):
            msg = f"n_points must last through all poolings; got {self.n_points}"
            raise ValueError(msg)
        if not 0 < self.spacing_mm < math.inf:
            msg = f"spacing_mm must be above 0; got {self.spacing_mm!r}"
            raise ValueError(msg)
        check_points(self.means_mm, name="means_mm")
        check_finite(self.means_mm, name="means_mm")
        check_transform(self.frame_from_face, name="frame_from_face")
        turn = self.frame_from_face[:3, :3]
        if np.abs(turn @ turn.T - np.eye(3)).max() > RIGID_WITHIN or np.linalg.det(turn) < 0:
            msg = "frame_from_face must turn and shift, neither scale nor mirror"
            raise ValueError(msg)
        for name in ("means_mm", "frame_from_face"):
            object.__setattr__(self, name, frozen_copy(getattr(self, name)))


@dataclass(frozen=True, eq=False, kw_only=True)
class ModelParts:
    """What a model file holds.

    Attributes
    ----------
    scheme : Scheme
        The landmarks it places.
    atlas : FaceAtlas
        The starting positions; stored in half precision where that costs less than 0.01 mm.
    weights : mapping of str to ndarray
        Networks, with the prefixes ``pose_coarse.``, ``pose_fine.`` and ``landmarks.``; stored in
        the precision they come in.
    calibration : Calibration
        From spread to expected error.
    metadata : dict
        Training data, licence, measured accuracy, versions: anything that JSON can hold.
    paper : PaperNetwork, optional
        Present if ``landmarks`` is one of the paper's networks, not of the shipped kind.
    """

    scheme: Scheme
    atlas: FaceAtlas
    weights: Mapping[str, NDArray[np.floating]]
    calibration: Calibration
    metadata: dict[str, Any]
    paper: PaperNetwork | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class Model(ModelParts):
    """A model that was read: everything a detection needs.

    Attributes
    ----------
    name : str
        The name it is listed under.
    path : Path
        The file it was read from.
    sha256 : str
        Hash of the file.
    weights : dict of str to ndarray
        As in the file, in single precision.
    """

    name: str
    path: Path
    sha256: str
    weights: dict[str, NDArray[np.float32]]

    @property
    def uses_color(self) -> bool:
        """Whether the color of a scan has a say in what the model places.

        Not in that of a model fitted to a lab's annotated scans: it follows its annotators, of whom
        the network for photographs knows nothing.
        """
        return self.calibration.is_for_unseen_source

    def network(self, name: str) -> dict[str, NDArray[np.float32]]:
        """Weights of one network, without the prefix."""
        return select(self.weights, name)

    @property
    def landmark_predictor(self) -> LandmarkPredictor:
        """The landmark network of the shipped kind, for models without one of the paper's."""
        return LandmarkPredictor(self.network("landmarks"), self.scheme.mirror)


def write_model(path: str | os.PathLike[str], parts: ModelParts) -> None:
    """Write a model file.

    Parameters
    ----------
    path : path-like
        The file; an existing one is replaced as a whole.
    parts : ModelParts
        What it holds.
    """
    calibration, paper = parts.calibration, parts.paper
    arrays: dict[str, Any] = {f"network.{name}": weight for name, weight in parts.weights.items()}
    arrays |= {f"atlas.{name}": array for name, array in parts.atlas.to_arrays().items()}
    arrays["calibration.factor"] = calibration.factor
    header: dict[str, Any] = {
        "format": FORMAT_NAME,
        "format_version": FORMAT_VERSION,
        "scheme": scheme_to_dict(parts.scheme),
        # JSON has no infinity; an absent number is read as infinite.
        "calibration": {n: v for n in CHECKS if math.isfinite(v := getattr(calibration, n))},
        "metadata": parts.metadata,
    }
    if paper is not None:
        arrays["paper.means_mm"] = paper.means_mm
        arrays["paper.frame_from_face"] = paper.frame_from_face
        header["paper"] = {name: getattr(paper, name) for name in PAPER_KEYS}
    arrays["header"] = np.array(json.dumps(header))
    write_arrays(Path(path), arrays, compressed=True)


def list_models() -> list[Model]:
    """Read all models that ship with palnet.

    Returns
    -------
    list of Model
        Sorted by name.
    """
    return [read_model(path) for path in sorted(MODELS_FOLDER.glob("*.npz"))]


def read_model(name_or_path: str | os.PathLike[str] | None = None) -> Model:
    """Read a model, by the name of a shipped one or by path; again only if its file has changed.

    Parameters
    ----------
    name_or_path : str or path-like, optional
        The shipped default model if not given.

    Returns
    -------
    Model
        The model, which others may use as well: do not change it.

    Raises
    ------
    ModelFileError
        If there is no such model, or the file is damaged or of another version.
    """
    path = find_model(name_or_path)
    changed = path.stat()
    return _read_model(path, changed.st_mtime_ns, changed.st_size)


@lru_cache(maxsize=4)
def _read_model(path: Path, changed_ns: int, size: int) -> Model:  # noqa: ARG001  # the cache's key
    """Read a model; the arguments change, and so miss the cache, when its file does."""
    try:
        data = path.read_bytes()
        arrays = unpack_arrays(data)
        header = parse_json(str(arrays.pop("header")))
    except (OSError, ValueError, KeyError) as err:
        msg = f"{path}: not a palnet model ({one_line(err)}). Get the file again, or train one."
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
    except (KeyError, ValueError, TypeError, AttributeError, OverflowError) as err:
        msg = (
            f"{path}: the model is incomplete ({one_line(err)}). Get the file again, or train one."
        )
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
        If there is none; the message names the shipped ones.
    """
    given = DEFAULT_MODEL if name_or_path is None else name_or_path
    path = to_path(given, name="model", error=ModelFileError)
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
    """Build a model from the parts of its file."""
    if not isinstance(header["metadata"], dict):
        msg = f"metadata must be an object; got {header['metadata']!r:.40}"
        raise TypeError(msg)
    parts: dict[str, dict[str, NDArray[Any]]] = {
        name: {} for name in ("network", "atlas", "calibration", "paper")
    }
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
        paper=_read_paper_network(header["paper"], parts["paper"]) if "paper" in header else None,
    )
    _check_parts(model)
    return model


def _read_paper_network(row: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> PaperNetwork:
    """Extract what one of the paper's networks needs."""
    return PaperNetwork(
        variant=row["variant"],
        n_points=int(row["n_points"]),
        spacing_mm=float(row["spacing_mm"]),
        finish=row["finish"],
        means_mm=arrays["means_mm"],
        frame_from_face=arrays["frame_from_face"],
    )


def _check_parts(model: Model) -> None:
    """Require that scheme, atlas, calibration and networks fit together."""
    n_landmarks = len(model.scheme)
    lengths = {"calibration factors": len(model.calibration.factor)}
    if model.paper is None:
        lengths["atlas landmarks"] = len(model.atlas.landmark_mean_mm)
        lengths["network landmarks"] = len(model.weights["landmarks.landmark"])
        check_landmark_network(model.network("landmarks"), n_landmarks, name="landmarks")
    else:
        lengths["mean landmarks"] = len(model.paper.means_mm)
        shapes = shapes_of_palnet(model.paper.variant, n_landmarks, model.paper.n_points)
        check_shapes(model.network("landmarks"), shapes, name="landmarks")
    for name, length in lengths.items():
        if length != n_landmarks:
            msg = f"{length} {name} for the {n_landmarks} landmarks of scheme {model.scheme.name}"
            raise ValueError(msg)
    for name in ("pose_coarse", "pose_fine"):
        check_pose_network(model.network(name), name=name)
    for name, weight in model.weights.items():
        check_finite(weight, name=name)
