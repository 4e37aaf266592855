"""Triton: compile for a GPU that is not here, by catching the launches of the candidate's own host code.

The entry is called once on uninitialised tensors of the workload's shapes; every launch is turned into a
compilation for the target. Running (by Triton's interpreter) is the candidate runner's business.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from ..loop import BadRequest
from ..sources import load_symbol
from . import sass
from .common import Outcome, run
from .ptxas import kernels

MOST_KERNELS = 64


class _FakeUtils:
    """Device properties of the target, for heuristics that ask."""

    @staticmethod
    def get_device_properties(device: int) -> dict[str, int]:
        return {"max_shared_mem": 232448, "multiprocessor_count": 132, "max_num_regs": 65536, "warpSize": 32}


class _FakeDriver:
    """Stands where Triton expects the driver of a present GPU."""

    utils = _FakeUtils()

    def __init__(self, target: Any) -> None:
        self.target = target

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


def _catch_launches(found: list[Any]) -> None:
    from triton.runtime.jit import JITFunction

    original = JITFunction.run

    def compile_only(self: Any, *args: Any, grid: Any, warmup: bool, **options: Any) -> Any:
        kernel = original(self, *args, grid=grid, warmup=True, **options)
        if kernel is not None and kernel not in found and len(found) < MOST_KERNELS:
            found.append(kernel)
        return kernel

    JITFunction.run = compile_only


def _call(directory: str, body: Mapping[str, Any]) -> None:
    import torch

    symbol = load_symbol(directory, body["entry"])
    spec = body.get("spec")
    if not spec:
        return

    def empty(item: Mapping[str, Any]) -> torch.Tensor:
        return torch.empty_strided(item["shape"], item["strides"], dtype=getattr(torch, item["dtype"]))

    arguments = [empty(a) if a["kind"] == "tensor" else a["value"] for a in spec["arguments"]]
    if isinstance(symbol, type):
        symbol = symbol(*(spec.get("init") or []))
    elif body["style"] == "destination":
        arguments += [empty(item) for item in (*spec["state"], *spec["outputs"])]
    symbol(*arguments)


def build(directory: str, config: Mapping[str, Any], body: Mapping[str, Any]) -> Outcome:
    """Compile every kernel the entry launches; registers, spills and shared memory go into the report.

    For a profile there is a listing of them instead, as the artefact.
    """
    try:
        import triton
        from triton.backends.compiler import GPUTarget
        from triton.compiler.errors import CompilationError
    except ImportError:
        raise BadRequest("triton is not installed: pip install 'kopt[gpu]'", kind="build") from None
    target = body.get("target") or "sm_90"
    triton.runtime.driver.set_active(
        _FakeDriver(GPUTarget("cuda", int(target.removeprefix("sm_").rstrip("af")), 32))
    )
    found: list[Any] = []
    _catch_launches(found)
    report: dict[str, Any] = {
        "target": target,
        "timed": "not timed here: no GPU",
        "triton": triton.__version__,
    }
    try:
        _call(directory, body)
    except CompilationError as error:
        return Outcome(False, log=str(error)[:16000], first_error=_where(error, directory), report=report)
    except (SyntaxError, ImportError) as error:
        return Outcome(
            False, log=traceback.format_exc()[-16000:], first_error=_where(error, directory), report=report
        )
    except (
        BaseException
    ) as error:  # host code that cannot run on empty tensors says nothing about the kernels
        if not found and type(error).__module__.startswith("triton"):
            return Outcome(
                False,
                log=traceback.format_exc()[-16000:],
                first_error=_where(error, directory),
                report=report,
            )
        report["note"] = f"the host code stopped: {type(error).__name__}: {str(error)[:300]}"
    if body.get("profiled"):
        cubins = [kernel.asm["cubin"] for kernel in found]
        return Outcome(True, artifact=sass.listing(cubins, directory, config, body["sources"]), report=report)
    report["kernels"] = [_describe(kernel, directory, target) for kernel in found]
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
    return f"{file}:{line}: {type(root).__name__}: {lines[-1] if lines else ''}"[:1000]


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
        tool = get_ptxas(int(target.removeprefix("sm_").rstrip("af"))).path
        status, log = run(
            [tool, "-v", f"--gpu-name={architecture.rstrip(',')}", path, "-o", "/dev/null"],
            directory,
            seconds=60,
        )
    except Exception as error:
        return record | {"note": f"ptxas could not be asked: {error}"[:300]}
    told = kernels(log) if not status else []
    return record | {k: v for k, v in (told[0] if told else {}).items() if k not in record}
