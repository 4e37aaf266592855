"""Honest candidates with odd habits are accepted: a few here, all of them by ``python -m bench honest``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from kopt.errors import UsageError
from kopt.problems import load
from kopt.sandbox import Sandbox
from kopt.settings import Settings
from kopt.verifiers import Effort, Evaluator
from kopt.verifiers.redteam.habits import PROBLEMS, honest, judge_honest, read
from kopt.words import Candidate, Language, Style, Verdict

Uncompiled = Callable[[Evaluator], Evaluator]

# Threads of all kinds: slower by themselves than in full rounds, and once accused of working ahead.
THREADS = ["threads_joined", "thread_pool_kept", "executor_kept", "omp_tasks"]
# What the judge once refused: rounding that an ill-conditioned reference magnifies.
ROUNDING = ["triton_norm", "autograd_function", "several_modules"]
# Another half of the last bit than the reference's, where that is all there is; or nearer to the truth than it.
TAIL = ["double_inside", "tanh_by_exp"]
# The reference's own layout, which has gaps, and the ring's, which has none.
VIEWS = ["view_of_fresh", "half_of_the_columns", "strided_destination"]


def accept(evaluator: Evaluator, names: list[str]) -> None:
    for one in honest(names):
        found = evaluator.evaluate(one.candidate, effort=Effort.QUICK)
        assert found.correct, f"{one.name} ({one.habit}): {found.reason}"


def test_the_corpus_is_wide_and_every_file_is_readable() -> None:
    corpus = honest()
    assert len(corpus) >= 40
    assert len({one.habit for one in corpus}) == len(corpus)
    languages = Counter(one.candidate.language for one in corpus)
    assert min(languages[known] for known in (Language.CPP, Language.TORCH, Language.TRITON)) >= 5
    assert any("load_inline" in text for one in corpus for text in one.candidate.sources.values())
    assert {one.problem for one in corpus} == {path.stem for path in PROBLEMS.glob("*.py")}


def test_what_has_no_header_or_entry_is_refused(tmp_path: Path) -> None:
    bare = tmp_path / "bare.py"
    bare.write_text("def run(x):\n    return x\n")
    with pytest.raises(UsageError, match=r"bare\.py does not begin with its habit"):
        read(bare)
    bare.write_text("# habit: none\n# problem: silu\ndef walk(x):\n    return x\n")
    with pytest.raises(UsageError, match=r"bare\.py defines none of"):
        read(bare)
    with pytest.raises(UsageError, match="no honest candidate liar"):
        honest(["liar"])


@pytest.mark.needs("bubblewrap")
@pytest.mark.parametrize(
    ("problem", "names"),
    [
        pytest.param("silu", THREADS, id="threads that are joined"),
        pytest.param("gelu", TAIL, id="a tail in which the reference is all error"),
        pytest.param("norm", ROUNDING, id="rounding of their own", marks=pytest.mark.needs("triton")),
    ],
)
def test_odd_habits_are_accepted(
    problem: str, names: list[str], settings: Settings, lent: Sandbox, uncompiled: Uncompiled
) -> None:
    with uncompiled(
        Evaluator(load(PROBLEMS / f"{problem}.py"), sandbox=lent, settings=settings)
    ) as evaluator:
        accept(evaluator, names)


@pytest.mark.needs("bubblewrap")
def test_views_as_the_reference_returns_them(
    settings: Settings, lent: Sandbox, uncompiled: Uncompiled
) -> None:
    with uncompiled(Evaluator(load(PROBLEMS / "strided.py"), sandbox=lent, settings=settings)) as evaluator:
        accept(evaluator, VIEWS)
        packed = "def run(x):\n    return x[:, ::2].tanh().{}\n"
        for ending, verdict in (("contiguous()", Verdict.CORRECT), ("t().contiguous().t()", Verdict.WRONG)):
            candidate = Candidate(
                sources={"k.py": packed.format(ending)},
                language=Language.TORCH,
                entry="k.py::run",
                style=Style.RETURNING,
            )
            assert evaluator.evaluate(candidate, effort=Effort.QUICK).verdict is verdict


@pytest.mark.needs("bubblewrap")
def test_a_refusal_is_told(settings: Settings, tmp_path: Path) -> None:
    liar = tmp_path / "liar.py"
    liar.write_text("# habit: none\n# problem: gate\ndef run(a, b):\n    return a * 0\n")
    told = []
    judged = judge_honest([read(liar)], settings=settings, effort=Effort.QUICK, observe=told.append)
    assert judged == told
    assert judged[0].refused
    assert judged[0].evaluation.reason
