"""CUDA: compile to a cubin and keep what ptxas reports. It is not run."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from ..loop import BadRequest
from . import NO_DEVICES, sass
from .common import Outcome, check_flags, first_error, run
from .cpp import includes
from .ptxas import kernels

ALLOWED = re.compile(
    r"-O[0-3]|--?use_fast_math|-std=c\+\+(17|20)|--(fmad|ftz|prec-div|prec-sqrt)=(true|false)|"
    r"--?maxrregcount=\d+|"
    r"-D[A-Za-z_]\w*(=[\w.+-]*)?|-U[A-Za-z_]\w*|--expt-(relaxed-constexpr|extended-lambda)|--extra-device-vectorization"
)


def build(directory: str, config: Mapping[str, Any], body: Mapping[str, Any]) -> Outcome:
    """Compile the entry file for ``target``; for a profile, the artefact is its listing."""
    extra = check_flags(body["flags"], ALLOWED)
    target = body["target"]
    entry = body["entry"].partition("::")[0]
    if entry not in body["sources"]:
        raise BadRequest(f"the entry file {entry!r} is not among the sources", kind="build")
    nvcc = f"{config['cuda']}/bin/nvcc" if config["cuda"] else "nvcc"
    cubin = os.path.join(directory, ".candidate.cubin")  # noqa: PTH118
    standard = [] if any(flag.startswith("-std=") for flag in extra) else ["-std=c++20"]
    command = [
        nvcc,
        "-cubin",
        f"-arch={target}",
        "-O3",
        *standard,
        "-Xptxas",
        "-v",
        *(["-lineinfo"] if body.get("profiled") else []),
        *extra,
        "-I.",
        *includes(),
    ]
    status, log = run([*command, "-x", "cu", entry, "-o", cubin], directory, seconds=body["seconds"])
    report: dict[str, Any] = {"target": target, "kernels": kernels(log), "timed": f"not timed: {NO_DEVICES}"}
    if status:
        return Outcome(
            False, log=log, first_error=first_error(log, directory) or "nvcc failed", report=report
        )
    with open(cubin, "rb") as file:  # noqa: PTH123
        artifact = file.read()
    if body.get("profiled"):
        artifact = sass.listing([artifact], directory, config, body["sources"])
    return Outcome(True, artifact=artifact, log=log, report=report)
