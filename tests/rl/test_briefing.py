"""Who helps the models, and what they are told: real clients over HTTP, ledger and store, a judge from a table."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from rl_doubles import PROBLEM, evaluation

sys.path.append(str(Path(__file__).parent.parent / "agents"))

from fake_openai import FakeOpenAI, call, say

from kopt.agents.chat.cache import ReplyCache
from kopt.agents.chat.client import Client
from kopt.agents.chat.endpoint import parse_endpoint
from kopt.agents.chat.prices import PriceTable, parse_prices
from kopt.agents.chat.wire import Wire
from kopt.rl.ledger import Ledger
from kopt.rl.loop import Loop
from kopt.rl.session import Relay
from kopt.rl.strategies import make_strategy
from kopt.settings import Settings
from kopt.store import Store

pytestmark = pytest.mark.needs("litellm", "tree_sitter")
KERNEL = "void f() {{ g({}); }}\nTVM_FFI_DLL_EXPORT_TYPED_FUNC(run, f);\n"
USAGE = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}


def kernel(name, **more):
    return say(f"Do it.\n```cpp\n{KERNEL.format(name)}```\n", usage=USAGE, **more)


def answer(value):
    return say(value if isinstance(value, str) else json.dumps(value), usage=USAGE)


class Run:
    """One run over a server: its clients, ledger and store are real, what the evaluator offers is a double."""

    def __init__(self, folder, server, ratios, models=("toy",)):
        self.folder, self.ratios, self.tried = folder, ratios, []
        self.names = [f"openai/{name}@{server.url}" for name in models]

    def judge(self, candidate, effort, incumbent):
        source = next(iter(candidate.sources.values()))
        name = source.partition("g(")[2].partition(")")[0]
        self.tried.append((name, effort))
        return evaluation(candidate, self.ratios.get(name))

    def work(self, limits, strategy="refine", **options):
        options = {"profiles": 0, **options}  # there is no sandbox here to profile in
        relay, prices = Relay(None), parse_prices([f"{name}=2,10" for name in self.names])
        evaluator = SimpleNamespace(
            specs=(), environment={}, observe=relay, settings=Settings(home=self.folder)
        )
        with Store(f"sqlite:///{self.folder / 'kopt.db'}") as store:
            run = store.create_run(PROBLEM, strategy=strategy, budget={}, options={})
            with store.lease(run) as lease:
                relay.persist(store, lease)
                ledger = Ledger(limits)
                clients = [
                    Client(
                        Wire(parse_endpoint(name), "sk-test"),
                        purse=ledger,
                        prices=PriceTable(prices=prices),
                        cache=ReplyCache(self.folder / "replies"),
                        observe=relay,
                    )
                    for name in self.names
                ]
                policy = make_strategy(strategy, PROBLEM, evaluator, ledger, clients, options, run)
                loop = Loop(
                    store=store, lease=lease, judge=self.judge, strategy=policy, ledger=ledger, observer=relay
                )
                loop.run()
            self.events = store.events(run)
        return ledger.spent

    def kinds(self, kind):
        return [event.payload for event in self.events if event.kind == kind]


def reviewing(body):
    """``small`` holds back whatever calls ``g(bad)``; ``big`` proposes just that until it is told."""
    asked = body["messages"][-1]["content"]
    if "hold it back" in asked:
        bad = "g(bad)" in asked
        return answer({"veto": bad, "reason": "`g(bad)` reads past the end" if bad else ""})
    return kernel("good" if "reads past the end" in asked else "bad")


def test_a_veto_costs_one_call_and_no_evaluation(tmp_path):
    with FakeOpenAI(reviewing) as server:
        run = Run(tmp_path, server, {"good": 1.5}, models=("big", "small"))
        spent = run.work({"evaluations": 1}, review=1)
    assert run.tried == [("good", "full")] and spent["evaluations"] == 1
    assert [request["model"] for request in server.requests] == ["big", "small", "big"]
    assert spent["tokens"] == 3 * 110 and spent["dollars"] == pytest.approx(3 * (2 * 100 + 10 * 10) / 1e6)
    (veto,) = run.kinds("candidate.vetoed")
    assert veto["reason"] == "`g(bad)` reads past the end" and "big" in veto["proposer"]
    assert "small" in veto["reviewer"]


def test_nobody_reviews_unless_asked_to(tmp_path):
    with FakeOpenAI(reviewing) as server:
        run = Run(tmp_path, server, {"bad": 1.1}, models=("big", "small"))
        run.work({"evaluations": 1})
    assert len(server.requests) == 1 and run.tried == [("bad", "full")]


def test_a_model_given_alone_reviews_itself(tmp_path):
    with FakeOpenAI(reviewing) as server:
        run = Run(tmp_path, server, {"good": 1.5})
        run.work({"evaluations": 1}, review=1)
    assert len(server.requests) == 3 and run.tried == [("good", "full")]


def test_a_reviewer_that_rambles_is_no_veto(tmp_path):
    def rambling(body):
        review = "hold it back" in body["messages"][-1]["content"]
        return answer("I think that this is bad.") if review else kernel("bad")

    with FakeOpenAI(rambling) as server:
        run = Run(tmp_path, server, {"bad": 1.1})
        run.work({"evaluations": 1}, review=1)
    assert run.tried == [("bad", "full")] and run.kinds("candidate.vetoed") == []


def test_a_model_looks_up_several_things_at_once_before_it_answers(tmp_path):
    def looking(body):
        if body["messages"][-1]["role"] != "tool":
            return call(
                ("notes", '{"words": "exp"}'), ("library_search", '{"words": "softmax"}'), usage=USAGE
            )
        return kernel("good")

    with FakeOpenAI(looking) as server:
        run = Run(tmp_path, server, {"good": 1.5})
        spent = run.work({"evaluations": 1}, lookups=2)
    first, second = server.requests
    assert [tool["function"]["name"] for tool in first["tools"]] == ["library_search", "notes"]
    told = [message["content"] for message in second["messages"] if message["role"] == "tool"]
    assert "exp" in told[0] and "nothing is known" in told[1]
    assert run.tried == [("good", "full")] and spent["tokens"] == 2 * 110


def test_plans_are_made_before_first_versions_and_paid_for(tmp_path):
    form = {
        "passes": ["one pass"],
        "threads": "rows",
        "vectors": "columns",
        "tiles": "4096",
        "precision": "none",
    }

    def planning(body):
        planner = "Plan the kernel" in body["messages"][-1]["content"]
        return answer(form) if planner else kernel(f"k{len(server.requests)}")

    with FakeOpenAI(planning) as server:
        run = Run(tmp_path, server, {"k2": 1.5, "k3": 1.2, "k4": 1.1})
        spent = run.work({"evaluations": 4}, "best-of-n", plan=1, samples=3)
    asked = ["pass 1: one pass" in request["messages"][3]["content"] for request in server.requests]
    assert asked == [False, True, True, True] and spent["tokens"] == 4 * 110
