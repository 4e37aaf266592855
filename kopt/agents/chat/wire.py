"""One attempt at one call, through litellm; the only module that knows litellm.

litellm's own retries, telemetry, price download and ``.env`` reading are off. Replies are streamed, so that a
server that has died is noticed by its silence, and put together here: litellm would call a stream that breaks off
before its end complete.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kopt.agents.chat.endpoint import Endpoint
from kopt.agents.chat.errors import (
    BadKey,
    ChatError,
    PromptRejected,
    Refused,
    SetupError,
    Truncated,
    Unavailable,
    UnknownModel,
)
from kopt.agents.chat.redact import redact
from kopt.agents.chat.words import Message, Request, ToolCall, Usage
from kopt.errors import UsageError

MOST_REPLY_BYTES = 8 << 20
_BYTES_PER_TOKEN = 3
_LEAST_TOKENS_PER_BYTE = 1 / 24
"""Below this a server's own count of what it has sent us is not believed."""


class Fault(Exception):
    """An attempt failed. ``usage`` is what it may have cost all the same; None: nothing was computed."""

    def __init__(
        self,
        error: ChatError,
        *,
        again: bool = False,
        retry_after: float | None = None,
        malformed: bool = False,
        usage: Usage | None = None,
    ) -> None:
        super().__init__(str(error))
        self.error = error
        self.again = again
        self.retry_after = retry_after
        self.malformed = malformed
        self.usage = usage


@dataclass
class Answer:
    """What came back, put together."""

    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    usage: Usage = field(default_factory=Usage)


@functools.cache
def library() -> Any:
    """Litellm, quiet and offline but for the calls themselves.

    Raises:
        UsageError: it is not installed.
    """
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    os.environ.setdefault("LITELLM_MODE", "PRODUCTION")
    try:
        import litellm
    except ImportError:
        raise UsageError("models need the extra llm: pip install 'kopt[llm]'") from None
    litellm.suppress_debug_info = True
    litellm.telemetry = False
    litellm.drop_params = True
    for name in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy", "httpx", "openai"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return litellm


class Wire:
    """Calls one endpoint."""

    def __init__(self, endpoint: Endpoint, key: str | None = None) -> None:
        """Prepare to call an endpoint.

        Args:
            endpoint: which model and where.
            key: for a server given by URL; a provider's own key is found by litellm in the environment.

        Raises:
            UnknownModel: there is no such provider.
            BadKey: the provider's key is not set.
        """
        self.endpoint = endpoint
        self._key = key
        self._litellm = library()
        self._check()

    def __repr__(self) -> str:
        return f"Wire({self.endpoint.name!r})"

    def _check(self) -> None:
        endpoint, litellm = self.endpoint, self._litellm
        if endpoint.provider not in {str(getattr(p, "value", p)) for p in litellm.provider_list}:
            raise UnknownModel(
                f"no provider {endpoint.provider!r} is known; use openai, anthropic, gemini, vllm, ollama or "
                "another of litellm's, or openai/NAME@URL for any OpenAI-compatible server"
            )
        if endpoint.url is None and not endpoint.local:
            found = litellm.validate_environment(endpoint.route)
            own = self._key_name()
            missing = [own] if os.environ.get(own) == "" else found["missing_keys"]
            if missing and (missing == [own] or not found["keys_in_environment"]):
                names = " or ".join(missing)
                raise BadKey(f"no key for {endpoint.name}: set {names} in the environment")

    def call(self, request: Request, *, silence: float, until: float) -> Answer:
        """Make one attempt.

        Args:
            request: what to ask.
            silence: seconds without a byte after which to give up.
            until: when to give up altogether (``time.monotonic``).

        Raises:
            Fault: nothing usable came.
        """
        collected = _Collected(request)
        try:
            stream = self._litellm.completion(
                **self._arguments(request, min(silence, until - time.monotonic()))
            )
            for chunk in stream:
                collected.add(chunk)
                if time.monotonic() > until:
                    raise Fault(
                        Unavailable(f"{self.endpoint.name} did not finish its reply in time"),
                        usage=collected.estimate(),
                    )
            finished = getattr(stream, "received_finish_reason", collected.finish)
        except Fault:
            raise
        except Exception as error:
            raise self._fault(error, collected) from None
        return self._judge(collected, finished)

    def _arguments(self, request: Request, timeout: float) -> dict[str, Any]:
        endpoint = self.endpoint
        arguments: dict[str, Any] = {
            "model": endpoint.route,
            "messages": _messages(request.messages, marked=endpoint.provider == "anthropic"),
            "max_tokens": request.max_tokens,
            "timeout": max(1.0, timeout),
            "num_retries": 0,
            "max_retries": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if request.temperature is not None:
            arguments["temperature"] = request.temperature
        if request.tools:
            arguments["tools"] = [
                {
                    "type": "function",
                    "function": {
                        "name": tool.name,
                        "description": tool.description,
                        "parameters": tool.parameters,
                    },
                }
                for tool in request.tools
            ]
        if request.schema is not None:
            arguments["response_format"] = request.schema
        if endpoint.url is not None:
            arguments["api_base"] = endpoint.url
            arguments["api_key"] = self._key or "none"
        return arguments

    def _judge(self, collected: _Collected, finished: str | None) -> Answer:
        name, usage = self.endpoint.name, collected.usage()
        if finished in ("content_filter", "refusal"):
            raise Fault(
                Refused(f"{name} refused to answer (its content filter); ask another model"), usage=usage
            )
        if finished == "length":
            limit = collected.request.max_tokens
            raise Fault(
                Truncated(f"the reply of {name} was cut off at {limit} tokens; ask for less at a time"),
                usage=usage,
            )
        if finished is None:
            error = Unavailable(f"the reply of {name} broke off before its end")
            raise Fault(error, again=True, usage=usage)
        try:
            calls = collected.calls()
        except ValueError as error:
            reason = redact(str(error), most=120)
            raise Fault(
                Unavailable(f"{name} makes malformed tool calls: {reason}"),
                again=True,
                malformed=True,
                usage=usage,
            ) from None
        return Answer(text=collected.text, tool_calls=calls, usage=usage)

    def _fault(self, error: Exception, collected: _Collected) -> Fault:
        """Name what litellm raised, by its class and status; its text is for people only."""
        exceptions, name = self._litellm.exceptions, self.endpoint.name
        says = redact(str(getattr(error, "message", None) or error), self._key or "", most=200)
        says = says.rpartition("Exception - ")[2]
        status = getattr(error, "status_code", None)
        begun = collected.estimate() if collected.text or collected.tools else None
        if (
            isinstance(error, exceptions.AuthenticationError | exceptions.PermissionDeniedError)
            or status == 403
        ):
            return Fault(BadKey(f"{name} does not accept the key; check {self._key_name()}"))
        if isinstance(error, exceptions.NotFoundError):
            return Fault(UnknownModel(f"{name} does not exist there ({says}); check its name and URL"))
        if isinstance(error, exceptions.ContextWindowExceededError):
            return Fault(PromptRejected(f"the prompt is too long for {name} ({says})"))
        if isinstance(error, exceptions.ContentPolicyViolationError):
            return Fault(Refused(f"{name} refused to answer ({says}); ask another model"))
        if isinstance(error, exceptions.RateLimitError):
            if "insufficient_quota" in str(error) or "exceeded your current quota" in str(error):
                return Fault(
                    BadKey(f"the account behind {name} has no credit left; add some, or use another model")
                )
            return Fault(
                Unavailable(f"{name} limits our rate ({says})"), again=True, retry_after=_retry_after(error)
            )
        if isinstance(error, exceptions.Timeout):
            sent = Usage(prompt=collected.prompt_guess, estimated=True)  # it may have computed, and bill
            return Fault(Unavailable(f"{name} did not answer in time"), again=True, usage=begun or sent)
        if isinstance(error, exceptions.BadRequestError) or (status is not None and 400 <= status < 500):
            return Fault(PromptRejected(f"{name} does not accept the request: {says}"))
        if isinstance(error, ImportError | SetupError):
            return Fault(UnknownModel(f"{name} cannot be used: {says}"))
        return Fault(
            Unavailable(f"{name} failed: {says}"), again=True, retry_after=_retry_after(error), usage=begun
        )

    def _key_name(self) -> str:
        if self.endpoint.url is not None:
            return "KOPT_MODEL_KEY"
        return f"{self.endpoint.provider.upper()}_API_KEY"


class _Collected:
    """A reply while it arrives."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.text = ""
        self.finish: str | None = None
        self.tools: dict[int, dict[str, str]] = {}
        self._usage: Any = None
        texts = sum(len(message.text.encode()) for message in request.messages)
        self.prompt_guess = texts // _BYTES_PER_TOKEN + 8 * len(request.messages)

    def add(self, chunk: Any) -> None:
        """Take one piece of the stream."""
        self._usage = getattr(chunk, "usage", None) or self._usage
        for choice in chunk.choices[:1]:
            self.finish = choice.finish_reason or self.finish
            delta = choice.delta
            self.text += getattr(delta, "content", None) or ""
            for call in getattr(delta, "tool_calls", None) or []:
                place = self.tools.setdefault(call.index or 0, {"id": "", "name": "", "arguments": ""})
                place["id"] = call.id or place["id"]
                place["name"] = call.function.name or place["name"]
                place["arguments"] += call.function.arguments or ""
        if len(self.text) + sum(len(call["arguments"]) for call in self.tools.values()) > MOST_REPLY_BYTES:
            raise Fault(
                Unavailable(f"a reply of more than {MOST_REPLY_BYTES >> 20} MiB was not read to its end"),
                usage=self.estimate(),
            )

    def calls(self) -> tuple[ToolCall, ...]:
        """The tool calls; ValueError where one is none of ours or its arguments are not a JSON object."""
        known, made = {tool.name for tool in self.request.tools}, []
        for index, call in sorted(self.tools.items()):
            arguments = json.loads(call["arguments"] or "{}")
            if call["name"] not in known:
                raise ValueError(f"there is no tool {call['name'][:60]!r}")
            if not isinstance(arguments, dict):
                raise ValueError(f"the arguments of {call['name']} are not an object")
            made.append(ToolCall(id=call["id"] or f"call_{index}", name=call["name"], arguments=arguments))
        return tuple(made)

    def _sent(self) -> int:
        return len(self.text.encode()) + sum(len(call["arguments"].encode()) for call in self.tools.values())

    def estimate(self) -> Usage:
        """Our own count of prompt and reply."""
        return Usage(
            prompt=self.prompt_guess, completion=-(-self._sent() // _BYTES_PER_TOKEN), estimated=True
        )

    def usage(self) -> Usage:
        """The server's count where it is possible, else ours: a budget must not rest on a wrong report."""
        said = self._usage
        own = self.estimate()
        if said is None:
            return own
        details = getattr(said, "prompt_tokens_details", None)
        prompt, completion = _count(said, "prompt_tokens"), _count(said, "completion_tokens")
        if completion < self._sent() * _LEAST_TOKENS_PER_BYTE or prompt < own.prompt * _LEAST_TOKENS_PER_BYTE:
            return own
        cached = _count(details, "cached_tokens")
        written = max(_count(details, "cache_creation_tokens"), _count(said, "cache_creation_input_tokens"))
        return Usage(
            prompt=prompt,
            cached=min(cached, prompt),
            written=min(written, prompt - min(cached, prompt)),
            completion=completion,
        )


def _count(holder: object, name: str) -> int:
    value = getattr(holder, name, None)
    return value if isinstance(value, int) and value > 0 else 0


def _retry_after(error: Exception) -> float | None:
    """Seconds the server asks to wait, from ``Retry-After`` or ``Retry-After-Ms``; a date is not understood."""
    response = getattr(error, "response", None)
    for source in (getattr(error, "litellm_response_headers", None), getattr(response, "headers", None)):
        headers: Mapping[str, Any] = source or {}
        for name, scale in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
            try:
                return max(0.0, float(headers[name]) * scale)
            except (KeyError, TypeError, ValueError):
                continue
    return None


def _messages(messages: tuple[Message, ...], *, marked: bool) -> list[dict[str, Any]]:
    """In OpenAI's form; ``marked`` tells Anthropic's servers where the stable prefix ends (others find out)."""
    last = max((place for place, message in enumerate(messages) if message.stable), default=-1)
    made = []
    for place, message in enumerate(messages):
        document: dict[str, Any] = {"role": message.role, "content": message.text}
        if marked and place == last:
            document["content"] = [
                {"type": "text", "text": message.text, "cache_control": {"type": "ephemeral"}}
            ]
        if message.tool_calls:
            document["tool_calls"] = [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": json.dumps(call.arguments)},
                }
                for call in message.tool_calls
            ]
        if message.call is not None:
            document["tool_call_id"] = message.call
        made.append(document)
    return made
