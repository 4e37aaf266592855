"""The frame of a generated C++ file: comment, tunables, prelude, loops, TVM-FFI entry.

The entry is called in destination style: ``run(*tensor inputs, *state, *outputs)``, each a
``tvm::ffi::TensorView``. Shapes and scalars are baked in where they do not vary between workloads.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kopt.agents.offline.graph import Graph
from kopt.agents.offline.prelude import C_TYPES, prelude
from kopt.words import Candidate, Language, Style, Tunable

FILE = "kernel.cpp"


def real_type(graph: Graph) -> str:
    """The accumulation type: double where float64 takes part, else float."""
    return "double" if any(v.dtype == "float64" for v in graph.values.values()) else "float"


def pointers(graph: Graph, used: Iterable[str] | None = None) -> list[str]:
    """Statements that give each parameter's data pointer the name ``<parameter>_p``."""
    wanted = set(used) if used is not None else set(graph.parameters)
    lines = []
    for name in (*graph.inputs, *graph.state):
        if name in wanted and name in graph.values:
            kind = C_TYPES[graph.values[name].dtype]
            lines.append(
                f"const {kind}* __restrict const {name}_p = static_cast<const {kind}*>({name}.data_ptr());"
            )
    for name, value in zip(graph.output_names, graph.outputs, strict=True):
        kind = C_TYPES[graph.values[value].dtype]
        lines.append(f"{kind}* __restrict const {name}_p = static_cast<{kind}*>({name}.data_ptr());")
    return lines


def cpp_file(
    graph: Graph,
    *,
    title: str,
    comment: Sequence[str],
    functions: str,
    body: Sequence[str],
    helpers: Iterable[str] = (),
    tunables: Sequence[Tunable] = (),
    includes: Sequence[str] = (),
    used: Iterable[str] | None = None,
    meanings: Mapping[str, str] | None = None,
) -> str:
    """Assemble the file.

    Args:
        graph: gives the parameters and dtypes.
        title: one line, what is computed.
        comment: mathematics, launch shape and the reason for each trick; wrapped to the line length.
        functions: C++ text at namespace scope, after the prelude.
        body: statements of ``run``; pointers ``<parameter>_p`` are already declared.
        helpers: prelude pieces the functions and body call.
        tunables: macros, each guarded so that a value can be prepended.
        includes: further headers, e.g. ``<algorithm>``.
        used: parameters whose pointers are needed; all by default.
        meanings: what each tunable does, one line each.
    """
    meanings = meanings or {}
    header = [f"// {title}", "//"] if comment else [f"// {title}"]
    for paragraph in comment:
        header += textwrap.wrap(paragraph, 108, initial_indent="// ", subsequent_indent="//   ") or ["//"]
    macros = []
    for t in tunables:
        macros += [
            "#ifndef " + t.name,
            f"#define {t.name} {t.default}" + (f"  // {meanings[t.name]}" if t.name in meanings else ""),
            "#endif",
        ]
    heads = ["<cmath>", "<cstdint>", "<cstring>", "<omp.h>", "<immintrin.h>", *includes]
    dtypes = {v.dtype for n, v in graph.values.items() if n in {*graph.inputs, *graph.state, *graph.outputs}}
    include_lines = [f"#include {h}" for h in dict.fromkeys(heads)]
    include_lines = [
        f"#if defined(__x86_64__)\n{line}\n#endif" if "immintrin" in line else line for line in include_lines
    ]
    parameters = ", ".join(f"tvm::ffi::TensorView {name}" for name in graph.parameters)
    lines = [
        *header,
        "",
        *include_lines,
        "",
        "#include <tvm/ffi/container/tensor.h>",
        "#include <tvm/ffi/function.h>",
    ]
    lines += ["", *macros] if macros else []
    lines += ["", "namespace {", "", prelude(helpers, dtypes, real_type(graph)).rstrip()]
    lines += ["", functions.strip("\n")] if functions.strip() else []
    lines += ["", "}  // namespace", ""]
    lines += textwrap.wrap(
        f"void run({parameters}) {{", 108, subsequent_indent="         ", break_long_words=False
    )
    lines += [f"  {line}" if line else "" for line in [*pointers(graph, used), *body]]
    lines += ["}", "", "TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, run);", ""]
    return "\n".join(lines)


def cpp_candidate(
    source: str,
    *,
    tunables: Sequence[Tunable] = (),
    notes: Mapping[str, Any],
    flags: Sequence[str] = (),
    proposer: str = "offline",
) -> Candidate:
    """Wrap a generated file as a candidate; ``notes`` carries plan, schedule and why."""
    return Candidate(
        sources={FILE: source},
        language=Language.CPP,
        entry=f"{FILE}::run",
        style=Style.DESTINATION,
        flags=tuple(flags),
        proposer=proposer,
        tunables=tuple(tunables),
        notes=dict(notes),
    )
