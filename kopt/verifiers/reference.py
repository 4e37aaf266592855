"""The reference's side: one runner holding one workload under one implementation, and its ring."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kopt.errors import ProblemError
from kopt.sandbox import Role, RunnerHandle, Sandbox, SharedBuffer
from kopt.sandbox.errors import RunnerCrashed, RunnerError, RunnerRaised, RunnerTimedOut
from kopt.verifiers import claims
from kopt.verifiers.layout import Layout, truth_specs
from kopt.verifiers.ring import Ring
from kopt.words import Problem, Workload, WorkloadSpec

SECONDS = 300.0


def problem_error(problem: Problem, error: RunnerError) -> ProblemError:
    """What went wrong with the reference, as one line with the next step."""
    path = problem.path or problem.name
    if isinstance(error, RunnerRaised):
        if error.type == "ProblemError":
            return ProblemError((error.message.splitlines() or ["it cannot be judged"])[0][:500])
        line = error.line if error.file == problem.entry else None
        first = (error.message.splitlines() or [""])[0][:300]
        return ProblemError(
            f"the reference raises {error.type}: {first}: run the file by itself and mend it",
            path=path,
            line=line,
        )
    if isinstance(error, RunnerTimedOut):
        return ProblemError(
            f"the reference gives no answer within {error.seconds:g} s ({error.what}): "
            "use smaller sizes, with --set",
            path=path,
        )
    if isinstance(error, RunnerCrashed):
        return ProblemError(
            f"the reference's process ended ({error.detail}): use smaller sizes, with --set", path=path
        )
    return ProblemError(
        f"the reference's process broke the protocol ({error}): run the file by itself", path=path
    )


class Reference:
    """A reference runner. Its failures are the problem's: they raise :class:`ProblemError`."""

    def __init__(self, problem: Problem, sandbox: Sandbox, runner: RunnerHandle | None = None) -> None:
        self.problem = problem
        self.runner: RunnerHandle = runner or sandbox.spawn(Role.REFERENCE)
        self.ring: Ring | None = None
        self.settled: dict[str, float] = {}
        body = {"format": problem.format, "sources": dict(problem.sources), "entry": problem.entry}
        found = self.ask("load_problem", body).get("workloads")
        self.workloads: tuple[Workload, ...] = claims.workloads(found, problem)

    def ask(
        self,
        op: str,
        body: Mapping[str, Any] | None = None,
        fds: Sequence[int] = (),
        timeout: float = SECONDS,
    ) -> dict[str, Any]:
        """A request whose failure is the problem's."""
        self.runner.thaw()
        try:
            return self.runner.request(op, dict(body or {}), timeout=timeout, fds=fds)
        except RunnerError as error:
            raise problem_error(self.problem, error) from error

    def select(self, workload: Workload, seed: int, smoke: bool = False) -> WorkloadSpec:
        """Build one workload's model."""
        reply = self.ask("select", {"workload": workload.index, "seed": seed, "smoke": smoke})
        return claims.spec(reply.get("spec"), workload, self.problem)

    def attach(self, layout: Layout) -> Ring:
        """Give the runner a new ring of this layout, in other memory than the one it had."""
        old, self.ring = self.ring, Ring(layout)
        self.ring.fill_gaps()
        self.ask("attach", self.ring.attachment(), [self.ring.buffer.fd])
        if old is not None:
            old.close()
        return self.ring

    def attach_truth(self, spec: WorkloadSpec) -> Ring:
        """Give the runner two slots for float64 outputs; the caller closes them."""
        truth = Ring(Layout.of([("output", truth_specs(spec.outputs))], 2))
        self.ask("attach_truth", truth.attachment(), [truth.buffer.fd])
        return truth

    def state(self, spec: WorkloadSpec) -> tuple[SharedBuffer, Layout] | None:
        """The model's parameters and buffers, in memory to share with candidates; None when it has none."""
        if not spec.state:
            return None
        layout = Layout.of([("input", spec.state)], 1)
        buffer = SharedBuffer(layout.size, "state")
        self.settled = self.ask("state", {"layout": layout.to_json()}, [buffer.fd]).get("settled") or {}
        return buffer, layout

    def generate(
        self,
        slots: Sequence[int],
        seeds: Sequence[int],
        distribution: str = "declared",
        *,
        beside: bool = False,
    ) -> str | None:
        """Fill inputs, maybe ``beside`` others that do the same; the reason when this distribution does not apply."""
        body = {"slots": list(slots), "seeds": list(seeds), "distribution": distribution, "beside": beside}
        skipped = self.ask("generate", body).get("skipped")
        return str(skipped) if skipped else None

    def round(self, start: int, count: int, timeout: float = SECONDS) -> float:
        """Time a round."""
        try:
            return self.runner.round(start, count, timeout=timeout)
        except RunnerError as error:
            raise problem_error(self.problem, error) from error

    def flush(self, slots: Sequence[int]) -> None:
        """Have the last round's outputs written into the ring."""
        self.ask("flush", {"slots": list(slots)})

    def freeze(self) -> None:
        """Stop it while somebody else is timed."""
        try:
            self.runner.freeze()
        except RunnerError as error:
            raise problem_error(self.problem, error) from error

    def close(self) -> None:
        """End the runner and free its ring."""
        self.runner.kill()
        if self.ring is not None:
            self.ring.close()
            self.ring = None
