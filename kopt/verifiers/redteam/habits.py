"""Honest candidates with odd but legal habits: the judge must accept every one of them.

``honest/`` holds one candidate per file (or per folder, whose ``candidate.*`` has the entry and whose other files
are its headers and modules). Each begins with two comments::

    // habit: threads started for each call and joined in it
    // problem: silu

and is judged on ``honest/problems/silu.py``, through the ordinary evaluation path. A judge that catches all attacks
by refusing everything would be of no use: what this corpus counts is refusals.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from kopt.errors import UsageError
from kopt.problems import load
from kopt.settings import Settings
from kopt.verifiers.evaluator import Evaluator
from kopt.verifiers.sampling import Effort
from kopt.words import Candidate, Evaluation
from kopt.words.source_file import candidate_of, has_entry

HERE = Path(__file__).parent / "honest"
PROBLEMS = HERE / "problems"
_HEADER = re.compile(r"(?:#|//) habit: (?P<habit>.+)\n(?:#|//) problem: (?P<problem>\w+)\n")


@dataclass(frozen=True, kw_only=True)
class Honest:
    """One honest candidate: what it is called, what is odd about it, and on which problem it is judged."""

    name: str
    habit: str
    problem: str
    candidate: Candidate


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What the judge made of it."""

    honest: Honest
    evaluation: Evaluation

    @property
    def refused(self) -> bool:
        """Whether the verdict is anything but ``correct``."""
        return not self.evaluation.correct


def read(path: Path) -> Honest:
    """Read one candidate, a file or a folder. Nothing of it is executed.

    Raises:
        UsageError: its header or its entry is missing.
    """
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    sources = {
        str(file.relative_to(path)) if path.is_dir() else f"candidate{file.suffix}": file.read_text("utf-8")
        for file in files
        if file.suffix in (".cpp", ".h", ".py")
    }
    main = next((name for name in sources if name.rpartition(".")[0] == "candidate"), "")
    text = sources.get(main, "")
    header = _HEADER.match(text)
    if header is None:
        raise UsageError(f"{path.name} does not begin with its habit and its problem; see {__name__}")
    return Honest(
        name=path.stem,
        habit=header["habit"],
        problem=header["problem"],
        candidate=_candidate(path.name, sources, main),
    )


def _candidate(path: str, sources: dict[str, str], main: str) -> Candidate:
    if main.endswith(".py") and not has_entry(sources[main]):
        raise UsageError(f"{path} defines none of ModelNew, run, run_into: add one")
    return replace(candidate_of(main, sources[main]), sources=sources)


def honest(names: Iterable[str] = ()) -> list[Honest]:
    """All honest candidates, or those named, in order of problem and name.

    Raises:
        UsageError: one of them does not exist or is malformed.
    """
    found = {p.stem: p for p in HERE.iterdir() if p != PROBLEMS and not p.name.startswith(("_", "."))}
    wanted = list(names) or list(found)
    unknown = sorted(set(wanted) - set(found))
    if unknown:
        raise UsageError(f"no honest candidate {', '.join(unknown)}: there are {', '.join(sorted(found))}")
    return sorted((read(found[name]) for name in wanted), key=lambda h: (h.problem, h.name))


def judge_honest(
    chosen: Iterable[Honest],
    *,
    sandbox: str = "auto",
    settings: Settings | None = None,
    effort: Effort = Effort.FULL,
    observe: Callable[[Judged], None] | None = None,
) -> list[Judged]:
    """Judge candidates, one evaluator per problem.

    Raises:
        ProblemError: a problem cannot be judged here.
        SandboxUnavailable: nothing here can isolate.
    """
    judged = []
    for problem, group in groupby(sorted(chosen, key=lambda h: (h.problem, h.name)), key=lambda h: h.problem):
        with Evaluator(load(PROBLEMS / f"{problem}.py"), sandbox=sandbox, settings=settings) as evaluator:
            for one in group:
                judged.append(Judged(honest=one, evaluation=evaluator.evaluate(one.candidate, effort=effort)))
                if observe is not None:
                    observe(judged[-1])
    return judged
