"""Fused pointwise work and reductions as Triton: the stages of a lowered graph, each as many kernels as it needs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from kopt.agents.offline import nest as nests
from kopt.agents.offline.gpu.file import Launch, triton_candidate
from kopt.agents.offline.gpu.loops import MAX_BLOCK, launches
from kopt.agents.offline.staging import stages
from kopt.words import Candidate, Tunable

if TYPE_CHECKING:
    from kopt.agents.offline.fused import FusedPlan

_SHAPES = {
    "flat": "One program per BLOCK neighbouring elements.",
    "columns": "One program per BLOCK columns: neighbouring lanes read neighbouring addresses in every row.",
    "rows": "One program per row; a row longer than BLOCK is walked block by block, once per pass.",
    "split": "One program per row; a row longer than BLOCK is walked block by block, once per pass.",
}


def candidate(plan: FusedPlan) -> Candidate:
    """The Triton candidate of a lowered graph.

    Raises:
        Unsupported: float64 takes part, or a function has no Triton form.
    """
    lowered = plan.lowered
    made: list[Launch] = []
    kinds: list[str] = []
    main: Launch | None = None
    most = -1
    for number, (stage, scratch) in enumerate(stages(nests.build(lowered), cores=0)):
        work = nests.count(stage.loops)  # the stage that walks most is the one worth tuning
        found, of_kind = launches(stage, "kernel" if not number else f"kernel{number + 1}")
        for name, size in scratch:
            found[0].scratch = {**found[0].scratch, name: _on_arguments(size, stage.bounds)}
        made += found
        kinds += of_kind
        if work > most and "CHUNKS" not in found[0].constants:
            most, main = work, found[0]
    tunables = [Tunable(name="WARPS", choices=(2, 4, 8), default=4)]
    if main is not None:
        block = int(main.constants["BLOCK"])
        choices = tuple(
            b for b in (128, 256, 512, 1024, 2048, 4096, MAX_BLOCK) if block // 4 <= b <= block * 2
        )
        main.constants = {**main.constants, "BLOCK": "BLOCK"}
        tunables.insert(0, Tunable(name="BLOCK", choices=choices or (block,), default=block))
    comment = [*lowered.mathematics(), "", *dict.fromkeys(_SHAPES[kind] for kind in kinds)]
    if any("CHUNKS" in launch.constants for launch in made):
        comment.append(
            "Too few rows to fill a GPU: CHUNKS programs share each, and the next kernel joins their results."
        )
    return triton_candidate(
        lowered.graph,
        made,
        title=plan.title,
        why="no intermediate tensor is written"
        if len(made) > 1
        else "one kernel launch, no intermediate tensor",
        comment=comment,
        tunables=tunables,
        schedule=kinds,
    )


def _on_arguments(size: str, bounds: Mapping[str, str]) -> str:
    """A size over the names of loops, as one over the arguments' sizes."""
    return re.sub(r"\bN\d+\b", lambda name: f"({bounds[name[0]]})", size)
