"""The strategy of an agent: what it asks to have judged is tried; when it ends, the best is confirmed.

Its own process decides what comes next, so a resumed run tells its strategy first what was tried before and then starts
an agent anew.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kopt.errors import UsageError
from kopt.problems.code import rules_of
from kopt.problems.scope import Scope
from kopt.rl.code_candidate import code_candidate
from kopt.rl.driven.door import Asked, Door
from kopt.rl.driven.workspace import DOOR, JUDGED, Workspace
from kopt.rl.ledger import Ledger
from kopt.rl.searching import Searching
from kopt.rl.service import answers
from kopt.rl.service.requests import CandidateText, candidate_from, check_candidate
from kopt.rl.strategy import Plan
from kopt.sandbox.guest import WORKSPACE, Guest
from kopt.settings import Settings
from kopt.words import Candidate, Evaluation, Problem

if TYPE_CHECKING:
    from kopt.verifiers.code import CodeEvaluator
    from kopt.verifiers.evaluator import Evaluator


@dataclass(frozen=True, kw_only=True)
class Order:
    """An agent's command line, for ``sh``; the folder of its run; what was tried before, in order."""

    command: str
    folder: Path
    settings: Settings
    past: Sequence[Candidate] = ()


class Driven(Searching):
    """Wait for the agent, try what it sends, answer; confirm the best."""

    name = "agent"

    def __init__(
        self, problem: Problem, evaluator: Evaluator | CodeEvaluator, ledger: Ledger, order: Order
    ) -> None:
        super().__init__(self._story(), ledger)
        self._problem, self._evaluator, self._order = problem, evaluator, order
        self._remarks: list[str] = []

    def explain(self) -> list[str]:
        """How the agent ended."""
        return self._remarks

    def _story(self) -> Plan:
        workspace = Workspace(self._order.folder, self._problem, self._evaluator)
        for candidate in self._order.past:
            yield from self._try(candidate, "explore")
            workspace.note(*self._seen[candidate.digest])
        with ExitStack() as keep:
            door_at = Path(keep.enter_context(tempfile.TemporaryDirectory(prefix="kopt-"))) / "door"
            door = keep.enter_context(Door(door_at))
            guest = self._invite(workspace, door_at)
            keep.callback(guest.end)
            while asked := door.next(lambda: guest.status is not None or not self._may_search()):
                yield from self._serve(asked, workspace)
            self._end(guest)
        yield from self._confirm()

    def _invite(self, workspace: Workspace, door: Path) -> Guest:
        settings = self._order.settings
        hidden = [settings.home]
        kind, _, path = settings.database_url.partition(":///")
        if kind.startswith("sqlite") and path and settings.home not in Path(path).parents:
            hidden.append(Path(path))
        return Guest(
            self._order.command,
            workspace=workspace.place,
            log=self._order.folder / "agent.log",
            shown={f"{WORKSPACE}/{DOOR}": door, f"{WORKSPACE}/{JUDGED}": workspace.judged},
            hidden=hidden,
        )

    def _end(self, guest: Guest) -> None:
        log = self._order.folder / "agent.log"
        if guest.status is None:
            self._remarks.append(f"the budget ended before the agent did; what it said is in {log}")
        elif guest.status or not self._seen:
            self._remarks.append(f"the agent ended with status {guest.status}; what it said is in {log}")

    def _serve(self, asked: Asked, workspace: Workspace) -> Plan:
        """Answer one question; it may take a trial."""
        if asked.words.get("op") == "status":
            asked.answer(self._standing())
            return
        try:
            candidate = self._candidate(asked.words)
        except UsageError as error:
            asked.answer({"error": str(error)})
            return
        known = candidate.digest in self._seen
        if not known:
            try:
                yield from self._try(candidate, "explore")
            except GeneratorExit:
                asked.answer({"error": "the budget is spent, or the run was ended"})
                raise
            workspace.note(*self._seen[candidate.digest])
        asked.answer(self._told(self._seen[candidate.digest][1], known))

    def _candidate(self, words: Mapping[str, Any]) -> Candidate:
        files, entry = words.get("files"), words.get("entry")
        if not isinstance(files, dict) or not all(isinstance(text, str) for text in files.values()):
            raise UsageError("give files as {name: text}")
        if self._problem.format == "code":
            return code_candidate(self._changed(files), proposer=self.name)
        given = CandidateText(files=files, entry=entry if isinstance(entry, str) else None)
        return replace(candidate_from(check_candidate(given)), proposer=self.name)

    def _changed(self, files: Mapping[str, str]) -> dict[str, str]:
        """What differs from the problem's files, without what is neither of them nor may be made."""
        sources = self._problem.sources
        scope = Scope(paths=rules_of(self._problem).editable)
        changed = {
            name: text
            for name, text in files.items()
            if sources.get(name) != text and (name in sources or scope.allows(name))
        }
        if not changed:
            raise UsageError("nothing in project/ differs from the original yet")
        return changed

    def _told(self, evaluation: Evaluation, known: bool) -> dict[str, Any]:
        names = [spec.workload.name for spec in self._evaluator.specs]
        found = answers.evaluation(evaluation, names)
        lines = [f"verdict: {found['verdict']}" + (" (known, nothing spent)" if known else "")]
        if found["reason"]:
            lines.append(f"issue: {found['reason']}")
        if "worst" in found:
            worst = found["worst"]
            lines.append(
                f"worst: {worst['output']}{worst['index']} of workload {worst['workload']} should be "
                f"{worst['expected']} and is {worst['got']} (allowed error {worst['allowed_error']}); "
                f"{worst['wrong_elements']} of {worst['of']} are wrong"
            )
        lines += found.get("explanation", ())
        for name, gain in found.get("speedup", {}).items():
            interval = f"{gain['ratio']} (95 % interval {gain['low']} to {gain['high']})"
            certain = "no certain gain" if gain["certain"] == "neither" else f"certainly {gain['certain']}"
            lines.append(f"speed-up over {name}: {interval}, {certain}")
        if "roofline" in found:
            roofline = found["roofline"]
            lines.append(f"roofline: {roofline['percent']} % of what {roofline['limit']} allows")
        lines += [f"note: {note}" for note in found.get("notes", ())]
        standing = self._standing()
        return {**found, "lines": [*lines, *standing["lines"]], "budget_left": standing["budget_left"]}

    def _standing(self) -> dict[str, Any]:
        left = {name: round(self._ledger.left(name), 1) for name in self._ledger.limits}
        told = ", ".join(f"{value:g} {name}" for name, value in left.items()) or "no limit"
        lines = [f"budget left: {told}; the confirmation is kept back from it"]
        ranked = self._ranked()
        if ranked:
            gain = ranked[0][1].gain
            assert gain is not None
            lines.append(f"best so far: {gain.ratio:.3g} ({gain.low:.3g} to {gain.high:.3g})")
        return {"budget_left": left, "lines": lines}
