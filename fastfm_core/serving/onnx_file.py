"""An ONNX file in the making: operators, constants, inputs and outputs by name, and the writing of it.

Operators are those of the standard's own domain. Weights of more than 1 GiB go to a second file, NAME.data beside NAME,
for a protobuf message ends at 2 GiB; they are then written array by array, without a copy of the whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

import fastfm_core
from fastfm_core.errors import InputError
from fastfm_core.files import whole_file

OPSET, IR_VERSION = 18, 8  # ONNX 1.13, of December 2022: the first with the largest of scattered numbers
LARGEST = 1 << 30  # bytes of weights that stay within the file
SMALL = 1 << 10  # bytes of an array that stays in any case: shapes are inferred from such
PAGE = 1 << 12  # where an array of the second file begins, so that it can be mapped
INT64, FLOAT, BOOL, INT32 = 7, 1, 9, 6  # the standard's numbers of types


def require_onnx() -> Any:
    """The onnx module; InputError naming the mend where it is not installed."""
    try:
        import onnx
    except ModuleNotFoundError:
        raise InputError("exporting to ONNX needs the package onnx: pip install 'fastfm-core[onnx]'") from None
    return onnx


class OnnxFile:
    """Values are known by their names, which most methods return.

    batch  of [1] B, set by whoever declares the inputs
    """

    batch: str

    def __init__(self) -> None:
        self.onnx = require_onnx()
        self.nodes: list[Any] = []
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []
        self.arrays: dict[str, np.ndarray] = {}
        self._known: dict[tuple[Any, ...], str] = {}

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """The one output of an operator; the same operator on the same inputs is there once."""
        key = kind, inputs, str(attributes)
        if key not in self._known:
            name = self._known[key] = f"{kind}_{len(self.nodes)}"
            self.nodes.append(self.onnx.helper.make_node(kind, list(inputs), [name], name, **attributes))
        return self._known[key]

    def constant(self, array: Any, name: str = "") -> str:
        """An array, whose numbers become float32, or int64 where they are whole; equal small ones are one."""
        array = np.asarray(array)
        if array.dtype != bool:
            array = array.astype(np.float32 if array.dtype.kind == "f" else np.int64, copy=False)
        key = (array.dtype, array.shape, array.tobytes()) if array.nbytes < SMALL else (id(array),)
        if key not in self._known:
            self._known[key] = name or f"constant_{len(self.arrays)}"
            self.arrays[self._known[key]] = array
        return self._known[key]

    def filled(self, shape: str, number: float) -> str:
        """An array of that shape, a value itself; int64 where the number is an int."""
        kind = INT64 if isinstance(number, int) else FLOAT
        return self.op("ConstantOfShape", shape, value=self.onnx.helper.make_tensor("value", kind, [1], [number]))

    def shape(self, *lengths: int | str) -> str:
        """A shape: of known lengths, and of those that are values themselves, [1] each."""
        parts = [self.constant([length]) if isinstance(length, int) else length for length in lengths]
        return self.op("Concat", *parts, axis=0) if len(parts) > 1 else parts[0]

    def samples(self, *lengths: int) -> str:
        """The shape of so many numbers for each sample."""
        return self.shape(self.batch, *lengths)

    def reshape(self, x: str, *lengths: int) -> str:
        """The numbers of each sample in this shape."""
        return self.op("Reshape", x, self.samples(*lengths), allowzero=1)

    def reduce(self, how: str, x: str, *axes: int) -> str:
        """Sum, Mean or Max over these axes, which are gone then."""
        return self.op(f"Reduce{how}", x, self.constant(axes), keepdims=0)

    def take(self, x: str, places: Any, axis: int) -> str:
        """Known places of an axis; of a single one, the axis is gone then."""
        return self.op("Gather", x, self.constant(places), axis=axis)

    def cut(self, x: str, begin: int, end: int, axis: int = 0) -> str:
        return self.op("Slice", x, *(self.constant([number]) for number in (begin, end, axis)))

    def input(self, name: str, kind: int, *lengths: int | str) -> str:
        self.inputs.append(self.onnx.helper.make_tensor_value_info(name, kind, lengths))
        return name

    def output(self, name: str, value: str, *lengths: int | str) -> None:
        """Names a value as an output of the file, float32."""
        self.nodes.append(self.onnx.helper.make_node("Identity", [value], [name], name))
        self.outputs.append(self.onnx.helper.make_tensor_value_info(name, FLOAT, lengths))

    def save(self, path: str | Path, name: str, metadata: Mapping[str, str]) -> None:
        """Writes the file, or the two of them, whole or not at all."""
        helper, read = self.onnx.helper, {name for node in self.nodes for name in node.input}
        self.arrays = {name: array for name, array in self.arrays.items() if name in read}
        apart = sum(array.nbytes for array in self.arrays.values()) > LARGEST
        with ExitStack() as stack:
            place = stack.enter_context(whole_file(path))
            beside = stack.enter_context(whole_file(f"{path}.data")) if apart else None
            weights = self._apart(beside, f"{Path(path).name}.data") if beside else self._within()
            graph = helper.make_graph(self.nodes, name, self.inputs, self.outputs, weights)
            model = helper.make_model(
                graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION,
                producer_name="fastfm_core", producer_version=fastfm_core.__version__,
            )  # fmt: skip
            helper.set_model_props(model, dict(metadata))
            place.write_bytes(model.SerializeToString())

    def _within(self) -> list[Any]:
        return [self.onnx.numpy_helper.from_array(array, name) for name, array in self.arrays.items()]

    def _apart(self, place: Path, location: str) -> list[Any]:
        """The small ones, and what says where the others are."""
        weights = []
        with open(place, "wb") as file:
            for name, array in self.arrays.items():
                if array.nbytes < SMALL:
                    weights.append(self.onnx.numpy_helper.from_array(array, name))
                    continue
                file.write(bytes(-file.tell() % PAGE))
                tensor = self.onnx.TensorProto(name=name, dims=array.shape, data_location=1)
                tensor.data_type = {"f": FLOAT, "i": INT64, "b": BOOL}[array.dtype.kind]
                for key, told in {"location": location, "offset": file.tell(), "length": array.nbytes}.items():
                    tensor.external_data.add(key=key, value=str(told))
                file.write(np.ascontiguousarray(array).data)
                weights.append(tensor)
        return weights
