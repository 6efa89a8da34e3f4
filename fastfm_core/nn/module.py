"""Module: something with parameters, buffers and submodules, found among its attributes in the order they were set."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from fastfm_core.autograd import Tensor
from fastfm_core.backends.memory import copy_in, to_host
from fastfm_core.errors import InputError


class Module:
    """Base of layers and models.

    A Tensor attribute that requires a gradient is a parameter, an array is a buffer (saved but not trained) unless its
    name begins with _, a Module or a list of Modules is below it. ``training`` and ``step`` are set on a module and all
    below it.
    """

    training = True
    step = 0
    tables: tuple[str, ...] = ()  # names of its own parameters that are looked up by row

    forward: Callable[..., Any]

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        return self.forward(*inputs, **options)

    def modules(self) -> Iterator[tuple[str, Module]]:
        """(path, module) of this module ("") and all below it."""
        yield "", self
        for name, child in self._children():
            for path, module in child.modules():
                yield f"{name}.{path}".rstrip("."), module

    def named_tensors(self) -> Iterator[tuple[str, Tensor]]:
        """(path, tensor) of every tensor, trained or frozen; one that is shared goes by its first path."""
        seen: set[int] = set()
        for path, module in self.modules():
            for name, value in vars(module).items():
                if isinstance(value, Tensor) and id(value) not in seen:
                    seen.add(id(value))
                    yield f"{path}.{name}".lstrip("."), value

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """(path, tensor) of everything that is trained."""
        return ((path, tensor) for path, tensor in self.named_tensors() if tensor.requires_grad)

    def parameters(self) -> list[Tensor]:
        """Everything that is trained."""
        return [tensor for _, tensor in self.named_parameters()]

    def state_dict(self) -> dict[str, np.ndarray]:
        """Tensors and buffers by path, tables brought to the present; the arrays themselves, copies where they are on a
        device."""
        self._catch_up()
        return {path: to_host(array) for path, array in self._arrays().items()}

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Copy values into tensors and buffers. Names and shapes must agree; nothing is changed if they do not."""
        self._catch_up()
        own = self._arrays()
        _require_fit(own, state)
        to_device = next((tensor.backend.to_device for _, tensor in self.named_tensors()), np.asarray)
        for name, array in own.items():
            copy_in(array, state, name, to_device)
        for _, tensor in self.named_tensors():
            tensor.version += 1

    def adopt_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Like ``load_state_dict``, but the arrays themselves become the model's: mapped files are read where they lie.

        For a backend on the host. Where the arrays are read-only the model predicts and cannot be trained.
        """
        _require_fit(self._arrays(), state)
        for path, tensor in self.named_tensors():
            tensor.data = state[path]
            tensor.version += 1
        for path, module in self.modules():
            for name, value in list(vars(module).items()):
                if isinstance(value, np.ndarray) and not name.startswith("_"):
                    setattr(module, name, state[f"{path}.{name}".lstrip(".")])

    def train(self) -> None:
        """Dropout drops, batch norm uses the batch's statistics."""
        self._set("training", True)

    def eval(self) -> None:
        """Dropout passes, batch norm uses its running statistics."""
        self._set("training", False)

    def begin_step(self, step: int) -> None:
        """Name the training step: dropout draws depend on it and on the seed alone."""
        self._set("step", step)

    def _children(self) -> Iterator[tuple[str, Module]]:
        """(name, module) of those directly below it; one in a list is called by the list's name and its position."""
        for name, value in vars(self).items():
            if isinstance(value, Module):
                yield name, value
            elif isinstance(value, list):
                yield from ((f"{name}.{n}", child) for n, child in enumerate(value) if isinstance(child, Module))

    def _catch_up(self) -> None:
        for tensor in self.parameters():
            if tensor.behind is not None:
                tensor.behind()

    def _arrays(self) -> dict[str, Any]:
        """Tensors' arrays and buffers by path, wherever they are."""
        arrays = {path: tensor.data for path, tensor in self.named_tensors()}
        for path, module in self.modules():
            for name, value in vars(module).items():
                if not name.startswith("_") and (
                    isinstance(value, np.ndarray) or hasattr(value, "__cuda_array_interface__")
                ):
                    arrays[f"{path}.{name}".lstrip(".")] = value
        return arrays

    def _set(self, attribute: str, value: Any) -> None:
        setattr(self, attribute, value)
        for _, child in self._children():
            child._set(attribute, value)


def _require_fit(own: Mapping[str, Any], state: Mapping[str, np.ndarray]) -> None:
    """InputError where names or shapes differ."""
    if own.keys() != state.keys():
        wrong = sorted(own.keys() ^ state.keys())
        raise InputError(f"the saved state does not fit this model: {', '.join(wrong)} on one side only")
    for name, array in own.items():
        if array.shape != state[name].shape:
            raise InputError(f"the saved {name} has shape {state[name].shape}, this model's {array.shape}")
