"""What is exchanged with a model: messages, requests, replies, usage; and what a model is.

Requests put what stays the same first: providers keep the prefix of earlier prompts at a tenth of the price,
byte for byte, so a changing word early in a prompt makes all behind it dear (cf. Continuum).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from pydantic import BaseModel

from kopt.words import digest_of

Role = Literal["system", "user", "assistant", "tool"]
MOST_REPLY_TOKENS = 16_384


@dataclass(frozen=True, kw_only=True)
class ToolCall:
    """A tool the model wants called. ``arguments`` are JSON values that the wire has parsed, not validated."""

    id: str
    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Message:
    """One message. ``stable`` marks the prefix that other requests share; ``call`` names the tool call answered."""

    role: Role
    text: str
    stable: bool = False
    tool_calls: tuple[ToolCall, ...] = ()
    call: str | None = None


@dataclass(frozen=True, kw_only=True)
class ToolSpec:
    """A tool a model may call; ``parameters`` is a JSON schema."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked of a model.

    Attributes:
        messages: the conversation; its stable messages first.
        tools: what the model may call.
        schema: the reply has to be JSON of this form.
        max_tokens: where the reply is cut off.
        temperature: None leaves it to the provider.
    """

    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...] = ()
    schema: type[BaseModel] | None = None
    max_tokens: int = MOST_REPLY_TOKENS
    temperature: float | None = None

    def __post_init__(self) -> None:
        """Raise ValueError where a stable message follows one that is not."""
        stable = [message.stable for message in self.messages]
        if stable != sorted(stable, reverse=True):
            raise ValueError("stable messages come first, or no provider can keep their prefix")

    def document(self) -> dict[str, Any]:
        """The request as JSON values: what a reply is kept under."""
        return {
            "messages": self.messages,
            "tools": self.tools,
            "schema": self.schema.model_json_schema() if self.schema else None,
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
        }

    def digest(self, model: str, sample: int) -> str:
        """Identity of the ``sample``-th answer of ``model`` to this request."""
        return digest_of({"model": model, "sample": sample, "request": self.document()})

    @property
    def most_prompt_tokens(self) -> int:
        """More tokens than the prompt can have: no tokenizer makes more of them than there are bytes."""
        texts = [message.text for message in self.messages]
        extra = len(str((self.tools, self.schema.model_json_schema() if self.schema else "")).encode())
        calls = sum(len(str(m.tool_calls).encode()) for m in self.messages if m.tool_calls)
        return sum(len(text.encode()) for text in texts) + extra + calls + 64 * len(texts)


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Tokens of one or several attempts. ``prompt`` includes those read from the provider's prefix cache.

    ``estimated``: the server said nothing, or something impossible, and we counted ourselves.
    """

    prompt: int = 0
    cached: int = 0
    written: int = 0
    completion: int = 0
    estimated: bool = False

    @property
    def total(self) -> int:
        """Prompt and completion."""
        return self.prompt + self.completion

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            prompt=self.prompt + other.prompt,
            cached=self.cached + other.cached,
            written=self.written + other.written,
            completion=self.completion + other.completion,
            estimated=self.estimated or other.estimated,
        )


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What a model answered, and what it cost.

    Attributes:
        text: the words of the reply; untrusted, like everything a model says.
        parsed: the reply as the schema that was asked for.
        usage: tokens, attempts that brought nothing included; zero when the reply was kept from earlier.
        dollars: their price by the run's table, or None where the model has no price.
        key: what the reply is kept under.
        kept: whether it was kept from earlier, at no cost.
        worth: the dollars, and ``took`` the seconds, that it cost when it was made, also where it is kept; what decides
            by them decides the same when a run is resumed.
    """

    model: str
    text: str
    tool_calls: tuple[ToolCall, ...] = ()
    parsed: BaseModel | None = None
    usage: Usage = field(default_factory=Usage)
    dollars: float | None = 0.0
    seconds: float = 0.0
    attempts: int = 1
    key: str = ""
    kept: bool = False
    worth: float = 0.0
    took: float = 0.0


class ChatModel(Protocol):
    """A language model. Safe to call from several threads."""

    name: str

    def complete(self, request: Request, *, sample: int = 0) -> Reply:
        """Answer a request.

        Args:
            request: what is asked.
            sample: which of several answers to the same request; the same one is never paid for twice.

        Raises:
            ChatError: no usable reply came, after all retries.
            KoptError: the budget is spent.
        """
        ...
