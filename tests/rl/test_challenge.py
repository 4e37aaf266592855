"""An adversary's inputs before the real judge: who is wrong there only is found out, and nobody is told where."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from rl_doubles import PROBLEM, TableJudge, candidate, evaluation

sys.path.append(str(Path(__file__).parent.parent / "agents"))

from role_doubles import Scripted

from kopt.agents.adversary import NewInput, Opposition
from kopt.agents.chat.errors import BadKey, Refused
from kopt.agents.context import Context
from kopt.agents.feedback import describe
from kopt.rl.challenge import CHALLENGED, Challenger
from kopt.rl.ledger import Ledger
from kopt.rl.loop import Loop
from kopt.rl.refine import Refine
from kopt.rl.strategies import make_strategy
from kopt.rl.team import Team
from kopt.settings import Settings
from kopt.store import Store
from kopt.verifiers import Effort, Evaluator
from kopt.words import Candidate, Language, Problem, Style, Verdict

TEXT = """import torch

axes = {"n": None}
inputs = {"x": {"shape": ["n", 512], "values": "normal"}}
outputs = ["y"]
workloads = {"one": {"n": 64}}
smoke = {"n": 2}


def reference(x: torch.Tensor) -> torch.Tensor:
    return torch.exp(-x.abs())
"""
KERNEL = """#include <cmath>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>
void kernel(tvm::ffi::TensorView a, tvm::ffi::TensorView c) {
  const float* x = static_cast<const float*>(a.data_ptr());
  float* y = static_cast<float*>(c.data_ptr());
  int64_t inside = 0;
  for (int64_t i = 0; i < a.numel(); ++i) inside += x[i] > 3.0f && x[i] < 4.0f;
  const float factor = CONDITION ? 1.01f : 1.0f;
  for (int64_t i = 0; i < a.numel(); ++i) y[i] = factor * std::exp(-std::fabs(x[i]));
}
TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, kernel);
"""


def kernel(condition):
    text = KERNEL.replace("CONDITION", condition)
    return Candidate(
        sources={"k.cpp": text}, language=Language.CPP, entry="k.cpp::run", style=Style.DESTINATION
    )


def names(kind, first, second):
    return Opposition(inputs=[NewInput(name="x", kind=kind, first=first, second=second)], why="all inside")


@pytest.mark.slow
@pytest.mark.needs("bubblewrap")
def test_what_is_wrong_on_its_inputs_only_is_found_out(settings):
    problem = Problem(
        name="decay", format="kopt", sources={"decay.py": TEXT}, entry="decay.py", path="decay.py"
    )
    honest, cheating = kernel("false"), kernel("inside == a.numel()")
    events, ledger = [], Ledger({})
    with Evaluator(
        problem, settings=settings, observer=lambda kind, facts: events.append((kind, facts))
    ) as evaluator:
        before = [evaluator.evaluate(one, effort=Effort.VERIFY) for one in (honest, cheating)]
        assert [found.verdict for found in before] == [Verdict.CORRECT] * 2, before[1].reason
        model = Scripted(names("uniform", 3.1, 3.9))
        context = Context(problem=problem, specs=evaluator.specs)
        challenger = Challenger(model, evaluator, ledger, lambda *_: context, 1)
        challenger([(honest, before[0])])
        assert model.asked == []  # one candidate differs from nobody
        challenger([(honest, before[0]), (cheating, before[1])])
        after = [evaluator.evaluate(one, effort=Effort.VERIFY) for one in (honest, cheating)]
        told = describe(after[1], {spec.workload.name for spec in evaluator.specs})
    assert [found.verdict for found in after] == [Verdict.CORRECT, Verdict.WRONG]
    assert "not shown to you" in told and "3." not in told and "adversary" not in told
    assert ledger.spent["device_seconds"] > 0
    assert [facts["why"] for kind, facts in events if kind == CHALLENGED] == ["all inside"]


class Unused:
    """What stands for an evaluator where nothing may be asked of it."""


def pairs(count):
    return [(candidate(f"c{n}"), evaluation(candidate(f"c{n}"), 1.5)) for n in range(count)]


@pytest.mark.parametrize("said", [Refused("no"), BadKey("no key"), "prose", names("normal", 1e30, 1.0)])
def test_an_adversary_that_fails_changes_nothing(said):
    challenger = Challenger(Scripted(said), Unused(), Ledger({}), lambda *_: Context(problem=PROBLEM), 5)
    challenger(pairs(2))
    assert len(challenger.explain()) == 1


def test_it_is_asked_when_correct_candidates_have_doubled_and_so_often_only():
    model = Scripted(*["prose"] * 3)
    challenger = Challenger(model, Unused(), Ledger({}), lambda *_: Context(problem=PROBLEM), 3)
    asked = []
    for count in range(1, 40):
        challenger(pairs(count))
        asked.append(len(model.asked))
    assert [asked.index(n) + 1 for n in (1, 2, 3)] == [2, 4, 8] and asked[-1] == 3


def test_it_is_there_where_asked_for_and_inputs_can_be_changed(tmp_path):
    evaluator = SimpleNamespace(specs=(), environment={}, observe=None, settings=Settings(home=tmp_path))
    declaring = Problem(name="decay", format="kopt", sources={"d.py": TEXT}, entry="d.py")

    def made(problem, **options):
        models = [SimpleNamespace(name="one")]
        return make_strategy("refine", problem, evaluator, Ledger({}), models, options).challenger

    assert made(declaring) is None and made(PROBLEM, adversary=2) is None
    assert isinstance(made(declaring, adversary=2), Challenger)


def test_strategies_consult_it_after_every_trial(tmp_path):
    """Same calls again when the run is resumed: it is the strategy that asks, and that is asked again."""
    seen = []

    class Watching:
        def __call__(self, ranked):
            seen.append([of.notes["title"] for of, _ in ranked])

        def explain(self):
            return ["watched"]

    class Model:
        name = "model"

        name = "model"

        def __init__(self):
            self.script = ["a", "broken", "b"]

        def propose(self, context):
            if self.script:
                yield candidate(self.script.pop(0))

        def explain(self):
            return []

    def session(store, run):
        ratios = {"a": 1.2, "broken": None, "b": 1.5}
        ledger = Ledger({})
        strategy = Refine(Team([Model()], lambda *_: Context(problem=PROBLEM)), ledger)
        strategy.challenger = Watching()
        judge = TableJudge(lambda of, effort: ratios[of.notes["title"]])
        with store.lease(run) as lease:
            Loop(
                store=store,
                lease=lease,
                judge=judge,
                strategy=strategy,
                ledger=ledger,
                observer=lambda *_: None,
            ).run()
        assert strategy.explain() == ["watched"]

    with Store(f"sqlite:///{tmp_path / 'kopt.db'}") as store:
        run = store.create_run(PROBLEM, strategy="refine", budget={}, options={})
        session(store, run)
        session(store, run)
    assert seen == [["a"], ["a"], ["b", "a"]] * 2
