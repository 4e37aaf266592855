"""Talking to language models: one protocol, one client behind it, every way a call can fail named.

``words`` says what is exchanged, ``wire`` makes one attempt through litellm, ``client`` retries, caches, pays
and checks. Nothing here knows what is being asked.
"""

from kopt.agents.chat.errors import (
    BadKey,
    BadReply,
    ChatError,
    PromptRejected,
    Refused,
    Truncated,
    Unavailable,
    UnknownModel,
)
from kopt.agents.chat.words import ChatModel, Message, Reply, Request, ToolCall, ToolSpec, Usage

__all__ = [
    "BadKey",
    "BadReply",
    "ChatError",
    "ChatModel",
    "Message",
    "PromptRejected",
    "Refused",
    "Reply",
    "Request",
    "ToolCall",
    "ToolSpec",
    "Truncated",
    "Unavailable",
    "UnknownModel",
    "Usage",
]
