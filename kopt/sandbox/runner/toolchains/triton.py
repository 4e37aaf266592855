"""Triton: compile for a GPU, whatever there is here, by catching the launches of the candidate's own host code.

The entry is called once on zeros of the workload's shapes; every launch is turned into a compilation for the
target. Running (by Triton's interpreter) is the candidate runner's business.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from ..loop import BadRequest
from ..sources import load_symbol, takes
from . import NO_DEVICES, sass
from .common import Outcome, run
from .multiprocessor import LIMITS, REGISTERS, TENSOR_MEMORY, WARP, Limits, number, warps_with
from .ptxas import kernels

MOST_KERNELS = 64


class _FakeUtils:
    """Device properties of the target, for heuristics that ask."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits

    def get_device_properties(self, device: int) -> dict[str, int]:
        return {
            "max_shared_mem": self.limits.block_shared,
            "multiprocessor_count": self.limits.count,
            "max_num_regs": REGISTERS,
            "warpSize": WARP,
        }


class _FakeDriver:
    """Stands where Triton expects the driver of a present GPU."""

    def __init__(self, target: Any, limits: Limits) -> None:
        self.target = target
        self.utils = _FakeUtils(limits)

    def get_current_target(self) -> Any:
        return self.target

    def get_current_device(self) -> int:
        return 0

    def set_current_device(self, device: int) -> None:
        pass

    def get_current_stream(self, device: int = 0) -> int:
        return 0

    def get_active_torch_device(self) -> Any:
        import torch

        return torch.device("cpu")

    def get_device_interface(self) -> Any:
        import torch

        return torch.cpu

    def get_benchmarker(self) -> Callable[..., list[float]]:
        def benchmark(call: Callable[[], Any], quantiles: Any = None, **_: Any) -> list[float]:
            call()
            return [1.0] * len(quantiles or [0.5])

        return benchmark


class _Launches:
    """Turns launches into compilations for the target, and keeps what they gave."""

    def __init__(self, directory: str, target: str) -> None:
        self.directory, self.target, self.limits = directory, target, LIMITS[number(target)]
        self.compiled: list[Any] = []
        self.described: list[dict[str, Any]] = []

    def catch(self) -> None:
        """From now on."""
        from triton.runtime.jit import JITFunction

        original = JITFunction.run

        def compile_only(function: Any, /, *args: Any, grid: Any, warmup: bool, **options: Any) -> Any:
            kernel = original(function, *args, grid=grid, warmup=True, **options)
            if kernel is not None and kernel not in self.compiled and len(self.compiled) < MOST_KERNELS:
                record = _describe(kernel, self.directory, self.target)
                self._refuse_too_much(kernel, record)
                self.compiled.append(kernel)
                self.described.append(record)
            return kernel

        JITFunction.run = compile_only

    def _refuse_too_much(self, kernel: Any, record: Mapping[str, Any]) -> None:
        """Raise what Triton would when it loads the kernel: its autotuner goes on with another configuration."""
        from triton.runtime.errors import OutOfResources

        limits, threads = self.limits, WARP * int(kernel.metadata.num_warps)
        if kernel.metadata.shared > limits.block_shared:
            raise OutOfResources(int(kernel.metadata.shared), limits.block_shared, "shared memory")
        columns = getattr(kernel.metadata, "tmem_size", None) or 0
        if columns > TENSOR_MEMORY:
            raise OutOfResources(columns, TENSOR_MEMORY, "tensor memory")
        most = WARP * warps_with(record["registers"]) if record.get("registers") else threads
        if threads > most:
            raise OutOfResources(threads, most, f"threads with {record['registers']} registers each")


def _call(directory: str, body: Mapping[str, Any]) -> None:
    """Call the entry on zeros as the candidate's runner does on a slot: state for functions that take it."""
    import torch

    symbol = load_symbol(directory, body["entry"])
    spec = body.get("spec")
    if not spec:
        return

    def zeros(item: Mapping[str, Any]) -> torch.Tensor:
        made = torch.empty_strided(item["shape"], item["strides"], dtype=getattr(torch, item["dtype"]))
        return made.zero_()

    arguments = [zeros(a) if a["kind"] == "tensor" else a["value"] for a in spec["arguments"]]
    if isinstance(symbol, type):
        symbol = symbol(*(spec.get("init") or []))
    if body["style"] == "destination":
        arguments += [zeros(item) for item in (*spec["state"], *spec["outputs"])]
    elif takes(symbol, len(arguments), len(spec["state"])):
        arguments += [zeros(item) for item in spec["state"]]
    symbol(*arguments)


def build(directory: str, config: Mapping[str, Any], body: Mapping[str, Any]) -> Outcome:
    """Compile every kernel the entry launches; registers, spills and shared memory go into the report.

    For a profile there is a listing of them instead, as the artefact. What launches no kernel, or one that the target
    has not the resources for, has failed.
    """
    try:
        import triton
        from triton.backends.compiler import GPUTarget
    except ImportError:
        raise BadRequest("triton is not installed: pip install 'kopt[gpu]'", kind="build") from None
    target = body["target"]
    launches = _Launches(directory, target)
    triton.runtime.driver.set_active(_FakeDriver(GPUTarget("cuda", number(target), WARP), launches.limits))
    launches.catch()
    report: dict[str, Any] = {
        "target": target,
        "timed": f"not timed: {NO_DEVICES}",
        "triton": triton.__version__,
    }
    failed = None
    try:
        _call(directory, body)
    except BaseException as error:
        failed = _where(error, directory)
        own = type(error).__module__.startswith("triton") or isinstance(error, (SyntaxError, ImportError))
        if own or not launches.compiled:
            log = traceback.format_exc()[-16000:]
            if not own:
                failed += (
                    f" (no kernel was launched before this, so none was compiled for {target}: "
                    "make the host code run on tensors of zeros)"
                )
            return Outcome(False, log=log, first_error=failed, report=report)
    if not launches.compiled:
        failed = (
            f"{body['entry']} launches no Triton kernel on tensors of zeros on the CPU, so none was compiled for "
            f"{target}: launch one whatever device its inputs are on"
        )
        return Outcome(False, first_error=failed, report=report)
    if failed:
        report["note"] = f"kernels launched after this were not compiled for {target}: {failed}"
    if body.get("profiled"):
        cubins = [kernel.asm["cubin"] for kernel in launches.compiled]
        return Outcome(True, artifact=sass.listing(cubins, directory, config, body["sources"]), report=report)
    report["kernels"] = launches.described
    return Outcome(True, report=report)


def _where(error: BaseException, directory: str) -> str:
    root: BaseException = error
    while root.__cause__ is not None:
        root = root.__cause__
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.startswith(directory)]
    node = getattr(error, "node", None)
    lines = [line for line in str(root).strip().splitlines() if line.strip()]
    file = (
        frames[-1].filename[len(directory) :].lstrip("/")
        if frames
        else getattr(error, "filename", None) or ""
    )
    line = (
        getattr(node, "lineno", None)
        or getattr(error, "lineno", None)
        or (frames[-1].lineno if frames else "")
    )
    place = f"{file}:{line}: " if file else ""  # a call that does not fit the entry is nowhere in it
    return f"{place}{type(root).__name__}: {lines[-1] if lines else ''}"[:1000]


def _describe(kernel: Any, directory: str, target: str) -> dict[str, Any]:
    record: dict[str, Any] = {
        "name": str(kernel.metadata.name),
        "shared_bytes": int(kernel.metadata.shared),
        "warps": int(kernel.metadata.num_warps),
        "stages": int(kernel.metadata.num_stages),
    }
    path = os.path.join(directory, ".kernel.ptx")  # noqa: PTH118
    with open(path, "w") as file:  # noqa: PTH123
        file.write(kernel.asm["ptx"])
    try:
        from triton.backends.nvidia.compiler import get_ptxas

        lines = kernel.asm["ptx"].splitlines()
        architecture = next(line.split()[1] for line in lines if line.startswith(".target"))
        tool = get_ptxas(number(target)).path
        status, log = run(
            [tool, "-v", f"--gpu-name={architecture.rstrip(',')}", path, "-o", "/dev/null"],
            directory,
            seconds=60,
        )
    except Exception as error:
        return record | {"note": f"ptxas could not be asked: {error}"[:300]}
    told = kernels(log) if not status else []
    return record | {k: v for k, v in (told[0] if told else {}).items() if k not in record}
