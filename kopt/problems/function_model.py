"""A plain ``reference`` function dressed as a module, so that tracing, state and precision work alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch


class FunctionModel(torch.nn.Module):
    """Calls ``reference`` with positional inputs and, by name, the state tensors it holds as buffers."""

    def __init__(
        self, reference: Callable[..., Any], inputs: Sequence[str], state: Mapping[str, Any]
    ) -> None:
        super().__init__()
        self.reference = reference
        self.input_names = tuple(inputs)
        self.state_names = tuple(state)
        for name, value in state.items():
            self.register_buffer(name, value)

    def forward(self, *args: Any) -> Any:
        """The reference's result, as it returns it."""
        state = {name: getattr(self, name) for name in self.state_names}
        return self.reference(**dict(zip(self.input_names, args, strict=True)), **state)
