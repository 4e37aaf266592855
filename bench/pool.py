"""Worlds of real kernels: a pool of candidates per problem, each with the evaluation the judge gave it when recorded.

``python -m bench.pool`` records what is missing into ``material/pool/NAME.json``: kernels that the offline proposer
generates for a problem in ``problems/`` (made smaller), of every plan it has, with values of their tunables drawn at
random, defaults first; and the same kernels with one mistake, a missing semicolon or a changed operator, which do not
compile, crash or are wrong. Each is judged once, as ``kopt optimize`` judges while it searches; the fastest are judged
once more with full effort, and that counts, for else the best would be the luckiest.
``python -m bench.pool NAME SECONDS`` gives one problem more time. A candidate takes about
4 seconds where nothing else runs; nothing else should, or the records are of the noise.

What a proposal is, so that it is a model's and not an oracle's:

* written afresh: any sound kernel of the pool, all equally likely;
* made from a parent: one of the ``NEAR`` kernels of the pool most like it, equally likely, whether better or worse.
  Likeness counts steps between the values of tunables, in the order of their choices; another plan is ``PLAN`` away;
* repaired: the parent without its mistake;
* spoilt, with the model's own frequency: the kernel with a mistake. What the judge says of a mistake was recorded on
  some kernels of the problem and is taken to hold for the others: it does not hang on a tunable's value.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import random
import re
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.record import environment
from bench.worlds import Outcome
from kopt.agents.context import Context
from kopt.agents.offline.proposer import TRACE, OfflineProposer
from kopt.agents.tunables import defaults, instantiate
from kopt.problems import load
from kopt.verifiers import Effort, Evaluator
from kopt.words import Candidate, Language

HERE = Path(__file__).parent
POOL = HERE / "material" / "pool"
LINEAR, CONV, ATTENTION = "linear_scale_hardtanh_gelu", "conv2d_relu_bias_scale", "causal_attention"
SIZES: dict[str, tuple[str, dict[str, str]]] = {
    "attention": (ATTENTION, {"batch_size": "2", "tokens": "256"}),
    "conv": (CONV, {"batch_size": "4", "height": "64", "width": "64"}),
    "linear": (LINEAR, {"batch_size": "512", "out_features": "1024"}),
    "attention_long": (ATTENTION, {"batch_size": "1", "heads": "4", "tokens": "768"}),
    "conv_pointwise": (CONV, {"batch_size": "2", "in_channels": "64", "out_channels": "64", "height": "48",
                              "width": "48", "kernel_size": "1"}),
    "linear_few_rows": (LINEAR, {"batch_size": "64", "in_features": "1024", "out_features": "1024"}),
    "conv_wide": (CONV, {"batch_size": "2", "in_channels": "8", "height": "48", "width": "48", "kernel_size": "5"}),
    "linear_shallow": (LINEAR, {"batch_size": "2048", "in_features": "64", "out_features": "256"}),
}  # fmt: skip
"""A pool's problem and sizes: those of which the generator knows many kernels, small enough to be judged in seconds."""
SECONDS, SOUND, BROKEN_ON, AGAIN = 330.0, 100, 1, 6
NEAR, PLAN = 5, 4
MISTAKES: dict[str, tuple[str, str]] = {
    "semicolon": (r";\n", "\n"),
    "name": (r"int64_t ", "int64 "),
    "start": (r"int64_t (\w+) = 0;", r"int64_t \1 = 1;"),
    "sum": (r" \+= ", " -= "),
    "end": (r"(\w+) < (\w+)(; \+\+)", r"\1 + 1 < \2\3"),
}
"""Name, what is searched, and what is put there."""


class Pool:
    """A world made of records."""

    budget = 150

    def __init__(self, path: Path) -> None:
        document = json.loads(path.read_text())
        self.name = document["pool"]
        self._choices = document["plans"]
        rows = document["candidates"]
        self._sound = {row["key"]: row for row in rows if row["mistake"] is None}
        self._mistakes: dict[str, list[dict[str, Any]]] = {}
        for row in rows:
            if row["mistake"] is not None and row["verdict"] != "correct":
                self._mistakes.setdefault(row["mistake"], []).append(row)
        self._keys = sorted(self._sound)
        self.best = max(row["ratio"] or 0.0 for row in self._sound.values())

    def draw(self, luck: random.Random) -> str:
        return str(luck.choice(self._keys))

    def near(self, key: str, luck: random.Random) -> str:
        order = [(self.distance(key, other), luck.random(), other) for other in self._keys if other != key]
        return str(luck.choice(sorted(order)[:NEAR])[2])

    def distance(self, one: str, other: str) -> float:
        """How unlike two kernels are, from their names alone."""
        a, b = self._sound[one], self._sound[other]
        steps = 0 if a["plan"] == b["plan"] else PLAN
        for name in a["values"].keys() & b["values"].keys():
            own, others = self._choices[a["plan"]][name], self._choices[b["plan"]][name]
            steps += abs(own.index(a["values"][name]) - others.index(b["values"][name]))
        return steps

    def blemish(self, luck: random.Random) -> str:
        return luck.choice(sorted(self._mistakes))

    def outcome(self, key: str, blemish: str | None) -> Outcome:
        found = self._mistakes[blemish] if blemish else [self._sound[key]]
        row = next((r for r in found if r["key"] == key), found[0])
        low, high = row["interval"] or (0.0, 0.0)
        return Outcome(
            row["ratio"] if row["verdict"] == "correct" else None, low, high, row["seconds"], row["verdict"]
        )

    def facts(self) -> dict[str, Any]:
        """What is in the pool."""
        ratios = sorted((row["ratio"] for row in self._sound.values() if row["ratio"]), reverse=True)
        return {
            "sound": len(self._sound),
            "within_5_percent": sum(ratio >= 0.95 * self.best for ratio in ratios),
            "best": ratios[0],
            "median": ratios[len(ratios) // 2],
            "mistakes": {name: sorted({r["verdict"] for r in rows}) for name, rows in self._mistakes.items()},
        }


def pools() -> list[Pool]:
    """All that were recorded."""
    return [Pool(path) for path in sorted(POOL.glob("*.json"))]


def spoil(text: str, mistake: str) -> str | None:
    """A source with one mistake, at a place in the later half that fits, or None where none does."""
    pattern, put = MISTAKES[mistake]
    found = list(re.finditer(pattern, text))
    if not found:
        return None
    place = found[3 * len(found) // 4]
    return text[: place.start()] + place.expand(put) + text[place.end() :]


def _wanted(
    plans: Mapping[str, Candidate], luck: random.Random
) -> Iterator[tuple[str, dict[str, Any], Candidate, str | None]]:
    """Candidates to judge: (plan, values, candidate, mistake), defaults first, the rest drawn from all plans' grids."""
    for plan, base in plans.items():
        yield plan, dict(defaults(base)), instantiate(base, {}), None
    for plan, base in itertools.islice(plans.items(), BROKEN_ON):
        for mistake in MISTAKES:
            path = base.entry.partition("::")[0]
            text = spoil(base.sources[path], mistake)
            if text is not None:
                broken = dataclasses.replace(base, sources={**base.sources, path: text}, tunables=())
                yield plan, dict(defaults(base)), broken, mistake
    grid = [
        (plan, dict(zip([t.name for t in base.tunables], values, strict=True)))
        for plan, base in plans.items()
        for values in itertools.product(*(t.choices for t in base.tunables))
    ]
    luck.shuffle(grid)
    for plan, values in grid:
        if values != defaults(plans[plan]):
            yield plan, values, instantiate(plans[plan], values), None


def _plans(evaluator: Evaluator) -> dict[str, Candidate]:
    """The base kernels by number."""
    graph = [evaluator.invoke(TRACE, {"workload": s.workload.index}) for s in evaluator.specs]
    context = Context(problem=evaluator.problem, specs=evaluator.specs, graph=graph)
    bases = [c for c in OfflineProposer().propose(context) if c.language is Language.CPP]
    return {str(number): base for number, base in enumerate(bases)}


def record(name: str, seconds: float) -> None:
    """Judge what a problem's pool lacks, for that long; everything judged is on disk at once."""
    path = POOL / f"{name}.json"
    rows: list[dict[str, Any]] = json.loads(path.read_text())["candidates"] if path.exists() else []
    done = {(row["key"], row["mistake"]) for row in rows}
    problem, sizes = SIZES[name]
    head: dict[str, Any] = {"pool": name, "problem": problem, "sizes": sizes, "environment": environment()}
    with Evaluator(load(HERE / "problems" / f"{problem}.py", sizes)) as evaluator:
        plans = _plans(evaluator)
        until = time.monotonic() + seconds
        head["plans"] = {
            plan: {t.name: list(t.choices) for t in base.tunables} for plan, base in plans.items()
        }
        for plan, values, candidate, mistake in _wanted(plans, random.Random(0)):
            key = plan + "".join(f",{tunable}={value}" for tunable, value in values.items())
            if (key, mistake) in done:
                continue
            if time.monotonic() > until or sum(row["mistake"] is None for row in rows) >= SOUND:
                break
            rows.append(
                {
                    "key": key,
                    "plan": plan,
                    "values": values,
                    "mistake": mistake,
                    **_judged(evaluator, candidate),
                }
            )
            _save(path, head, rows)
            print(json.dumps(rows[-1]), flush=True)
        for row in sorted(rows, key=lambda row: -(row["ratio"] or 0.0))[:AGAIN]:
            if row["mistake"] is None and "quick" not in row:
                found = _judged(evaluator, instantiate(plans[row["plan"]], row["values"]), Effort.FULL)
                row.update(quick=row["ratio"], ratio=found["ratio"], interval=found["interval"])
                _save(path, head, rows)


def _judged(evaluator: Evaluator, candidate: Candidate, effort: Effort = Effort.QUICK) -> dict[str, Any]:
    found = evaluator.evaluate(candidate, effort=effort)
    gain = found.gain if found.correct else None
    return {
        "verdict": found.verdict.value,
        "ratio": round(gain.ratio, 4) if gain else None,
        "interval": [round(gain.low, 4), round(gain.high, 4)] if gain else None,
        "seconds": round(found.seconds, 2),
    }


def _save(path: Path, head: Mapping[str, Any], rows: list[dict[str, Any]]) -> None:
    lines = ",\n".join(json.dumps(row) for row in rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'{json.dumps(head)[:-1]},\n"candidates": [\n{lines}\n]}}\n')


def main() -> int:
    """Record; a problem that has a pool is left alone unless it is named."""
    if len(sys.argv) > 2:
        record(sys.argv[1], float(sys.argv[2]))
        return 0
    for name in SIZES:
        if not (POOL / f"{name}.json").exists():
            record(name, SECONDS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
