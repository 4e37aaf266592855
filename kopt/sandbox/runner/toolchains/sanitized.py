"""C++ under a sanitizer: the candidate, linked with a host that calls it, as one program.

A shared object cannot be loaded into a Python that was started without the sanitizer's runtime, so there is no
shared object: ``sanitizers/host.cpp`` is the main program. For ThreadSanitizer ``sanitizers/openmp.cpp`` takes
libgomp's place.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from . import cpp
from .common import Outcome, check_flags, first_error, run

# What makes programs go wrong. Left out: alignment (harmless on the machines this runs on), null and
# nonnull-attribute (empty tensors have no address), pointer-overflow, object-size and vptr, which ask for more
# than kernels owe.
UNDEFINED = (
    "signed-integer-overflow,integer-divide-by-zero,shift-exponent,bounds,return,unreachable,vla-bound"
)
CHECKS = {"address": f"-fsanitize=address,{UNDEFINED}", "thread": "-fsanitize=thread"}
SOURCES = os.path.join(os.path.dirname(os.path.dirname(__file__)), "sanitizers")  # noqa: PTH118, PTH120
# After the candidate's own flags: what it asks for must not hide what went wrong.
_LAST = ["-O1", "-g1", "-fno-omit-frame-pointer", "-fno-optimize-sibling-calls", "-fPIE"]


def build(directory: str, config: Mapping[str, Any], body: Mapping[str, Any]) -> Outcome:
    """Compile the candidate's units and the host, and link them; the artefact is an executable."""
    sanitizer, compiler = body["sanitizer"], body["compiler"]
    extra = check_flags(body["flags"], cpp.ALLOWED)
    check = [CHECKS[sanitizer], *_LAST]
    base = [flag for flag in cpp.FLAGS if flag not in ("-fPIC", "-shared")]
    units = sorted(name for name in body["sources"] if name.endswith(cpp.UNITS))
    own = {"host": f"-DKOPT_ENTRY=__tvm_ffi_{body['entry'].partition('::')[2]}"}
    if sanitizer == "thread":
        own["openmp"] = "-fno-openmp"
    mapped = f"-ffile-prefix-map={directory}=."
    steps = [
        [
            compiler,
            *base,
            *cpp.CAREFUL,
            *extra,
            *check,
            mapped,
            "-I.",
            *cpp.includes(),
            "-c",
            unit,
            "-o",
            f".{n}.o",
        ]
        for n, unit in enumerate(units)
    ] + [
        [
            compiler,
            "-std=c++20",
            *check,
            flag,
            *cpp.includes(),
            "-c",
            f"{SOURCES}/{name}.cpp",
            "-o",
            f".{name}.o",
        ]
        for name, flag in own.items()
    ]
    objects = [step[-1] for step in steps]
    openmp = [] if sanitizer == "thread" else ["-fopenmp"]
    target = ".sanitized"
    steps.append(
        [compiler, CHECKS[sanitizer], *openmp, *objects, "-o", target, *cpp.libraries(), "-lpthread"]
    )
    log = ""
    report = {"compiler": compiler, "flags": check}
    for step in steps:
        status, words = run(step, directory, seconds=body["seconds"])
        log += words
        if status:
            return Outcome(
                False, log=log, first_error=first_error(words, directory) or words[:300], report=report
            )
    with open(os.path.join(directory, target), "rb") as file:  # noqa: PTH118, PTH123
        return Outcome(True, artifact=file.read(), log=log, report=report)
