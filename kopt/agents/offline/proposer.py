"""The offline proposer: no model, no key, no GPU; kernels from the reference's own graph.

It reads the trace in the context, asks the pattern modules for plans, and yields their candidates, best guess
first. What it cannot help with, and why, is in :meth:`OfflineProposer.explain`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from kopt.agents.context import Context
from kopt.agents.offline.graph import UNFIT, Graph, GraphError, Unsupported
from kopt.agents.offline.plan import recognise
from kopt.agents.offline.reading import parse
from kopt.words import Candidate

TRACE = "kopt.agents.offline.trace:trace"
"""What to invoke beside the reference to obtain ``Context.graph``."""


class OfflineProposer:
    """Generates fused kernels for the graphs its pattern modules know."""

    name = "offline"

    def __init__(self) -> None:
        self._reasons: list[str] = []

    def propose(self, context: Context) -> Iterable[Candidate]:
        """Candidates not tried yet, best guess first."""
        tried = {candidate.digest for candidate, _ in context.history}
        for candidate in self._candidates(context):
            if candidate.digest not in tried:
                tried.add(candidate.digest)
                yield candidate

    def explain(self) -> list[str]:
        """Why the last :meth:`propose` had nothing, or what it left out: a line each, the most telling last."""
        return list(self._reasons)

    def _candidates(self, context: Context) -> Iterator[Candidate]:
        self._reasons = []
        graph = self._graph(context)
        if graph is None:
            return
        try:
            plans, refusals = recognise(graph)
        except UNFIT as error:
            self._reasons.append(_unfit(error))
            return
        made = 0
        for plan in plans:
            try:
                for candidate in plan.candidates():
                    made += 1
                    yield candidate
            except Unsupported as refusal:
                self._reasons.append(str(refusal))
            except UNFIT as error:
                self._reasons.append(_unfit(error))
        if not made:
            self._reasons[:0] = refusals
        if not made and not self._reasons:
            operations = sorted({node.op for node in graph.live()})
            self._reasons.append(
                f"no pattern covers {', '.join(operations[:8]) or 'a graph without operations'}"
            )

    def _graph(self, context: Context) -> Graph | None:
        if context.graph is None:
            self._reasons.append("the reference was not traced")
            return None
        traces = [context.graph] if isinstance(context.graph, Mapping) else list(context.graph)
        try:
            return parse(*traces)
        except (GraphError, Unsupported) as error:
            self._reasons.append(str(error))
            return None


def _unfit(error: Exception) -> str:
    """A trace comes from a process that also ran untrusted code: the proposer does without it."""
    where = error.__traceback__
    while where is not None and where.tb_next is not None:
        where = where.tb_next
    place = where.tb_frame.f_globals.get("__name__", "") if where is not None else ""
    return (
        f"the trace has operations with arguments that ATen does not know ({type(error).__name__} in {place})"
    )
