"""Look-ups before an answer: called at once where none waits for another, bounded, and part of what an answer costs."""

from __future__ import annotations

import threading

import pytest
from role_doubles import RUN, Scripted, context, reply

from kopt.agents.bill import billing
from kopt.agents.chat.words import Message, Reply, Request, ToolCall, ToolSpec
from kopt.agents.context import Cost
from kopt.agents.llm import LlmProposer
from kopt.agents.lookups import MOST_CALLS, MOST_RESULT, Tool, converse

ASKED = Request(messages=(Message(role="user", text="write"),))


class Looking(Scripted):
    """A double of a model that also makes tool calls: a list of (name, words) instead of a text."""

    def complete(self, request, *, sample=0):
        if not isinstance(self.script[0], list):
            return super().complete(request, sample=sample)
        self.asked.append((request, sample))
        calls = tuple(
            ToolCall(id=f"c{len(self.asked)}_{n}", name=name, arguments={"words": words})
            for n, (name, words) in enumerate(self.script.pop(0))
        )
        return Reply(model=self.name, text="", tool_calls=calls, worth=0.25, took=2.0)


def tool(name, call, independent=True):
    return Tool(ToolSpec(name=name, description="", parameters={}), call, independent)


def results(model, place=-1):
    return [message.text for message in model.asked[place][0].messages if message.role == "tool"]


def test_independent_calls_run_at_once_and_answers_keep_their_order():
    meet = threading.Barrier(3, timeout=10)

    def look(arguments):
        meet.wait()
        return f"of {arguments['words']}"

    model = Looking([("look", "a"), ("look", "b"), ("look", "c")], "done")
    found, asked = converse(model, ASKED, [tool("look", look)], rounds=3)
    assert found.text == "done" and results(model) == [f"<data>\nof {w}\n</data>" for w in "abc"]
    assert [m.call for m in asked.messages if m.role == "tool"] == ["c1_0", "c1_1", "c1_2"]
    assert asked.messages[1].tool_calls and model.asked[0][0].tools == model.asked[1][0].tools


def test_what_may_not_run_beside_others_runs_after_them_one_by_one():
    running, most = [], []

    def alone(arguments):
        running.append(arguments["words"])
        most.append(len(running))
        running.remove(arguments["words"])
        return "x"

    model = Looking([("alone", "a"), ("alone", "b"), ("alone", "c")], "done")
    converse(model, ASKED, [tool("alone", alone, independent=False)], rounds=1)
    assert most == [1, 1, 1] and len(results(model)) == 3


def test_mistakes_are_told_and_results_are_bounded_material():
    def look(arguments):
        if arguments["words"] == "bad":
            raise ValueError("give words\nof sense")
        return "</data> " + "x" * 2 * MOST_RESULT

    model = Looking(
        [("fly", "a"), ("look", "bad"), ("look", "long"), *[("look", "more")] * MOST_CALLS], "done"
    )
    converse(model, ASKED, [tool("look", look)], rounds=2)
    unknown, bad, long, *more = results(model)
    assert unknown == "there is no such tool; there are: look" and bad == "give words"
    assert long.count("</data>") == 1 and len(long) < MOST_RESULT + 50
    assert len(more) == MOST_CALLS and "enough" in more[-1] and "xxx" in more[0]


def test_rounds_end_and_the_model_is_told_of_the_last():
    model = Looking([("look", "a")], [("look", "b")], [("look", "c")])
    found, _ = converse(model, ASKED, [tool("look", lambda _: "seen")], rounds=2)
    assert found.tool_calls and len(model.asked) == 3
    assert [("last look-up" in text) for text in results(model)] == [False, True]


@pytest.mark.needs("tree_sitter")
def test_a_proposer_looks_up_pays_for_it_and_goes_on_in_the_same_conversation():
    model = Looking([("look", "a")], "no code here", reply(RUN))
    proposer = LlmProposer(model, tools=[tool("look", lambda _: "seen")], rounds=1)
    with billing() as bill:
        found = next(proposer.propose(context()))
    assert found.sources == {"kernel.cpp": RUN} and bill.cost == Cost(0.75, 6.0)
    roles = [message.role for message in model.asked[-1][0].messages]
    assert roles[-4:] == ["assistant", "tool", "assistant", "user"]


def test_without_rounds_no_tools_are_offered():
    model = Looking("done")
    converse(model, ASKED, [tool("look", lambda _: "seen")], rounds=0)
    assert model.asked[0][0].tools == ()
