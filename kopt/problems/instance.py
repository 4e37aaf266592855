"""One workload of a problem, ready to run inside the sandbox: inputs, reference, truth, description."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from kopt.errors import ProblemError
from kopt.problems.accounting import account
from kopt.problems.beyond import BEYOND, beyond, reaches_beyond
from kopt.problems.hidden import NON_FINITE, applicable, transform
from kopt.problems.infinite import BELOW, BOTH, infinite, receiver
from kopt.problems.precision import converted, precision
from kopt.problems.strides import carried, contiguous, dense
from kopt.words import ScalarSpec, TensorSpec, Workload, WorkloadSpec

Draw = Callable[[int], list[Any]]


class Instance:
    """A model (or function), its inputs under any seed, and its results in three precisions.

    Every call starts from the same state: buffers that the model's forward changes (batch norm's running
    statistics) are put back before the next call.

    ``settled`` tells which parameters were constants when the model was constructed, and what they were.
    ``habitual`` says that the generator declares nothing about the values that occur (see
    :mod:`kopt.problems.beyond`).
    """

    def __init__(
        self,
        workload: Workload,
        model: Any,
        draw: Draw,
        *,
        init: tuple[Any, ...] = (),
        entry: str = "problem.py",
        argument_names: tuple[str, ...] = (),
        output_names: tuple[str, ...] = (),
        non_finite: bool = False,
        settled: Mapping[str, float] | None = None,
        habitual: bool = False,
    ) -> None:
        self.workload = workload
        self.model = model
        self.entry = entry
        self.settled = dict(settled or {})
        self._habitual = habitual
        self._draw = draw
        self._init = init
        self._argument_names = argument_names
        self._output_names = output_names
        self._non_finite = non_finite
        self._spec: WorkloadSpec | None = None
        self._models: dict[torch.dtype, Any] = {}
        self._saved = {name: tensor.clone() for name, tensor in self._buffers().items()}
        self._changing: tuple[str, ...] | None = None

    def inputs(self, seed: int, distribution: str = "declared") -> list[Any]:
        """Tensors and scalars in call order, in the layout that :meth:`spec` tells.

        Raises:
            ProblemError: an argument is neither a tensor nor a JSON scalar.
            LookupError: no such distribution, or not for these inputs.
        """
        drawn = [self._argument(i, value) for i, value in enumerate(self._draw(seed))]
        if distribution == "declared":
            return drawn
        if distribution in (BOTH, BELOW):
            return infinite(drawn, distribution, seed)
        return beyond(drawn) if distribution == BEYOND else transform(drawn, distribution, seed)

    def distributions(self) -> list[str]:
        """Names of the hidden distributions that fit this workload's inputs."""
        drawn = self.inputs(0)
        special = [NON_FINITE] if self._non_finite else []
        if self._habitual and reaches_beyond(drawn):
            special.append(BEYOND)
        if self._habitual and receiver(drawn) is not None:
            special += [BOTH, BELOW]
        return [*applicable(drawn), *special]

    def state(self) -> dict[str, torch.Tensor]:
        """Parameters and buffers in ``state_dict`` order."""
        if not isinstance(self.model, torch.nn.Module):
            return {}
        self.restore()
        return {k: v.detach() for k, v in self.model.state_dict().items() if isinstance(v, torch.Tensor)}

    def call(self, args: Sequence[Any]) -> list[torch.Tensor]:
        """The reference's outputs at the problem's own precision."""
        self.restore()
        return self.outputs_of(self.run(args))

    def run(self, args: Sequence[Any]) -> Any:
        """The bare reference call, as timed: no restoration of state, the result as the model returns it."""
        with torch.no_grad():
            return self.model(*args)

    def restore(self) -> None:
        """Put back every buffer that a call changes."""
        with torch.no_grad():
            buffers = self._buffers()
            for name in self._saved if self._changing is None else self._changing:
                buffers[name].copy_(self._saved[name])

    def call64(self, args: Sequence[Any]) -> list[torch.Tensor]:
        """The truth: the same computation in float64; integer and bool outputs stay as they are."""
        return self._call_in(torch.float64, args)

    def call_precision(self, args: Sequence[Any], dtype: torch.dtype | str) -> list[torch.Tensor]:
        """The reference computed in ``dtype``, results cast back to the dtypes of the reference's outputs."""
        kind = getattr(torch, dtype) if isinstance(dtype, str) else dtype
        results = self._call_in(kind, args)
        wanted = [getattr(torch, output.dtype) for output in self.spec().outputs]
        return [result.to(dtype) for result, dtype in zip(results, wanted, strict=True)]

    def spec(self) -> WorkloadSpec:
        """Every argument, state tensor and output, the work in flops and the bytes that must move."""
        if self._spec is None:
            self._spec = self._describe()
        return self._spec

    def outputs_of(self, result: Any) -> list[torch.Tensor]:
        """Flatten what the reference returned.

        Raises:
            ProblemError: something in it is not a dense tensor.
        """
        items = list(result) if isinstance(result, (tuple, list)) else [result]
        for place, item in enumerate(items):
            if not isinstance(item, torch.Tensor):
                where = f"output {place}" if len(items) > 1 else "the output"
                raise ProblemError(
                    f"{where} of the reference is {type(item).__name__}, not a tensor: return tensors only",
                    path=self.entry,
                )
            if item.layout is not torch.strided or item.is_complex() or item.is_quantized:
                raise ProblemError(
                    f"output {place} is {item.layout} {item.dtype}: only dense real tensors can be judged",
                    path=self.entry,
                )
        if not items:
            raise ProblemError("the reference returned no tensor: return at least one", path=self.entry)
        return items

    def _describe(self) -> WorkloadSpec:
        from kopt.problems.inside import problem_error

        args = self.inputs(0)
        state = self.state()
        self.restore()
        try:
            result, work = account(self.model, args, state)
        except Exception as error:
            raise problem_error("the reference", error, self.entry) from error
        outputs = self.outputs_of(result)
        buffers = self._buffers()
        self._changing = tuple(
            name for name, saved in self._saved.items() if not torch.equal(buffers[name], saved)
        )
        self.restore()
        self._saved = {name: self._saved[name] for name in self._changing}
        names = self._names(len(args))
        out_names = self._output_names or (
            ("output",) if len(outputs) == 1 else tuple(f"output{i}" for i in range(len(outputs)))
        )
        if len(out_names) != len(outputs):
            raise ProblemError(
                f"declares {len(out_names)} outputs but the reference returns {len(outputs)}", path=self.entry
            )
        return WorkloadSpec(
            workload=self.workload,
            arguments=tuple(_argument_spec(n, a) for n, a in zip(names, args, strict=True)),
            state=tuple(_tensor_spec(name, tensor) for name, tensor in state.items()),
            outputs=tuple(_tensor_spec(n, o) for n, o in zip(out_names, outputs, strict=True)),
            init=self._init if all(_is_json(value) for value in self._init) else None,
            flops=work.flops,
            longest_sum=work.longest_sum,
            bytes_required=work.bytes_read + sum(o.numel() * o.element_size() for o in outputs),
        )

    def _call_in(self, dtype: torch.dtype, args: Sequence[Any]) -> list[torch.Tensor]:
        model = self._models.get(dtype)
        if model is None:
            self.restore()
            model = self._models[dtype] = converted(copy.deepcopy(self.model), dtype)
        saved = {
            n: b.clone() for n, b in (model.named_buffers() if isinstance(model, torch.nn.Module) else ())
        }
        with torch.no_grad(), precision(dtype):
            result = model(
                *(a.to(dtype) if isinstance(a, torch.Tensor) and a.is_floating_point() else a for a in args)
            )
        for name, buffer in model.named_buffers() if saved else ():
            buffer.copy_(saved[name])
        return self.outputs_of(result)

    def _buffers(self) -> dict[str, torch.Tensor]:
        return dict(self.model.named_buffers()) if isinstance(self.model, torch.nn.Module) else {}

    def _argument(self, place: int, value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            if value.layout is not torch.strided or value.is_complex():
                raise ProblemError(
                    f"input {place} is {value.layout} {value.dtype}: give dense real tensors", path=self.entry
                )
            value = value.detach()
            return value if carried(value) else value.contiguous()
        if _is_json(value):
            return value
        raise ProblemError(
            f"input {place} is {type(value).__name__}: only tensors and plain values (numbers, text, None, "
            "lists of them) can be passed",
            path=self.entry,
        )

    def _names(self, count: int) -> list[str]:
        if self._argument_names:
            return list(self._argument_names)
        forward = self.model.forward if isinstance(self.model, torch.nn.Module) else self.model
        try:
            found = [
                p.name
                for p in inspect.signature(forward).parameters.values()
                if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
            ]
        except (TypeError, ValueError):
            found = []
        return [found[i] if i < len(found) else f"input{i}" for i in range(count)]


def _tensor_spec(name: str, tensor: torch.Tensor) -> TensorSpec:
    """A state tensor or an output: contiguous where it has gaps or overlaps."""
    shape = tuple(tensor.shape)
    own, plain = tuple(tensor.stride()), dense(tensor)
    return TensorSpec(
        name=name,
        shape=shape,
        dtype=str(tensor.dtype).removeprefix("torch."),
        strides=own if plain else contiguous(shape),
        view_strides=None if plain else own,
    )


def _argument_spec(name: str, value: Any) -> TensorSpec | ScalarSpec:
    """An argument, in the layout that :meth:`Instance.inputs` gives it."""
    if not isinstance(value, torch.Tensor):
        return ScalarSpec(name=name, value=value)
    return replace(_tensor_spec(name, value), strides=tuple(value.stride()), view_strides=None)


def _is_json(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(_is_json(item) for item in value)
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_json(item) for key, item in value.items())
    return value is None or isinstance(value, (bool, int, float, str))
