"""How a call to a model can fail, once retrying has not helped. Each message is one line with the next step.

A run survives all of these: :class:`SetupError` ends it before or at the first call with everything persisted,
the others cost one proposal.
"""

from __future__ import annotations

from kopt.errors import KoptError


class ChatError(KoptError):
    """A call to a model brought no usable reply."""


class SetupError(ChatError):
    """The same call would fail again: what is wrong is outside the run, and a person has to change it."""


class BadKey(SetupError):
    """The key is missing, wrong, without credit, or not allowed to use the model."""


class UnknownModel(SetupError):
    """The provider, or the model at that provider, does not exist."""


class Unavailable(ChatError):
    """Rate limits, time-outs or failures of the server lasted longer than we were ready to wait."""


class PromptRejected(ChatError):
    """The server does not accept the request: too long, or a parameter it does not know."""


class Refused(ChatError):
    """The model declined to answer."""


class Truncated(ChatError):
    """The reply was cut off at its token limit."""


class BadReply(ChatError):
    """The reply is empty, or not of the form that was asked for, more than once."""
