"""Which program serves which role. Imported by the zygote, so that the forks need no file for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .candidate import CandidateProgram
from .loop import Program


def make(role: str, config: Mapping[str, Any], scratch: str) -> Program:
    """The program for a role, with torch's threads set alike for all of them."""
    import torch

    if torch.get_num_threads() != config["threads"]:  # setting it starts a thread even when nothing changes
        torch.set_num_threads(config["threads"])
    torch.set_grad_enabled(False)
    if role == "candidate":
        return CandidateProgram(scratch)
    if role == "builder":
        from .builder import BuilderProgram

        return BuilderProgram(scratch, config)
    if role == "program":
        from .command import CommandProgram

        return CommandProgram(scratch)
    from .reference import ReferenceProgram

    return ReferenceProgram(scratch, config)
