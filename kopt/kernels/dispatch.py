"""A loaded kernel: runs inside its verified domain, and has the reference run anywhere else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from kopt.kernels.domain import Key, Signature, key_of, mismatch, one_or_all, signature, unusable
from kopt.kernels.errors import TamperedKernel
from kopt.kernels.library import Entry, find
from kopt.kernels.machine import difference, facts
from kopt.kernels.modules import import_file, private_folder
from kopt.kernels.operator import literals, register
from kopt.kernels.reference import Reference, open_reference

_loaded: dict[Path, Kernel] = {}


def load_kernel(name: str | Path, library: Path | None = None) -> Kernel:
    """Load a kernel once per process; see :func:`kopt.kernels.load`."""
    entry = find(name, library)
    kernel = _loaded.get(entry.path)
    if kernel is None:
        kernel = _loaded[entry.path] = Kernel(entry)
    return kernel


class Kernel:
    """Called like the reference: its inputs, then its state (parameters and buffers) in certified order.

    Attributes:
        name: the kernel's name.
        certificate: the evidence, as read from disk.
        last_reason: why the last call ran the reference; None when it ran the kernel.
        op: the kernel as an operator of torch (:mod:`kopt.kernels.operator`), which is what compiled code calls;
            None where it cannot be one.
    """

    def __init__(self, entry: Entry) -> None:
        self.name = entry.name
        self.certificate: Mapping[str, Any] = entry.certificate
        self.last_reason: str | None = None
        self.signatures = [signature(spec, "cpu") for spec in entry.certificate["specs"]]
        self._domain: dict[Key, Signature] = {one.key: one for one in self.signatures}
        problem = entry.certificate["problem"]
        prefix = "reference/"
        self._problem = problem
        self._sources = {
            path.removeprefix(prefix): entry.read(path)
            for path in entry.certificate["files"]
            if path.startswith(prefix)
        }
        self._reference: Reference | None = None
        self._function: Callable[..., Any] | None = None
        functional = entry.certificate.get("mutates_inputs") is False
        self.op = register(self, entry.manifest["certificate"]) if functional else None
        self._literals = literals(self.signatures[0]) if self.signatures else []
        self._unusable = difference(entry.certificate["machine"], facts())
        if self._unusable:
            self._unusable += f"; `kopt library verify {self.name}` judges it here"
            return
        try:
            self._function = _open_candidate(entry)
        except TamperedKernel as error:
            self._unusable = str(error)

    def __repr__(self) -> str:
        """Name and state."""
        state = self._unusable or ", ".join(one.workload for one in self.signatures)
        return f"<kopt kernel {self.name}: {state}>"

    def __call__(self, *args: Any) -> Any:
        """Run the kernel where it was verified, the reference anywhere else."""
        if self.op is not None and torch.compiler.is_compiling() and self._typed(args):
            return self.op(*args)
        return self.dispatch(args)

    def _typed(self, args: tuple[Any, ...]) -> bool:
        """Whether the operator takes these arguments as they are."""
        return len(args) == len(self.signatures[0].key) and all(
            type(args[place]) is kind for place, kind in self._literals
        )

    def dispatch(self, args: tuple[Any, ...]) -> Any:
        """As a call, but never through the operator."""
        one = self._domain.get(key_of(args)) if self._function is not None else None
        reason = self._why_not(args, one)
        self.last_reason = reason
        if reason is not None or one is None or self._function is None:
            return self.fall_back(args)
        return self._run(self._function, one, args)

    def why(self, *args: Any) -> str:
        """Which of the two would run for these arguments, and why."""
        one = self._domain.get(key_of(args))
        reason = self._why_not(args, one)
        if reason is not None or one is None:
            return f"reference: {reason}"
        gain = gain_of(self.certificate)
        return f"kernel: verified for {one.workload}" + (f", {gain}" if gain else "")

    def _why_not(self, args: tuple[Any, ...], one: Signature | None) -> str | None:
        if self._unusable:
            return self._unusable
        if one is None:
            return mismatch(args, self.signatures)
        return unusable(args)

    def _run(self, function: Callable[..., Any], one: Signature, args: tuple[Any, ...]) -> Any:
        if self.certificate["candidate"]["style"] == "returning":
            return function(args, one.state)
        outputs = one.empty_outputs()
        function(args, one, outputs)
        return one_or_all(outputs)

    def fall_back(self, args: tuple[Any, ...]) -> Any:
        """Run the reference."""
        expected = len(self.signatures[0].names) if self.signatures else len(args)
        if len(args) != expected:
            raise TypeError(
                f"{self.name} takes {', '.join(self.signatures[0].names)}; got {len(args)} arguments"
            )
        if self._reference is None:
            self._reference = open_reference(self._problem, self._sources)
        return self._reference(args, self.signatures[0].state if self.signatures else ())


def _open_candidate(entry: Entry) -> Callable[..., Any]:
    """Make it callable: ``(args, signature, outputs)`` in destination style, else ``(args, state names)``."""
    candidate = entry.certificate["candidate"]
    file, _, symbol = candidate["entry"].partition("::")
    if candidate["language"] == "cpp":
        import tvm_ffi

        folder = private_folder({"kernel.so": entry.read("artifact.so")})
        native = getattr(tvm_ffi.load_module(str(folder / "kernel.so")), symbol)

        def call_native(args: tuple[Any, ...], one: Signature, outputs: list[torch.Tensor]) -> None:
            native(*[args[i] for i in one.tensors], *outputs)

        return call_native
    prefix = "candidate/"
    files = {
        p.removeprefix(prefix): entry.read(p) for p in entry.certificate["files"] if p.startswith(prefix)
    }
    found = getattr(import_file(files, file, "candidate"), symbol)
    if candidate["style"] == "destination":
        return lambda args, _one, outputs: found(*args, *outputs)
    if not isinstance(found, type):
        return lambda args, _state: found(*args)
    model: torch.nn.Module = found(*(entry.certificate["specs"][0]["init"] or ()))
    names = set(model.state_dict())

    def call_model(args: tuple[Any, ...], state: tuple[str, ...]) -> Any:
        if not state:
            return model(*args)
        given = dict(zip(state, args[-len(state) :], strict=True))
        return torch.func.functional_call(
            model, {name: value for name, value in given.items() if name in names}, args[: -len(state)]
        )

    return call_model


def gain_of(certificate: Mapping[str, Any]) -> str | None:
    """The certified speed-ups in words."""
    speedups = certificate["evaluation"]["speedup"]
    said = [
        f"{s['ratio']:.2f}x [{s['low']:.2f}, {s['high']:.2f}] over {name}"
        for key, name in (("eager", "eager"), ("compile", "torch.compile"))
        if (s := speedups.get(key))
    ]
    return ", ".join(said) or None
