"""A plain ``reference`` function dressed as a module, so that tracing, state and precision work alike.

With its backward pass, where a problem declares gradients, it is a module as well: one with more arguments and results.
"""

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


class GradientModel(FunctionModel):
    """A reference and its backward pass.

    Takes the inputs and, behind them, a gradient for each differentiable output; returns the outputs and, behind them,
    the gradients of ``wanted`` (inputs or state), zeros where nothing depends on one.
    """

    def __init__(
        self,
        reference: Callable[..., Any],
        inputs: Sequence[str],
        state: Mapping[str, Any],
        wanted: Sequence[str],
    ) -> None:
        super().__init__(reference, inputs, state)
        self.wanted = tuple(wanted)

    def forward(self, *args: Any) -> Any:
        """Outputs and gradients, in one list."""
        count = len(self.input_names)
        outputs, leaves = self.differentiable(*args[:count])
        reached = [output for output in outputs if output.requires_grad]
        gradients = torch.autograd.grad(reached, leaves, args[count:], materialize_grads=True)
        return [output.detach() for output in outputs] + list(gradients)

    def differentiable(self, *inputs: Any) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """The reference's outputs as functions of ``wanted``, and those."""
        values = dict(zip(self.input_names, inputs, strict=True))
        values |= {name: getattr(self, name) for name in self.state_names}
        with torch.enable_grad():
            leaves = {name: values[name].detach().requires_grad_() for name in self.wanted}
            result = self.reference(**(values | leaves))
        return list(result) if isinstance(result, (tuple, list)) else [result], list(leaves.values())
