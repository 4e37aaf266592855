"""A model as kopt uses it: kept replies first, then attempts that are paid for, checked and repeated.

Every attempt reserves its upper bound in the run's budget before it is made and settles what it used. What an
attempt costs although it brought nothing is settled too: a server that fails half-way must not spend unseen.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from pydantic import BaseModel, ValidationError

from kopt.agents.chat.cache import ReplyCache
from kopt.agents.chat.errors import BadReply, ChatError, Unavailable
from kopt.agents.chat.pace import Pace, Patience
from kopt.agents.chat.prices import PriceTable
from kopt.agents.chat.redact import redact
from kopt.agents.chat.wire import Answer, Fault, Wire
from kopt.agents.chat.words import Reply, Request, ToolCall, Usage
from kopt.words import from_json

DOLLARS, TOKENS = "dollars", "tokens"


class Promise(Protocol):
    """An amount set aside for an attempt."""

    def settle(self, **used: float) -> None:
        """It was made, and used this."""

    def cancel(self) -> None:
        """It cost nothing."""


class Purse(Protocol):
    """What a client needs of a budget."""

    def reserve(self, *, wait: float = 0.0, **amounts: float) -> Promise:
        """Set amounts aside, all or none; raises where they do not fit once others have given back what they can."""


class Client:
    """A :class:`~kopt.agents.chat.words.ChatModel` behind a wire."""

    def __init__(
        self,
        wire: Wire,
        *,
        purse: Purse,
        prices: PriceTable,
        cache: ReplyCache | None = None,
        patience: Patience | None = None,
        observe: Callable[[str, Mapping[str, Any]], None] | None = None,
        allowance: Callable[[], float] | None = None,
    ) -> None:
        """Put a client together.

        Args:
            wire: the way to the model.
            purse: the run's budget; counts dollars and tokens.
            prices: the run's price table.
            cache: where replies are kept; None keeps none.
            patience: how long to go on when calls fail.
            allowance: seconds a call that begins now may take, where that is less than patience.
            observe: gets ("model", facts) after every call; the facts hold no text of prompt or reply.
        """
        self.name = wire.endpoint.name
        self._wire = wire
        self._purse = purse
        self._prices = prices
        self._cache = cache
        self._patience = patience or Patience()
        self._pace = Pace(self._patience)
        self._observe = observe
        self._allowance = allowance or (lambda: math.inf)

    def complete(self, request: Request, *, sample: int = 0) -> Reply:
        """Answer a request; see :class:`~kopt.agents.chat.words.ChatModel`."""
        key = request.digest(self.name, sample)
        kept = self._recall(key, request)
        if kept is not None:
            self._tell(key, sample, kept, "")
            return kept
        call = _Call(started=time.monotonic())
        try:
            answer, parsed = self._persist(request, call)
        except ChatError as error:
            self._tell(key, sample, self._reply(call, key), str(error))
            raise
        reply = self._reply(call, key, answer, parsed)
        if self._cache is not None:
            document = {"text": answer.text, "tool_calls": answer.tool_calls, "usage": reply.usage}
            self._cache.put(
                key,
                {"model": self.name, "sample": sample, **request.document()},
                {**document, "dollars": reply.dollars, "seconds": round(reply.seconds, 3)},
            )
        self._tell(key, sample, reply, "")
        return reply

    def _persist(self, request: Request, call: _Call) -> tuple[Answer, BaseModel | None]:
        """Attempt until a good reply is there or patience ends."""
        patience, malformed = self._patience, 0
        until = call.started + min(patience.seconds, self._allowance())
        while True:
            self._pace.wait(until)
            call.attempts += 1
            try:
                answer = self._attempt(request, call, until)
                return answer, _check(self.name, request, answer)
            except Fault as fault:
                malformed += fault.malformed
                if not fault.again:
                    raise fault.error from None
                if malformed >= patience.malformed:
                    raise BadReply(f"{fault.error}, {malformed} times; use another model") from None
                pause = 0.0 if fault.malformed else self._pace.hold(call.attempts, fault.retry_after)
                if call.attempts >= patience.attempts or time.monotonic() + pause > until:
                    raise self._gave_up(fault, call, pause) from None
                time.sleep(pause)

    def _gave_up(self, fault: Fault, call: _Call, pause: float) -> ChatError:
        waits = f"; it wants {pause:.0f} s more" if fault.retry_after else ""
        times = f"{call.attempts} attempt{'s'[call.attempts == 1 :]}"
        return Unavailable(f"{fault.error}: gave up after {times}{waits}; try later, or another model")

    def _attempt(self, request: Request, call: _Call, until: float) -> Answer:
        most = request.most_prompt_tokens
        promise = self._purse.reserve(
            wait=until - time.monotonic(),
            dollars=self._prices.most(self.name, most, request.max_tokens),
            tokens=most + request.max_tokens,
        )
        used: Usage | None = None
        try:
            answer = self._wire.call(request, silence=self._patience.silence, until=until)
            used = answer.usage
            return answer
        except Fault as fault:
            used = fault.usage
            raise
        except (
            BaseException
        ):  # Ctrl-C in the middle of a call: what it cost is not known, so all that was set aside
            promise.settle()
            raise
        finally:
            if used is None:
                promise.cancel()
            else:
                call.usage += used
                promise.settle(dollars=self._prices.cost(self.name, used) or 0.0, tokens=used.total)

    def _reply(
        self, call: _Call, key: str, answer: Answer | None = None, parsed: BaseModel | None = None
    ) -> Reply:
        dollars, seconds = self._prices.cost(self.name, call.usage), time.monotonic() - call.started
        return Reply(
            model=self.name,
            text=answer.text if answer else "",
            tool_calls=answer.tool_calls if answer else (),
            parsed=parsed,
            usage=call.usage,
            dollars=dollars,
            seconds=seconds,
            attempts=call.attempts,
            key=key,
            worth=dollars or 0.0,
            took=round(seconds, 3),
        )

    def _recall(self, key: str, request: Request) -> Reply | None:
        document = self._cache.get(key) if self._cache is not None else None
        if document is None:
            return None
        try:
            calls = tuple(from_json(ToolCall, call) for call in document["tool_calls"])
            answer = Answer(text=str(document["text"]), tool_calls=calls)
            parsed = _check(self.name, request, answer)
            worth = self._prices.cost(self.name, from_json(Usage, document["usage"])) or 0.0
            took = float(document.get("seconds", 0.0))
        except (KeyError, TypeError, ValueError, Fault):
            return None
        return Reply(
            model=self.name,
            text=answer.text,
            tool_calls=calls,
            parsed=parsed,
            attempts=0,
            key=key,
            kept=True,
            worth=worth,
            took=took,
        )

    def _tell(self, key: str, sample: int, reply: Reply, error: str) -> None:
        if self._observe is not None:
            facts = {
                "model": self.name,
                "key": key,
                "sample": sample,
                "usage": reply.usage,
                "dollars": reply.dollars,
                "seconds": round(reply.seconds, 3),
                "attempts": reply.attempts,
                "kept": reply.kept,
                "error": redact(error),
            }
            self._observe("model", facts)


class _Call:
    """One call's attempts so far."""

    def __init__(self, started: float) -> None:
        self.started = started
        self.attempts = 0
        self.usage = Usage()


_FENCED = re.compile(r"\A\s*```(?:json)?[ \t\r]*\n(.*?)\n?```\s*\Z", re.DOTALL)


def _check(name: str, request: Request, answer: Answer) -> BaseModel | None:
    """The reply as its schema; a Fault where it is empty or of another form."""
    if not answer.text.strip() and not answer.tool_calls:
        # litellm drops the refusal from a stream: what is left of one is a reply without a word
        raise Fault(BadReply(f"{name} answered with nothing, as in a refusal"), again=True, malformed=True)
    if request.schema is None or answer.tool_calls:
        return None
    fenced = _FENCED.match(answer.text)  # models that know no structured output like to wrap it
    try:
        return request.schema.model_validate(json.loads(fenced[1] if fenced else answer.text))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        what = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    except (ValueError, RecursionError) as error:
        what = f"no JSON: {error}"
    raise Fault(
        BadReply(f"{name} does not keep to the form asked for ({redact(what, most=120)})"),
        again=True,
        malformed=True,
    )
