"""The candidate's program: load what was built, call it per slot, leave the outputs in the ring."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from typing import Any

import torch

from . import interpreter, operators, parameters
from .loop import BadRequest
from .ring import Ring
from .sources import load_symbol, split_entry, takes, write_sources
from .toolchains import NO_DEVICES

Call = tuple[Callable[..., Any], tuple[Any, ...], list[torch.Tensor]]


def flatten(result: Any) -> list[Any]:
    """The outputs of a call in order: a tensor, or nested tuples, lists and dicts of them."""
    if isinstance(result, (tuple, list)):
        return [leaf for item in result for leaf in flatten(item)]
    if isinstance(result, dict):
        return [leaf for item in result.values() for leaf in flatten(item)]
    return [result]


def same_strides(tensor: torch.Tensor, strides: Sequence[int]) -> bool:
    """Whether layouts agree where they matter: dimensions of size one may have any stride."""
    if tensor.stride() == strides or not tensor.numel():
        return True
    pairs = zip(tensor.shape, tensor.stride(), strides, strict=True)
    return all(size == 1 or mine == theirs for size, mine, theirs in pairs)


def bad_output(
    number: int, result: Any, expected: torch.Tensor, view_strides: Sequence[int] | None
) -> str | None:
    """What is wrong with one output, or None."""
    if not isinstance(result, torch.Tensor):
        return f"output {number} is a {type(result).__name__}, not a tensor"
    if result.shape != expected.shape:
        return f"output {number} has shape {tuple(result.shape)}, expected {tuple(expected.shape)}"
    if result.dtype is not expected.dtype:
        return f"output {number} has dtype {result.dtype}, expected {expected.dtype}"
    if result.layout is not torch.strided or result.device.type != "cpu":
        return f"output {number} is {result.layout} on {result.device}, expected a dense tensor on cpu"
    if not same_strides(result, expected.stride()) and not (
        view_strides and same_strides(result, view_strides)
    ):
        return f"output {number} has strides {result.stride()}, expected {expected.stride()}"
    return None


def put(
    result: Any, outputs: Sequence[torch.Tensor], view_strides: Sequence[Sequence[int] | None] = ()
) -> None:
    """Check what a call returned and copy it into the ring.

    ``view_strides`` has an entry for each output: the reference's own strides where it returns a view that the ring
    lays out contiguously.

    Raises:
        BadRequest: of kind ``bad_output`` when it is not what the reference returns.
    """
    results = [result] if isinstance(result, torch.Tensor) else flatten(result)
    if len(results) != len(outputs):
        raise BadRequest(f"returned {len(results)} outputs, expected {len(outputs)}", kind="bad_output")
    for number, (mine, expected) in enumerate(zip(results, outputs, strict=True)):
        wrong = bad_output(number, mine, expected, view_strides[number] if view_strides else None)
        if wrong:
            raise BadRequest(wrong, kind="bad_output")
        expected.copy_(mine)


# Threads that are not OpenMP's inherit the main thread's affinity, so that is left alone where one may be started.
_OWN_THREADS = re.compile(
    r"\bstd::(j?thread|async|execution)\b|\bpthread_create\b|\bthreading\b|\bconcurrent\b|\bmultiprocessing\b"
)


class CandidateProgram:
    """Holds one candidate, its ring, its state and the prepared calls."""

    own_threads = False

    def __init__(self, scratch: str) -> None:
        self.directory = os.path.join(scratch, "candidate")  # noqa: PTH118
        os.makedirs(self.directory, exist_ok=True)  # noqa: PTH103
        self.entry: Any = None
        self.native = False
        self.style = "returning"
        self.scalars: list[dict[str, Any]] = []
        self.ring: Ring | None = None
        self.state: list[torch.Tensor] = []
        self.named: dict[str, torch.Tensor] = {}
        self.calls: list[Call] = []
        self.kept: list[Any] = []
        self.old: list[Any] = []
        self.copying = True

    def request(self, op: str, body: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        """Answer one request of the judge."""
        operation: Callable[[dict[str, Any], list[int]], dict[str, Any]] | None = {
            "load_candidate": self.load,
            "attach": self.attach,
            "use": self.use,
            "trace": self.trace,
            "withhold": self.withhold,
            "refused": lambda body, fds: {"names": operators.refused()},
            "ping": self.ping,
        }.get(op)
        if operation is None:
            raise BadRequest(f"a candidate's runner does not know {op!r}")
        return operation(body, fds)

    def ping(self, body: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        """Answer, to show that the loop runs."""
        return {}

    def load(self, body: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        """Load a candidate: a built artefact, if any, is the first descriptor, its parameters the last."""
        language, entry = body["language"], body["entry"]
        spec = body.get("spec") or {}
        self.arguments = spec.get("arguments", [])
        self.view_strides = [item.get("view_strides") for item in spec.get("outputs", [])]
        self.state_names = [item["name"] for item in spec.get("state", [])]
        self.style = body["style"]
        self.own_threads = any(_OWN_THREADS.search(text) for text in body["sources"].values())
        state = body.get("state")
        if state:
            self._map_state(state["layout"], fds[-1])
            fds = fds[:-1]
        artifact = os.pread(fds[0], os.fstat(fds[0]).st_size, 0) if fds else b""
        if language in ("cpp", "cuda"):
            self._load_native(language, artifact, split_entry(entry)[1])
        else:
            if artifact:
                from .toolchains.extension import unpack

                unpack(artifact)
            if language == "triton":
                os.environ["TRITON_INTERPRET"] = "1"
                interpreter.mend()
            write_sources(body["sources"], self.directory)
            torch.manual_seed(body.get("seed", 0))
            symbol = load_symbol(self.directory, entry)
            if isinstance(symbol, type):
                if body.get("init", []) is None:
                    raise BadRequest("constructor arguments are not plain values", kind="import")
                torch.manual_seed(body.get("seed", 0))
                with parameters.filling(symbol, self.named):
                    symbol = symbol(*(body.get("init") or []))
            self.entry = symbol
            if not callable(symbol):
                raise BadRequest(f"{entry} is not callable", kind="import")
        torch.set_grad_enabled(False)
        if isinstance(self.entry, torch.nn.Module):
            parameters.take_over(self.entry, self.named, (state or {}).get("settled") or {})
        self._prepare()
        return {}

    def _load_native(self, language: str, artifact: bytes, symbol: str) -> None:
        import tvm_ffi

        if language == "cuda":
            raise BadRequest(f"cuda candidates are compiled, not run: {NO_DEVICES}", kind="import")
        if not artifact:
            raise BadRequest("this candidate needs its built artefact", kind="import")
        path = os.path.join(self.directory, "candidate.so")  # noqa: PTH118
        with open(path, "wb") as file:  # noqa: PTH123
            file.write(artifact)
        self.native = True
        self.style = "destination"
        try:
            self.entry = tvm_ffi.load_module(path)[symbol]
        except AttributeError as error:
            raise BadRequest(f"the built module exports no {symbol!r}: {error}", kind="import") from None

    def attach(self, body: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        """Map the ring."""
        self.ring = Ring(body["ring"], fds[0])
        self._prepare()
        return {}

    def _map_state(self, layout: dict[str, Any], fd: int) -> None:
        """Map the reference's parameters and buffers."""
        mapped = Ring(layout, fd, writable=False)
        self.state = mapped.inputs[0] + mapped.outputs[0]
        self.named = dict(zip([item["name"] for item in layout["tensors"]], self.state, strict=True))

    def use(self, body: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        """Choose how returned outputs are treated: ``copy`` (what is judged) or ``no_copy`` (advice only)."""
        self.copying = body.get("mode", "copy") != "no_copy"
        return {}

    def trace(self, body: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        """Call the candidate on one slot and list the library operators that it goes through."""
        function, arguments, _ = self.calls[body["slot"]]
        return operators.traced(function, arguments)

    def withhold(self, body: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        """Take the library's operators from this process; what the candidate calls must be its own."""
        return {"withheld": operators.withhold(copies=body["copies"])}

    def _arguments(self, tensors: Sequence[Any]) -> tuple[Any, ...]:
        if not self.arguments:
            return tuple(tensors)
        remaining = iter(tensors)
        return tuple(
            next(remaining) if a.get("kind", "tensor") == "tensor" else a["value"] for a in self.arguments
        )

    def _prepare(self) -> None:
        """Everything that can be done before a round is done here."""
        self.calls, self.kept = [], []
        if self.ring is None or self.entry is None:
            return
        wrap: Callable[[torch.Tensor], Any] = lambda tensor: tensor  # noqa: E731
        if self.native:
            import tvm_ffi

            wrap = tvm_ffi.from_dlpack
        state = [wrap(tensor) for tensor in self.state]
        for inputs, outputs in zip(self.ring.inputs, self.ring.outputs, strict=True):
            arguments: tuple[Any, ...]
            if self.native:
                arguments = (*map(wrap, inputs), *state, *map(wrap, outputs))
            else:
                arguments = self._arguments(inputs)
                if self.style == "destination":
                    arguments = (*arguments, *state, *outputs)
                elif takes(self.entry, len(arguments), len(self.state)):
                    arguments = (*arguments, *state)
            self.calls.append((self.entry, arguments, outputs))

    def round(self, start: int, count: int) -> None:
        """Call the candidate on each slot."""
        if not count:
            return
        calls = self.calls[start : start + count]
        if len(calls) != count:
            raise BadRequest(f"slots {start}..{start + count - 1} of a ring of {len(self.calls)}")
        if self.style == "destination":
            for function, arguments, _ in calls:
                function(*arguments)
        elif self.copying:
            for function, arguments, outputs in calls:
                put(function(*arguments), outputs, self.view_strides)
        else:
            self.kept, self.old = [], self.kept
            keep = self.kept.append
            for function, arguments, _ in calls:
                keep(function(*arguments))

    def rest(self) -> None:
        """Free what the round before the last one returned."""
        self.old = []
