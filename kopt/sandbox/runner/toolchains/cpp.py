"""C++ for the CPU: one call of the compiler, TVM-FFI headers, a shared object that tvm_ffi loads."""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..loop import BadRequest
from .common import Outcome, check_flags, first_error, run

FLAGS = ["-O3", "-march=native", "-fopenmp", "-std=c++20", "-fPIC", "-shared"]
CAREFUL = [
    "-fmax-errors=5",
    "-ftemplate-depth=512",
    "-fno-diagnostics-show-caret",
    "-fdiagnostics-color=never",
]
# Compiled ahead with the same flags: 1.5 s per candidate without, 0.7 s with it.
PRELUDE = """\
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
"""
UNITS = (".cpp", ".cc", ".cxx", ".c")
ALLOWED = re.compile(
    r"-O[0-3s]|-Ofast|-ffast-math|-fno-[a-z0-9-]+|-g0?|-std=(c|gnu)\+\+(17|20|23)|-W(no-)?[a-z0-9-]+(=\d+)?|"
    r"-f(unroll(-all)?-loops|math-errno|trapping-math|signed-zeros|associative-math|reciprocal-math|"
    r"finite-math-only|tree-vectorize|strict-aliasing|openmp(-simd)?|fp-contract=(fast|on|off)|"
    r"inline-functions|prefetch-loop-arrays|omit-frame-pointer|peel-loops|split-loops|"
    r"vect-cost-model=(unlimited|dynamic|cheap|very-cheap))|"
    r"-m(arch|tune)=[a-z0-9-]+|-m(no-)?(avx|avx2|fma|f16c|bmi2?|sse[0-9.]*|avx512[a-z0-9]+|vzeroupper)|"
    r"-mprefer-vector-width=(128|256|512|none)|-D[A-Za-z_]\w*(=[\w.+-]*)?|-U[A-Za-z_]\w*|--param=[a-z-]+=\d+"
)


def _package() -> str:
    """Where TVM-FFI lies: found, not imported, which would import torch."""
    found = importlib.util.find_spec("tvm_ffi")
    if found is None or not found.submodule_search_locations:
        raise BadRequest("apache-tvm-ffi is not installed here", kind="build")
    return found.submodule_search_locations[0]


def includes() -> list[str]:
    """Where TVM-FFI's headers lie."""
    root = _package()
    places = (f"{root}/include", f"{root}/3rdparty/dlpack/include")
    return [f"-I{place}" for place in places if os.path.isdir(place)]  # noqa: PTH112


def libraries() -> list[str]:
    """Link against TVM-FFI, so that a symbol nobody defines fails the build and not the load."""
    return [f"-L{_package()}/lib", "-ltvm_ffi", "-Wl,--no-undefined"]


def precompile(directory: str, compiler: str) -> tuple[bytes, dict[str, str]]:
    """Compile the prelude; the bytes and the header's text, which must lie beside them."""
    header = os.path.join(directory, "kopt_prelude.h")  # noqa: PTH118
    with open(header, "w") as file:  # noqa: PTH123
        file.write(PRELUDE)
    status, log = run(
        [compiler, *FLAGS, *includes(), "-x", "c++-header", header, "-o", header + ".gch"],
        directory,
        seconds=120,
    )
    if status:
        raise BadRequest(f"the prelude does not compile: {log[:500]}", kind="build")
    with open(header + ".gch", "rb") as file:  # noqa: PTH123
        return file.read(), {"kopt_prelude.h": PRELUDE}


def compile_command(
    directory: str, config: Mapping[str, Any], body: Mapping[str, Any], more: Sequence[str] = ()
) -> tuple[list[str], str]:
    """The one call of the compiler, and where what it makes will lie; ``more`` flags come last.

    Raises:
        BadRequest: nothing to compile, or a flag that is not on the list.
    """
    extra = check_flags(body["flags"], ALLOWED)
    units = sorted(name for name in body["sources"] if name.endswith(UNITS))
    if not units:
        raise BadRequest("there is no C++ file among the sources", kind="build")
    prelude = f"{config['headers']}/kopt_prelude.h"
    ahead = ["-include", prelude] if os.path.exists(prelude) else []  # noqa: PTH110
    target = os.path.join(directory, ".candidate.so")  # noqa: PTH118
    front = [body["compiler"], *FLAGS, *CAREFUL, *ahead, *extra, *more]
    return [*front, "-I.", *includes(), *units, "-o", target, *libraries()], target


def build(directory: str, config: Mapping[str, Any], body: Mapping[str, Any]) -> Outcome:
    """Compile every unit among the sources into one shared object."""
    command, target = compile_command(directory, config, body)
    status, log = run(command, directory, seconds=body["seconds"])
    report = {"compiler": body["compiler"], "flags": [*FLAGS[:-2], *body["flags"]]}
    if status:
        return Outcome(
            False, log=log, first_error=first_error(log, directory) or "the compiler failed", report=report
        )
    with open(target, "rb") as file:  # noqa: PTH123
        return Outcome(True, artifact=file.read(), log=log, report=report)
