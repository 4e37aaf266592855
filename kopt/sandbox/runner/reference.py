"""The reference's program: the problem, its inputs, its truth, and its baselines. Sees the kopt package."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import sys
import tarfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch

from . import breakdown, collector, inductor, operators
from .archives import unpack
from .builder import write_all
from .candidate import flatten
from .loop import BadRequest
from .ring import Ring
from .sources import write_sources

_UNTIMED = ("generate", "distributions", "truth", "call_precision")
_SMALL = 4 << 20  # bytes of a slot
_CACHE_BYTES = 192 << 20  # of Inductor's artefacts; what takes more is compiled anew


class ReferenceProgram:
    """Holds one problem and, once selected, one instance of it."""

    own_threads = False

    def __init__(self, scratch: str, config: Mapping[str, Any]) -> None:
        self.directory = os.path.join(scratch, "problem")  # noqa: PTH118
        os.makedirs(self.directory, exist_ok=True)  # noqa: PTH103
        if config["package"] not in sys.path:
            sys.path.insert(0, config["package"])
        self.threads = config["threads"]
        self.problem: Any = None
        self.instance: Any = None
        self.spec: dict[str, Any] = {}
        self.ring: Ring | None = None
        self.truth_ring: Ring | None = None
        self.function: Callable[..., Any] | None = None
        self.calls: list[tuple[Any, ...]] = []
        self.kept: dict[int, Any] = {}
        self.old: dict[int, Any] = {}

    def request(self, op: str, body: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        """Answer one request of the judge."""
        operation: Callable[..., dict[str, Any]] | None = {
            "load_problem": self.load_problem,
            "select": self.select,
            "attach": self.attach,
            "attach_truth": self.attach_truth,
            "state": self.write_state,
            "generate": self.generate,
            "distributions": lambda body, fds: {"names": self._chosen().distributions()},
            "truth": self.truth,
            "use": self.use,
            "flush": self.flush,
            "trace": self.trace,
            "breakdown": self.breakdown,
            "localise": self.localise,
            "call_precision": self.call_precision,
            "invoke": self.invoke,
            "ping": lambda body, fds: {},
        }.get(op)
        if operation is None:
            raise BadRequest(f"a reference's runner does not know {op!r}")
        with self._on_one_thread() if op in _UNTIMED and self._small(body) else contextlib.nullcontext():
            return operation(body, fds)

    def _small(self, body: dict[str, Any]) -> bool:
        """Whether more threads would gain little: a slot is small, or others do the same ``beside``."""
        return bool(body.get("beside")) or (self.ring is not None and self.ring.layout["stride"] <= _SMALL)

    @staticmethod
    @contextlib.contextmanager
    def _on_one_thread() -> Iterator[None]:
        """OpenMP's threads are bound to cores, and wait there for each other while somebody else has one of them."""
        usual = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(usual)

    def _chosen(self) -> Any:
        if self.instance is None:
            raise BadRequest("no workload is selected")
        return self.instance

    def load_problem(self, body: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        """Load the problem's sources."""
        from kopt.problems.inside import open_problem
        from kopt.words import to_json

        write_sources(body["sources"], self.directory)
        self.problem = open_problem(body["format"], body["sources"], body["entry"], self.directory)
        return {"workloads": to_json(self.problem.workloads())}

    def select(self, body: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        """Build one workload's model and describe it."""
        from kopt.words import to_json

        if self.problem is None:
            raise BadRequest("no problem is loaded")
        extra = {"values": body["values"]} if body.get("values") else {}
        self.instance = self.problem.select(
            body["workload"], body["seed"], smoke=body.get("smoke", False), **extra
        )
        self.spec = to_json(self.instance.spec())
        self.ring = self.truth_ring = None
        self.function = self.instance.model
        self.calls, self.kept, self.old = [], {}, {}
        torch.set_grad_enabled(False)
        return {"spec": self.spec}

    def attach(self, body: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        """Map this runner's ring."""
        self.ring = Ring(body["ring"], fds[0])
        self.kept, self.old = {}, {}
        self.calls = [self._arguments(slot) for slot in range(len(self.ring))]
        return {}

    def attach_truth(self, body: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        """Map the ring for float64 truth."""
        self.truth_ring = Ring(body["ring"], fds[0])
        return {}

    def _arguments(self, slot: int) -> tuple[Any, ...]:
        if self.ring is None:
            raise BadRequest("no ring is attached")
        tensors = iter(self.ring.inputs[slot])
        given = self.spec["arguments"]
        return tuple(next(tensors) if a["kind"] == "tensor" else a["value"] for a in given)

    def write_state(self, body: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        """Write parameters and buffers into the judge's buffer."""
        layout = body.get("layout") or body["ring"]
        target = Ring(layout, fds[0])
        state = self._chosen().state()
        slots = target.inputs[0] + target.outputs[0]
        for item, tensor in zip(layout["tensors"], slots, strict=True):
            tensor.copy_(state[item["name"]])
        return {"settled": self._chosen().settled}

    def generate(self, body: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        """Fill slots' inputs from a named distribution, each under its own seed."""
        from kopt.problems.strides import store

        for slot, seed in zip(body["slots"], body["seeds"], strict=True):
            try:
                values = self._chosen().inputs(seed, body["distribution"])
            except (LookupError, NotImplementedError) as reason:
                if body["distribution"] == "declared":
                    raise
                return {"skipped": str(reason)[:500]}
            if self.ring is None:
                raise BadRequest("no ring is attached")
            tensors = [value for value in values if isinstance(value, torch.Tensor)]
            for target, value in zip(self.ring.inputs[slot], tensors, strict=True):
                store(target, value)
        return {}

    def truth(self, body: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        """Compute the float64 reference of slots into the truth ring."""
        if self.truth_ring is None:
            raise BadRequest("no truth ring is attached")
        for slot in body["slots"]:
            results = self._chosen().call64(list(self._arguments(slot)))
            for target, value in zip(self.truth_ring.outputs[slot], results, strict=True):
                target.copy_(value)
        return {}

    def trace(self, body: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        """Call the reference on one slot and list the operators that it consists of."""
        with operators.Trace() as seen:
            self._chosen().run(self._arguments(body["slot"]))
        report: dict[str, Any] = seen.report()
        return report

    def breakdown(self, body: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        """Call the reference on one slot for some time and list its operators with their seconds, a call each."""
        arguments = self._arguments(body["slot"])
        return breakdown.of(lambda: self._chosen().run(arguments), float(body["seconds"]))

    def localise(self, body: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        """Compare a wrong output, which the judge wrote into a slot, with the reference's steps on its inputs."""
        from kopt.problems.steps import localise
        from kopt.words import to_json

        slot, output = body["slot"], body["output"]
        if self.ring is None:
            raise BadRequest("no ring is attached")
        got = self.ring.outputs[slot][output]
        found = localise(
            self._chosen(), self._arguments(slot), got, output, body["index"], float(body["seconds"])
        )
        return {"found": to_json(found)}

    def call_precision(self, body: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        """Compute slots in a lower precision, for the lint."""
        dtype = getattr(torch, body["dtype"])
        for slot in body["slots"]:
            self._store(slot, self._chosen().call_precision(list(self._arguments(slot)), dtype))
        return {}

    def use(self, body: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        """Choose the implementation that rounds call: ``eager`` or ``compile``.

        ``compile`` compiles and warms on slot 0. A descriptor, if given, is a buffer that holds
        ``cache_bytes`` bytes of compiler cache from an earlier process (opaque to the judge) and receives
        the cache afterwards; the reply says how long it is, 0 when it did not fit.
        """
        if torch.get_num_threads() != (body.get("threads") or self.threads):
            torch.set_num_threads(body.get("threads") or self.threads)
        model = self._chosen().model
        self.kept, self.old = {}, {}
        if body["implementation"] == "eager":
            self.function = model
            return {"cache_bytes": 0}
        if body["implementation"] != "compile":
            raise BadRequest(f"unknown implementation {body['implementation']!r}")
        cache = os.environ["TORCHINDUCTOR_CACHE_DIR"]
        before = body.get("cache_bytes", 0)
        if fds and before:
            with tarfile.open(fileobj=io.BytesIO(os.pread(fds[0], before, 0))) as archive:
                unpack(archive, cache)
        inductor.imported()
        with collector.paused():
            self.function = torch.compile(model)
            if self.calls:
                for _ in range(2):
                    self.function(*self.calls[0])
        return {"cache_bytes": self._save_cache(cache, fds[0]) if fds else 0}

    @staticmethod
    def _save_cache(cache: str, fd: int) -> int:
        stream = io.BytesIO()
        if not os.path.isdir(cache):  # noqa: PTH112
            return 0
        with tarfile.open(fileobj=stream, mode="w") as archive:
            archive.add(
                cache, arcname=".", filter=lambda item: item if item.isreg() or item.isdir() else None
            )
        data = stream.getvalue()
        if len(data) > _CACHE_BYTES:
            return 0
        write_all(fd, data)
        return len(data)

    def round(self, start: int, count: int) -> None:
        """Call the implementation; what it returns is kept, so that every call writes cold memory."""
        if not count:
            return
        calls = self.calls[start : start + count]
        if len(calls) != count or self.function is None:
            raise BadRequest(f"slots {start}..{start + count - 1} of a ring of {len(self.calls)}")
        self.old, self.kept = self.kept, {}
        kept, function, slot = self.kept, self.function, start
        for arguments in calls:
            kept[slot] = function(*arguments)
            slot += 1

    def rest(self) -> None:
        """Free what the round before the last one returned: after the answer, so untimed."""
        self.old = {}

    def _store(self, slot: int, result: Any) -> None:
        if self.ring is None:
            raise BadRequest("no ring is attached")
        results = flatten(result)
        for target, value in zip(self.ring.outputs[slot], results, strict=True):
            target.copy_(value)

    def flush(self, body: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        """Copy kept results of the given slots into the ring, then free all of them."""
        for slot in body["slots"]:
            if slot not in self.kept:
                raise BadRequest(f"slot {slot} was not in the last round")
            self._store(slot, self.kept[slot])
        self.kept = {}
        return {}

    def invoke(self, body: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        """Call one of kopt's own functions with the problem (see ``InsideProblem``), beside the reference."""
        module, _, name = body["target"].partition(":")
        if not module.startswith("kopt."):
            raise BadRequest(f"{body['target']!r} is not one of kopt's functions")
        function = getattr(importlib.import_module(module), name)
        with torch.enable_grad():
            return {"result": function(self.problem, **body.get("args", {}))}
