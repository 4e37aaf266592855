"""Look-ups a model may make before it answers: tools that only read, called at once where none waits for another.

A conversation is bounded: so many rounds, so many calls a round, so many characters a result. What a tool says is
material like everything else that is quoted to a model, and what a model asks of it is untrusted.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from kopt.agents.bill import charge
from kopt.agents.chat.words import ChatModel, Message, Reply, Request, ToolCall, ToolSpec
from kopt.agents.context import Cost
from kopt.agents.roles.prompts import guarded

MOST_CALLS = 8
"""Calls of one reply that are answered."""
MOST_RESULT = 8_000
"""Characters of a result."""
_LAST = "\nThat was the last look-up: answer now."


@dataclass(frozen=True)
class Tool:
    """What a model may call.

    Attributes:
        spec: as the model sees it.
        call: gets the arguments (JSON values that nobody has validated), returns text; may raise ValueError with a line
            for the model.
        independent: whether it may run beside others; one that may not runs by itself, in the order of the calls.
    """

    spec: ToolSpec
    call: Callable[[Mapping[str, Any]], str]
    independent: bool = True


def converse(
    model: ChatModel, request: Request, tools: Sequence[Tool], *, rounds: int, sample: int = 0
) -> tuple[Reply, Request]:
    """A model's answer after at most ``rounds`` rounds of look-ups, and the request that it answers.

    Raises:
        ChatError: no usable reply came.
        KoptError: the budget is spent.
    """
    if tools and rounds:
        request = dataclasses.replace(request, tools=tuple(tool.spec for tool in tools))
    for left in reversed(range(rounds + 1)):
        reply = model.complete(request, sample=sample)
        charge(Cost(reply.worth, reply.took))
        if not reply.tool_calls or not left:
            break
        said = Message(role="assistant", text=reply.text, tool_calls=reply.tool_calls)
        results = _results(reply.tool_calls, {tool.spec.name: tool for tool in tools})
        if left == 1:
            results[-1] = dataclasses.replace(results[-1], text=results[-1].text + _LAST)
        request = dataclasses.replace(request, messages=(*request.messages, said, *results))
    return reply, request


def _results(calls: Sequence[ToolCall], tools: Mapping[str, Tool]) -> list[Message]:
    """What the calls bring, in their order."""
    beside = [c for c in calls[:MOST_CALLS] if c.name in tools and tools[c.name].independent]
    found: dict[str, str] = {}
    with ThreadPoolExecutor(max(1, len(beside))) as threads:
        answers = threads.map(lambda call: _result(call, tools), beside)
        found.update(zip((call.id for call in beside), answers, strict=True))
    for call in calls[:MOST_CALLS]:
        if call.id not in found:
            found[call.id] = _result(call, tools)
    over = f"not looked up: {MOST_CALLS} calls at a time are enough"
    return [Message(role="tool", text=found.get(call.id, over), call=call.id) for call in calls]


def _result(call: ToolCall, tools: Mapping[str, Tool]) -> str:
    tool = tools.get(call.name)
    if tool is None:
        return f"there is no such tool; there are: {', '.join(tools)}"
    try:
        text = tool.call(call.arguments)
    except ValueError as error:
        return str(error).partition("\n")[0][:300]
    return f"<data>\n{guarded(text)[:MOST_RESULT]}\n</data>"
