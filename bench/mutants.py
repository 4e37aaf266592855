"""The oracle against planted bugs: correct kernels, and the same with one mistake each.

``material/mutants/NAME.toml`` holds a problem, correct kernels in C++ and Triton, and each kernel's mutants: a text to
search (it must occur once, or as often as a third item of ``then`` says) and what to put there. Every kernel must be
judged correct and every mutant not, on the ordinary path without timing. ``python -m bench.mutants NAME`` tries some,
unrecorded.
"""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.record import write
from kopt.problems import load
from kopt.rl.candidate_file import read_candidate
from kopt.settings import Settings
from kopt.verifiers import Effort, Evaluator
from kopt.words import Candidate, Verdict

MATERIAL = Path(__file__).parent / "material" / "mutants"
SUFFIX = {"cpp": ".cpp", "triton": ".py"}
LEAST, MISSED = 60, 2


def mutated(source: str, mutant: dict[str, Any]) -> str:
    """The source with a mutant's mistake in it.

    Raises:
        ValueError: a text to search does not occur as often as it must.
    """
    for search, replace, *times in [(mutant["search"], mutant["replace"]), *mutant.get("then", [])]:
        wanted = times[0] if times else 1
        if source.count(search) != wanted:
            raise ValueError(
                f"{mutant['name']}: {search!r} occurs {source.count(search)} times, not {wanted}"
            )
        source = source.replace(search, replace)
    return source


def candidates(family: dict[str, Any], folder: Path) -> Iterator[tuple[dict[str, Any], Candidate]]:
    """Every kernel of a family and every mutant, with what the record says about it."""
    for kernel in family["kernel"]:
        file = folder / f"kernel{SUFFIX[kernel['language']]}"
        for mutant in [None, *kernel["mutant"]]:
            file.write_text(kernel["source"] if mutant is None else mutated(kernel["source"], mutant))
            said = {"mutant": None, "bug": None} if mutant is None else {
                "mutant": mutant["name"], "bug": mutant["bug"], "why": mutant.get("why", "")
            }  # fmt: skip
            yield {"language": kernel["language"], **said}, read_candidate(file)


def judge(name: str, settings: Settings) -> Iterator[dict[str, Any]]:
    """Judge one family: a row for each kernel and mutant, ``right`` when the verdict is as it must be."""
    family = tomllib.loads((MATERIAL / f"{name}.toml").read_text())
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{name}.py"
        file.write_text(family["problem"])
        with Evaluator(load(file), settings=settings) as evaluator:
            for row, candidate in candidates(family, Path(folder)):
                found = evaluator.evaluate(candidate, effort=Effort.VERIFY)
                passed = found.verdict is Verdict.CORRECT
                usable = found.verdict not in (Verdict.BUILD_FAILED, Verdict.REJECTED)
                right = passed if row["mutant"] is None else not passed and usable
                yield {
                    "kernel": name, **row, "verdict": found.verdict.value, "right": right,
                    "reason": found.reason[:200], "seconds": round(found.seconds, 2),
                }  # fmt: skip


def everything(names: list[str]) -> list[dict[str, Any]]:
    """Judge these families and print each verdict as it falls."""
    rows = []
    with tempfile.TemporaryDirectory() as home, contextlib.suppress(KeyboardInterrupt):
        for name in names:
            for row in judge(name, Settings(home=Path(home))):
                rows.append(row)
                print(json.dumps(row), flush=True)
    return rows


def run() -> bool:
    """Judge all of them and write who survived."""
    rows = everything(sorted(file.stem for file in MATERIAL.glob("*.toml")))
    mutants = [row for row in rows if row["mutant"] is not None]
    kernels = [row for row in rows if row["mutant"] is None]
    survivors = [row for row in mutants if not row["right"]]
    figures = {
        "mutants": len(mutants),
        "caught": len(mutants) - len(survivors),
        "by_language": Counter(row["language"] for row in mutants),
        "by_bug": Counter(row["bug"] for row in mutants),
        "correct_kernels": len(kernels),
        "correct_kernels_refused": sum(not row["right"] for row in kernels),
        "survivors": survivors,
        "needed": f"at least {LEAST} mutants, at most {MISSED} missed, no correct kernel refused",
    }
    write("mutants", {**figures, "rows": rows})
    print(f"{figures['caught']} of {len(mutants)} mutants caught")
    enough = len(mutants) >= LEAST and len(survivors) <= MISSED
    return enough and not figures["correct_kernels_refused"]


if __name__ == "__main__":
    sys.exit(0 if all(row["right"] for row in everything(sys.argv[1:])) else 1)
