"""A kernel that is right by accident, with only the model and the clock replaced: found, told, mended, confirmed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kopt.agents.context import Context
from kopt.rl.ledger import Ledger
from kopt.rl.loop import Loop
from kopt.rl.refine import Refine
from kopt.rl.team import Team
from kopt.settings import Settings
from kopt.store import Store
from kopt.verifiers import Effort, Evaluator
from kopt.words import Candidate, Evaluation, Problem, Speedup, Verdict
from kopt.words.source_file import candidate_of

TWICE = Speedup(ratio=2.0, low=1.9, high=2.1)

CHAIN = """
import torch
import torch.nn as nn
class Model(nn.Module):
    def forward(self, x):
        return torch.relu(x * 2 + 1) * x - torch.relu(x - 3) * 0.5
def get_inputs():
    return [torch.randn(256, 1024)]
"""
KERNEL = """
#include <algorithm>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>

void chain(tvm::ffi::TensorView x, tvm::ffi::TensorView y) {
  const float* in = static_cast<const float*>(x.data_ptr());
  float* out = static_cast<float*>(y.data_ptr());
  const int64_t n = x.numel();
  float last = 0.0f;
  for (int64_t i = 0; i < n; ++i)
    out[i] = std::max(in[i] * 2 + 1, 0.0f) * in[i] - std::max(in[i] - 3, 0.0f) * 0.5f;
  for (int64_t i = n - 4; i <= LAST; ++i) last = in[i];
  if (last == 1e30f) out[0] = 0;
}

TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, chain);
"""


def kernel(last: str) -> Candidate:
    return candidate_of("k.cpp", KERNEL.replace("LAST", last))


class Author:
    """Writes a kernel that reads behind its input; mends it when told."""

    name = "author"

    def __init__(self) -> None:
        self.told = ""

    def propose(self, context: Context) -> Iterator[Candidate]:
        assert context.wanted is not None
        if context.wanted.role == "repairer" and context.wanted.parent is not None:
            self.told = context.wanted.parent[1].reason
            yield kernel("n - 1")
        else:
            yield kernel("n")

    def explain(self) -> list[str]:
        return []


@pytest.mark.slow
@pytest.mark.needs("bubblewrap", "asan")
def test_a_read_behind_the_end_is_told_to_its_author_and_mended(tmp_path: Path) -> None:
    problem = Problem(name="chain", format="model", sources={"c.py": CHAIN}, entry="c.py", path="c.py")
    author, ledger = Author(), Ledger({"evaluations": 5})

    def describe(history: object, best: object) -> Context:
        return Context(problem=problem)

    with (
        Evaluator(problem, settings=Settings(home=tmp_path)) as evaluator,
        Store(f"sqlite:///{tmp_path / 'kopt.db'}") as store,
    ):

        def judge(candidate: Candidate, effort: str, incumbent: Evaluation | None) -> Evaluation:
            found = evaluator.evaluate(candidate, effort=Effort.VERIFY, sanitize=effort == "full")
            return replace(found, speedup={"eager": TWICE, "compile": None}) if found.correct else found

        strategy = Refine(Team([author], describe), ledger)
        with store.lease(store.create_run(problem, strategy="refine", budget={}, options={})) as lease:
            loop = Loop(
                store=store, lease=lease, judge=judge, strategy=strategy, ledger=ledger, observer=lambda *_: None
            )  # fmt: skip
            loop.run()
    refused = loop.made[kernel("n").digest, "full"]
    assert loop.made[kernel("n").digest, "quick"].correct
    assert (
        refused.verdict is Verdict.WRONG and "out-of-bounds read" in author.told and "k.cpp:13" in author.told
    )
    assert loop.best is not None and loop.best.candidate == kernel("n - 1").digest
