"""The chat client against a real HTTP server that misbehaves: every fault ends in a retry or in one clear line."""

from __future__ import annotations

import threading
import time

import pytest
from fake_openai import FakeOpenAI, Turn, call, fail, say
from pydantic import BaseModel

from kopt.agents.chat import (
    BadKey,
    BadReply,
    ChatError,
    Message,
    PromptRejected,
    Refused,
    Request,
    ToolSpec,
    Truncated,
    Unavailable,
    UnknownModel,
)
from kopt.agents.chat.cache import ReplyCache
from kopt.agents.chat.client import _FENCED, Client
from kopt.agents.chat.endpoint import parse_endpoint
from kopt.agents.chat.pace import Patience
from kopt.agents.chat.prices import Price, PriceTable, freeze_prices, parse_prices
from kopt.agents.chat.redact import redact
from kopt.agents.chat.wire import Wire
from kopt.errors import UsageError
from kopt.rl.ledger import Ledger

pytestmark = pytest.mark.needs("litellm")
HASTY = Patience(attempts=4, seconds=20.0, first=0.01, longest=0.05, silence=5.0)
KEY = "sk-very-secret-123456"


class Purse:
    """Counts what is promised and settled."""

    def __init__(self):
        self.used = {"dollars": 0.0, "tokens": 0.0}
        self.open = 0
        self.lock = threading.Lock()

    def reserve(self, *, wait=0.0, **amounts):
        purse, done = self, []
        with self.lock:
            self.open += 1

        class Promise:
            def settle(self, **used):
                self.close()
                with purse.lock:
                    for name, amount in (used or amounts).items():
                        assert amount <= amounts[name], f"{name}: more was used than promised"
                        purse.used[name] += amount

            def cancel(self):
                if not done:
                    self.close()

            def close(self):
                done.append(1)
                with purse.lock:
                    purse.open -= 1

        return Promise()


class Plan(BaseModel):
    bottleneck: str
    steps: list[str]


def ask(text="hi", **more):
    return Request(
        messages=(Message(role="system", text="be brief", stable=True), Message(role="user", text=text)),
        **more,
    )


class Rig:
    """A server, a client to it, and what the client told."""

    def __init__(self, *turns: Turn, folder=None, patience=HASTY, model="openai/toy", key=KEY):
        self.server = FakeOpenAI(turns)
        self.purse, self.told = Purse(), []
        name = f"{model}@{self.server.url}"
        self.client = Client(
            Wire(parse_endpoint(name), key),
            purse=self.purse,
            prices=PriceTable(prices={name: Price(prompt=2.0, completion=10.0, cached=0.5)}),
            cache=ReplyCache(folder) if folder else None,
            patience=patience,
            observe=lambda kind, facts: self.told.append(facts),
        )

    def __enter__(self):
        self.server.__enter__()
        return self

    def __exit__(self, *error):
        self.server.__exit__(*error)
        assert self.purse.open == 0, "a reservation was left open"

    @property
    def asked(self):
        return len(self.server.requests)


def test_a_reply_with_its_usage_and_cost():
    usage = {
        "prompt_tokens": 1000,
        "completion_tokens": 100,
        "total_tokens": 1100,
        "prompt_tokens_details": {"cached_tokens": 800},
    }
    with Rig(say("hello there", usage=usage)) as rig:
        reply = rig.client.complete(ask("x" * 4000))
    assert reply.text == "hello there" and reply.attempts == 1 and not reply.kept
    assert (reply.usage.prompt, reply.usage.cached, reply.usage.completion) == (1000, 800, 100)
    # 200 plain at 2, 800 cached at 0.5, 100 out at 10 dollars per million
    assert reply.dollars == pytest.approx((200 * 2 + 800 * 0.5 + 100 * 10) / 1e6)
    assert rig.purse.used == {"dollars": pytest.approx(reply.dollars), "tokens": 1100}
    sent = rig.server.requests[0]
    assert sent["headers"]["authorization"] == f"Bearer {KEY}"
    assert [m["content"] for m in sent["messages"]] == ["be brief", "x" * 4000]


@pytest.mark.parametrize(
    "fault",
    [
        fail(500, "boom"),
        fail(503, "busy"),
        fail(429, "slow down", retry_after=0.05),
        Turn(text="half of it", cut=True),
        Turn(text="half of it", garbage=True),
        Turn(text="no end", finish=None),
        Turn(text=""),
    ],
    ids=["500", "503", "429", "cut", "garbage", "no end", "empty"],
)
def test_passing_faults_are_retried(fault):
    with Rig(fault, fault, say("at last")) as rig:
        reply = rig.client.complete(ask())
    assert reply.text == "at last" and reply.attempts == 3 == rig.asked


@pytest.mark.parametrize(
    ("turn", "error", "words"),
    [
        (fail(401, f"Incorrect API key provided: {KEY}"), BadKey, "KOPT_MODEL_KEY"),
        (fail(403, "not for you"), BadKey, "does not accept the key"),
        (fail(404, "The model toy does not exist", code="model_not_found"), UnknownModel, "check its name"),
        (fail(400, "temperature is odd"), PromptRejected, "temperature is odd"),
        (fail(429, "You exceeded your current quota", code="insufficient_quota"), BadKey, "no credit"),
        (say("so", finish="content_filter"), Refused, "content filter"),
        (say("so long", finish="length"), Truncated, "cut off at 16384"),
    ],
    ids=["401", "403", "404", "400", "quota", "filter", "length"],
)
def test_lasting_faults_are_named_at_once(turn, error, words):
    with Rig(turn) as rig, pytest.raises(error, match=words) as raised:
        rig.client.complete(ask())
    assert rig.asked == 1
    line = str(raised.value)
    assert "\n" not in line and KEY not in line and len(line) < 500
    assert KEY not in str(rig.told) and rig.told[-1]["error"]


def test_patience_ends_in_one_line():
    with Rig(fail(500, "boom")) as rig, pytest.raises(Unavailable, match="gave up after 4 attempts"):
        rig.client.complete(ask())
    assert rig.asked == 4 and rig.purse.used["tokens"] == 0


def test_a_server_that_is_not_there():
    with FakeOpenAI([say("x")]) as gone:
        pass
    name = f"openai/toy@{gone.url}"
    client = Client(Wire(parse_endpoint(name)), purse=Purse(), prices=PriceTable(), patience=HASTY)
    with pytest.raises(Unavailable, match="gave up after 4 attempts"):
        client.complete(ask())


def test_retry_after_is_obeyed_by_all_calls_and_never_longer_than_patience():
    with Rig(fail(429, retry_after=1.0), say("a"), say("b")) as rig:
        threads = [threading.Thread(target=rig.client.complete, args=(ask(str(i)),)) for i in range(2)]
        threads[0].start()
        while not rig.asked:
            time.sleep(0.01)
        time.sleep(0.2)  # the first was told to wait; the second, which was not, waits all the same
        threads[1].start()
        for thread in threads:
            thread.join()
    first, *others = [request["at"] for request in rig.server.requests]
    assert len(others) == 2 and min(others) - first >= 0.95
    started = time.monotonic()
    with Rig(fail(429, retry_after=3600)) as rig, pytest.raises(Unavailable, match="it wants 36"):
        rig.client.complete(ask())
    assert rig.asked == 1 and time.monotonic() - started < 5


def test_silence_is_noticed_and_paid_for():
    patience = Patience(attempts=2, seconds=20.0, first=0.01, longest=0.01, silence=1.0)
    with Rig(Turn(text="half and half", stall=3.0), say("x" * 30), patience=patience) as rig:
        reply = rig.client.complete(ask())
    assert reply.attempts == 2 and reply.usage.estimated  # the lost half was counted by us
    assert rig.purse.used["tokens"] == reply.usage.total > 0


def test_usage_that_cannot_be_is_not_believed():
    nothing = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    for turn in (say("x" * 3000, usage=nothing), say("x" * 3000, report_usage=False)):
        with Rig(turn) as rig:
            usage = rig.client.complete(ask("y" * 3000)).usage
        assert usage.completion >= 300 and usage.prompt >= 300


def test_structured_output():
    good = '{"bottleneck": "memory", "steps": ["fuse"]}'
    with Rig(say("no json"), say('{"steps": 3}'), say(f"```json\n{good}\n```")) as rig:
        reply = rig.client.complete(ask(schema=Plan))
    assert reply.parsed == Plan(bottleneck="memory", steps=["fuse"]) and reply.attempts == 3
    assert rig.server.requests[0]["response_format"]["json_schema"]["name"] == "Plan"
    with Rig(say('{"bottleneck": "mem')) as rig, pytest.raises(BadReply, match=r"form asked for.*3 times"):
        rig.client.complete(ask(schema=Plan))
    assert rig.purse.used["tokens"] > 0  # bad replies cost as much as good ones


def test_a_fence_of_empty_lines_takes_no_time():
    began = time.monotonic()
    assert _FENCED.match("```json" + "\n" * 200_000) is None
    assert time.monotonic() - began < 1
    found = _FENCED.match('\n```json \n\n{"a": 1}\n```\n')
    assert found is not None and found[1] == '\n{"a": 1}'


TOOL = ToolSpec(
    name="look",
    description="look it up",
    parameters={"type": "object", "properties": {"what": {"type": "string"}}},
)


def test_tool_calls():
    with Rig(
        call(("look", '{"what": ')),
        call(("fly", "{}")),
        call(("look", '{"what": "a"}'), ("look", '{"what": "b"}')),
    ) as rig:
        reply = rig.client.complete(ask(tools=(TOOL,)))
        assert [c.arguments for c in reply.tool_calls] == [{"what": "a"}, {"what": "b"}]
        assert len({c.id for c in reply.tool_calls}) == 2 and reply.attempts == 3
        rig.client.complete(
            Request(
                messages=(
                    Message(role="user", text="hi"),
                    Message(role="assistant", text="", tool_calls=reply.tool_calls),
                    *(Message(role="tool", text="seen", call=c.id) for c in reply.tool_calls),
                ),
                tools=(TOOL,),
            )
        )
    assert [m.get("tool_call_id") for m in rig.server.requests[-1]["messages"]] == [
        None,
        None,
        "call_0",
        "call_1",
    ]
    with Rig(call(("look", "[]"))) as rig, pytest.raises(BadReply, match="malformed tool calls"):
        rig.client.complete(ask(tools=(TOOL,)))


def test_replies_are_kept_by_request_and_sample(tmp_path):
    with Rig(say("one"), say("two"), folder=tmp_path) as rig:
        first = rig.client.complete(ask())
        assert first.text == "one"
        again = rig.client.complete(ask())
        assert again.text == "one" and again.kept and again.dollars == 0.0 and again.usage.total == 0
        assert (again.worth, again.took) == (first.worth, first.took) and again.worth > 0 and again.took > 0
        assert rig.client.complete(ask(), sample=1).text == "two"
        assert rig.asked == 2
        for file in tmp_path.rglob("*.json"):
            assert KEY not in file.read_text()
            file.write_text("{ broken")
        assert not rig.client.complete(ask()).kept  # a broken file is a miss


def test_a_refusal_without_words():
    with (
        Rig(Turn(refusal="I cannot help with that")) as rig,
        pytest.raises(BadReply, match="as in a refusal"),
    ):
        rig.client.complete(ask())
    assert rig.asked == HASTY.malformed


def test_failures_are_not_kept(tmp_path):
    with Rig(say("x", finish="length"), say("whole"), folder=tmp_path) as rig:
        with pytest.raises(Truncated):
            rig.client.complete(ask())
        assert rig.client.complete(ask()).text == "whole"


def test_no_key_no_provider_no_model(monkeypatch):
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    for model, variable in (
        ("openai/gpt-4o", "OPENAI_API_KEY"),
        ("anthropic/claude-x", "ANTHROPIC_API_KEY"),
        ("gemini/g", "GEMINI_API_KEY"),
    ):
        with pytest.raises(BadKey, match=rf"set .*{variable}"):
            Wire(parse_endpoint(model))
    with pytest.raises(UnknownModel, match="no provider 'opnai'"):
        Wire(parse_endpoint("opnai/gpt-4o"))
    for local in ("vllm/x@http://localhost:1/v1", "ollama/qwen3:8b"):
        Wire(parse_endpoint(local))
    for bad in ("gpt-4o", "openai/", "/x", "openai/x@http:///v1", "openai/x@https://me:pw@host/v1"):
        with pytest.raises(UsageError, match="--model"):
            parse_endpoint(bad)


def test_a_providers_own_key_is_not_sent_to_another_server(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-the-real-one-1234")
    with Rig(say("hi"), key=None) as rig:
        rig.client.complete(ask())
    assert "the-real-one" not in str(rig.server.requests)


def test_vllm_speaks_through_the_same_client():
    with Rig(say("hi"), model="vllm/served/model") as rig:
        assert rig.client.complete(ask()).text == "hi"
    assert rig.server.requests[0]["model"] == "served/model"


def test_keys_are_redacted(monkeypatch):
    monkeypatch.setenv("SOME_API_KEY", "plainword99")
    text = redact("a plainword99 b Bearer abc.def c sk-abcdefghij\n d http://u:p@h/ e hush-hush", "hush-hush")
    assert not {"plainword99", "abc.def", "sk-abcdefghij", "u:p", "hush-hush"} & set(
        text.replace("/", " ").split()
    )
    assert "\n" not in text and "plainword99" not in text and "u:p@" not in text


def test_stable_messages_come_first():
    with pytest.raises(ValueError, match="stable"):
        Request(messages=(Message(role="user", text="a"), Message(role="user", text="b", stable=True)))


def test_prices_are_frozen_per_run():
    table = freeze_prices(["openai/gpt-4o", "ollama/x", "openai/y@http://h/v1"], {})
    assert table.prices["openai/gpt-4o"].prompt > table.prices["openai/gpt-4o"].cached > 0
    assert table.prices["ollama/x"] == Price(prompt=0.0, completion=0.0)
    assert "openai/y@http://h/v1" not in table.prices and table.source.startswith("litellm")
    with pytest.raises(UsageError, match="--price openai/y@http://h/v1="):
        freeze_prices(["openai/y@http://h/v1"], {}, dollars_limited=True)
    given = parse_prices(["openai/y@http://h/v1=0.5,2"])
    assert freeze_prices(["openai/y@http://h/v1"], given, dollars_limited=True).prices == given
    with pytest.raises(UsageError, match="no --model"):
        freeze_prices(["openai/z"], given)
    for bad in ("x", "x=1", "x=1,-2", "=1,2", "x=nan,1"):
        with pytest.raises(UsageError, match="--price"):
            parse_prices([bad])


def test_a_call_waits_for_what_another_may_give_back(tmp_path):
    """Two calls whose bounds do not fit together, and whose costs do."""
    slow = Turn(
        text="slow", delay=0.5, usage={"prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 10}
    )
    with Rig(slow, say("quick"), folder=None) as rig:
        ledger = Ledger({"tokens": 1.5 * (ask().most_prompt_tokens + ask().max_tokens)})
        rig.client._purse = ledger
        first = threading.Thread(target=rig.client.complete, args=(ask(),))
        first.start()
        while not rig.asked:
            time.sleep(0.01)
        assert rig.client.complete(ask()).text == "quick"
        first.join()
        assert rig.asked == 2 and ledger.spent["tokens"] < ledger.limits["tokens"]


def test_what_a_purse_refuses_is_not_asked():
    class Empty(ChatError):
        pass

    class Broke:
        def reserve(self, *, wait=0.0, **amounts):
            raise Empty("nothing left")

    with Rig(say("x")) as rig:
        rig.client._purse = Broke()
        with pytest.raises(Empty):
            rig.client.complete(ask())
    assert rig.asked == 0
