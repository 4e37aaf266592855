"""Run code nobody trusts: isolation, runners forked from a zygote, toolchains and their cache.

Owns processes, memory shared with them, and builds. Knows nothing of verdicts: the judge decides what a
runner's bytes and times mean.
"""

from kopt.sandbox.buffers import SharedBuffer
from kopt.sandbox.builder import Builder, BuildResult
from kopt.sandbox.errors import (
    ProtocolViolation,
    RunnerCrashed,
    RunnerError,
    RunnerRaised,
    RunnerTimedOut,
    SandboxUnavailable,
)
from kopt.sandbox.handle import RunnerHandle
from kopt.sandbox.limits import Limits, Role
from kopt.sandbox.report import IsolationReport
from kopt.sandbox.session import Sandbox, open_sandbox

__all__ = [
    "BuildResult",
    "Builder",
    "IsolationReport",
    "Limits",
    "ProtocolViolation",
    "Role",
    "RunnerCrashed",
    "RunnerError",
    "RunnerHandle",
    "RunnerRaised",
    "RunnerTimedOut",
    "Sandbox",
    "SandboxUnavailable",
    "SharedBuffer",
    "open_sandbox",
]
