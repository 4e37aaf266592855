"""Which program serves which role."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .loop import Program

EARLY = ("builder", "program")  # the roles that need no torch, or import it themselves


def make(role: str, config: Mapping[str, Any], scratch: str, *, compiling: bool = False) -> Program:
    """The program for a role, with torch's threads set alike for all that call kernels.

    ``compiling``: what ``torch.compile`` needs is imported now, two seconds that can pass beside something else.
    """
    if role == "builder":
        from .builder import BuilderProgram

        return BuilderProgram(scratch, config)
    if role == "program":
        from .command import CommandProgram

        return CommandProgram(scratch)
    import torch

    if torch.get_num_threads() != config["threads"]:  # setting it starts a thread even when nothing changes
        torch.set_num_threads(config["threads"])
    torch.set_grad_enabled(False)
    if role == "candidate":
        from .candidate import CandidateProgram

        return CandidateProgram(scratch)
    if compiling:
        from .inductor import imported

        imported()
    from .reference import ReferenceProgram

    return ReferenceProgram(scratch, config)
