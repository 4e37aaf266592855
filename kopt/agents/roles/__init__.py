"""Roles: what a model is asked, as a template per role, and how its answer becomes a proposal.

Every role's request begins with the same two messages, the rules and the problem, byte for byte: providers keep
that prefix, and a run pays for it once. A role's own file holds only what is particular to it.
"""

from kopt.agents.roles.prompts import (
    Role,
    Task,
    choose_role,
    read_proposal,
    request_for,
)

__all__ = ["Role", "Task", "choose_role", "read_proposal", "request_for"]
