"""Describe a reference as a plain JSON graph of ATen operations.

Runs inside the sandbox, beside the reference (`Evaluator.invoke("kopt.agents.offline.trace:trace", {})`); the
host only ever reads the JSON, through :mod:`kopt.agents.offline.graph`. Composite operators (softmax,
layer_norm, conv2d, ...) are kept whole: torch.export's training IR, or make_fx before dispatch where the
reference cannot be exported.
"""

from __future__ import annotations

import math
from typing import Any

MAX_CONSTANT = 4096
"""Elements of a tensor constant that is neither input nor state and may still be baked into a kernel."""


def trace(handle: Any, *, workload: int = 0, seed: int = 0, smoke: bool = False) -> dict[str, Any]:
    """Trace one workload of the problem behind ``handle``.

    Args:
        handle: an inside problem (it is asked to ``select``) or an instance with ``model`` and ``inputs``.
        workload: which workload to trace.
        seed: seed for the example inputs; no value of theirs enters the graph.
        smoke: trace the smallest variant, which tells axes that vary from constants.

    Returns:
        The graph as JSON values, or ``{"error": why}`` when the reference cannot be traced.
    """
    import torch

    instance = handle.select(workload, seed, smoke=smoke) if hasattr(handle, "select") else handle
    model, inputs = instance.model, tuple(instance.inputs(seed, "declared"))
    state = list(instance.state())
    names = [argument.name for argument in instance.spec().arguments]
    if not isinstance(model, torch.nn.Module):
        model = _as_module(model)
    failures = []
    for way in (_export, _make_fx):
        try:
            with torch.no_grad():
                graph, parameters, outputs = way(model, inputs)
            return _to_json(graph, parameters, outputs, names, state, inputs, way.__name__.lstrip("_"))
        except Exception as error:  # the reference is free to do anything a tracer cannot follow
            text = str(error).strip()
            failures.append(
                f"{way.__name__.lstrip('_')}: {type(error).__name__}: {text.splitlines()[0] if text else ''}"
            )
    return {"error": "; ".join(failures)[:2000]}


def _as_module(function: Any) -> Any:
    import torch

    class Wrapped(torch.nn.Module):
        def forward(self, *args: Any) -> Any:
            return function(*args)

    return Wrapped()


def _export(model: Any, inputs: tuple[Any, ...]) -> tuple[Any, dict[str, Any], list[str]]:
    """Graph, placeholder name -> (role, target or value), names of the user's outputs."""
    import torch

    program = torch.export.export(model, inputs)
    found: dict[str, Any] = {}
    for spec in program.graph_signature.input_specs:
        kind = spec.kind.name
        name = getattr(spec.arg, "name", None)
        if kind == "USER_INPUT":
            found[name or ""] = ("input", None)
        elif kind == "CONSTANT_TENSOR":
            found[name or ""] = ("constant", program.constants[spec.target])
        else:
            found[name or ""] = ("state", spec.target)
    buffers = dict(model.named_buffers())
    persistent = set(model.state_dict())
    for name, (role, target) in found.items():
        if role == "state" and target not in persistent:
            found[name] = ("constant", buffers[target])
    return program.graph, found, list(program.graph_signature.user_outputs)


def _make_fx(model: Any, inputs: tuple[Any, ...]) -> tuple[Any, dict[str, Any], list[str]]:
    import torch
    from torch.fx.experimental.proxy_tensor import make_fx

    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    names = list(tensors)
    fixed = [value for value in inputs if isinstance(value, torch.Tensor)]

    def call(held: list[Any], *args: Any) -> Any:
        remaining = iter(args)
        full = [next(remaining) if isinstance(value, torch.Tensor) else value for value in inputs]
        return torch.func.functional_call(model, dict(zip(names, held, strict=True)), tuple(full))

    module = make_fx(call, pre_dispatch=True, tracing_mode="fake")(list(tensors.values()), *fixed)
    graph = module.graph
    placeholders = [node for node in graph.nodes if node.op == "placeholder"]
    persistent = set(model.state_dict())
    found: dict[str, Any] = {}
    for node, name in zip(placeholders, names, strict=False):
        found[node.name] = ("state", name) if name in persistent else ("constant", tensors[name])
    for node in placeholders[len(names) :]:
        found[node.name] = ("input", None)
    for node in graph.nodes:
        if node.op == "get_attr":
            found[node.name] = ("constant", getattr(module, node.target))
    last = next(node for node in graph.nodes if node.op == "output").args[0]
    return graph, found, [node.name for node in (last if isinstance(last, (list, tuple)) else [last])]


def _to_json(
    graph: Any,
    parameters: dict[str, Any],
    outputs: list[str],
    names: list[str],
    state: list[str],
    inputs: tuple[Any, ...],
    how: str,
) -> dict[str, Any]:
    import torch

    tensor_names = [n for n, value in zip(names, inputs, strict=True) if isinstance(value, torch.Tensor)]
    values: dict[str, Any] = {}
    nodes: list[dict[str, Any]] = []
    constants: dict[str, Any] = {}
    state_names: dict[str, str] = {}
    graph_inputs: list[str] = []
    for node in graph.nodes:
        if node.op in ("placeholder", "get_attr"):
            role, held = parameters[node.name]
            example = node.meta.get("val", held)
            if role == "input" and not isinstance(example, torch.Tensor):
                continue  # a scalar: its value is already a literal of the graph
            values[node.name] = _describe(example if isinstance(example, torch.Tensor) else held)
            if role == "input":
                graph_inputs.append(node.name)
            elif role == "state":
                state_names[held] = node.name
            else:
                if held.numel() > MAX_CONSTANT:
                    raise ValueError(f"tensor constant {node.name} has {held.numel()} elements")
                constants[node.name] = [_literal(item) for item in held.detach().flatten().tolist()]
        elif node.op == "call_function":
            nodes.append(_node(node, values))
        elif node.op != "output":
            raise ValueError(f"cannot describe a {node.op} node")
    return {
        "version": 1,
        "how": how,
        "values": values,
        "inputs": graph_inputs,
        "input_names": tensor_names,
        "state": [state_names.get(name) for name in state],
        "state_names": state,
        "constants": constants,
        "nodes": nodes,
        "outputs": outputs,
    }


def _node(node: Any, values: dict[str, Any]) -> dict[str, Any]:
    import torch

    schema = getattr(node.target, "_schema", None)
    if schema is None:
        operator = getattr(node.target, "__name__", str(node.target))
        arguments = {f"arg{i}": _argument(a) for i, a in enumerate(node.args)}
    else:
        operator = str(node.target)
        arguments = {}
        for position, formal in enumerate(schema.arguments):
            if position < len(node.args):
                value = node.args[position]
            elif formal.name in node.kwargs:
                value = node.kwargs[formal.name]
            else:
                value = formal.default_value
            arguments[formal.name] = _argument(value)
    result = node.meta.get("val")
    if isinstance(result, torch.Tensor):
        values[node.name] = _describe(result)
    return {"name": node.name, "op": operator, "args": arguments}


def _describe(tensor: Any) -> dict[str, Any]:
    return {
        "shape": [int(n) for n in tensor.shape],
        "dtype": str(tensor.dtype).removeprefix("torch."),
        "strides": [int(n) for n in tensor.stride()],
    }


def _argument(value: Any) -> Any:
    import torch

    if isinstance(value, torch.fx.Node):
        return {"ref": value.name}
    if isinstance(value, (list, tuple)):
        return [_argument(item) for item in value]
    if isinstance(value, (torch.dtype, torch.device, torch.layout, torch.memory_format)):
        return str(value).removeprefix("torch.")
    return _literal(value)


def _literal(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise ValueError(f"cannot describe a literal of type {type(value).__name__}")
