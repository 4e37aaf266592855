"""The frame of a generated Triton file: what it computes, tunables, helpers, kernels, and ``run`` that launches them.

``run`` is called in destination style: ``run(*tensor inputs, *state, *outputs)``, each a ``torch.Tensor``.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from kopt.agents.offline.gpu.kernel import Kernel, helper_functions, on_host
from kopt.agents.offline.graph import Graph
from kopt.words import Candidate, Language, Style, Tunable

FILE = "kernel.py"


@dataclass
class Launch:
    """One kernel and how it is launched.

    Attributes:
        kernel: the function.
        grid: how many programs, as Python over the arguments' sizes (as ``Graph.size`` writes them), ``constants``,
            tunables and host variables; up to three, for axes 0, 1 and 2.
        constants: compile-time parameters, each with the Python that gives it (a tunable, or a literal).
        scratch: tensors of ``scratch_type`` it fills for later kernels, each with its number of elements, likewise as
            Python.
        options: keyword arguments of the launch itself.
    """

    kernel: Kernel
    grid: Sequence[str]
    constants: Mapping[str, str]
    scratch: Mapping[str, str] = field(default_factory=dict)
    scratch_type: str = "float32"
    options: Mapping[str, str] = field(default_factory=lambda: {"num_warps": "WARPS"})

    def on_host(self, text: str) -> str:
        """Text over sizes and ``constants`` as the host writes it."""
        return on_host(re.sub(r"\b[A-Z]\w*\b", lambda name: self.constants.get(name[0], name[0]), text))


def triton_candidate(
    graph: Graph,
    launches: Sequence[Launch],
    *,
    title: str,
    why: str,
    comment: Sequence[str],
    tunables: Sequence[Tunable],
    variables: Sequence[str] = (),
    schedule: Sequence[str] = (),
) -> Candidate:
    """The candidate made of these launches, one after the other.

    Args:
        graph: gives the parameters.
        launches: the kernels.
        title: one line, what is computed.
        why: one line, why it should be fast.
        comment: mathematics, launch shape, and the reason for each trick; wrapped to the line length.
        tunables: constants of the module.
        variables: statements of ``run`` before the first launch (sizes that no argument has).
        schedule: the kinds of loops, for the notes.
    """
    names = graph.parameters
    lines = [on_host(v) for v in variables]
    device = next(iter(graph.output_names))
    for launch in launches:
        lines += [
            f"{name} = torch.empty({launch.on_host(count)}, dtype=torch.{launch.scratch_type}, device={device}.device)"
            for name, count in launch.scratch.items()
        ]
        given = [*launch.kernel.arguments()]
        given += [f"{k}={v}" for k, v in {**launch.constants, **launch.options}.items()]
        grid = ", ".join(launch.on_host(g) for g in launch.grid)
        lines.append(f"{launch.kernel.name}[({grid},)]({', '.join(given)})")
    helpers = set().union(*(launch.kernel.helpers for launch in launches))
    doc = "\n".join([f'"""{title}.', "", *_wrapped(comment), '"""'])
    needs_torch = any(launch.scratch for launch in launches)
    text = f"{doc}\n\n" + ("import torch\n" if needs_torch else "") + "import triton\n"
    text += "import triton.language as tl\n\n" + "".join(f"{t.name} = {t.default}\n" for t in tunables)
    text += helper_functions(helpers)
    for launch in launches:
        text += "\n\n" + launch.kernel.source(list(launch.constants))
    text += f"\n\ndef run({', '.join(names)}):\n" + "\n".join(f"    {line}" for line in lines) + "\n"
    return Candidate(
        sources={FILE: text},
        language=Language.TRITON,
        entry=f"{FILE}::run",
        style=Style.DESTINATION,
        proposer="offline",
        tunables=tuple(tunables),
        notes={"plan": f"{title} (Triton)", "schedule": list(schedule), "why": why},
    )


def _wrapped(lines: Sequence[str]) -> list[str]:
    return [piece for line in lines for piece in textwrap.wrap(line, 108, subsequent_indent="    ") or [""]]
