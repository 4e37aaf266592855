"""The fallback: the problem's own reference, as stored with the kernel, run in this process.

It is executed only when a call falls outside the verified domain, and only after its bytes were checked
against the certificate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from kopt.kernels.modules import import_file

Reference = Callable[[tuple[Any, ...], tuple[str, ...]], Any]
"""Called with (all arguments, names of the trailing state arguments)."""


def open_reference(problem: Mapping[str, Any], sources: Mapping[str, bytes]) -> Reference:
    """Make the reference callable.

    Args:
        problem: the certificate's ``problem``: its format and entry file.
        sources: the problem's files.
    """
    module = import_file(sources, problem["entry"], "reference")
    if problem["format"] == "kopt":
        function = module.reference

        def call_function(args: tuple[Any, ...], state: tuple[str, ...]) -> Any:
            inputs = args[: len(args) - len(state)]
            return function(*inputs, **dict(zip(state, args[len(inputs) :], strict=True)))

        wanted = getattr(module, "gradients", ())
        if not wanted:
            return call_function
        names = (wanted,) if isinstance(wanted, str) else tuple(wanted)
        return lambda args, state: _with_gradients(function, tuple(module.inputs), args, state, names)
    init = getattr(module, "get_init_inputs", list)
    model: torch.nn.Module = module.Model(*init())
    buffers = {name for name, _ in model.named_buffers()}

    def call_model(args: tuple[Any, ...], state: tuple[str, ...]) -> Any:
        """Run the model on the state given; its buffers are copied, for a forward may change them."""
        if not state:
            return model(*args)
        given = dict(zip(state, args[-len(state) :], strict=True))
        values = {name: value.clone() if name in buffers else value for name, value in given.items()}
        return torch.func.functional_call(model, values, args[: -len(state)])

    return call_model


def _with_gradients(
    function: Callable[..., Any],
    inputs: tuple[str, ...],
    args: tuple[Any, ...],
    state: tuple[str, ...],
    wanted: tuple[str, ...],
) -> Any:
    """Outputs and gradients; ``args`` are inputs, gradients of the outputs, state."""
    values = dict(zip(inputs, args[: len(inputs)], strict=True))
    values |= dict(zip(state, args[len(args) - len(state) :], strict=True))
    with torch.enable_grad():
        leaves = {name: values[name].detach().requires_grad_() for name in wanted}
        result = function(**(values | leaves))
    outputs = list(result) if isinstance(result, (tuple, list)) else [result]
    reached = [output for output in outputs if output.requires_grad]
    given = args[len(inputs) : len(args) - len(state)]
    gradients = torch.autograd.grad(reached, list(leaves.values()), given, materialize_grads=True)
    return [output.detach() for output in outputs] + list(gradients)
