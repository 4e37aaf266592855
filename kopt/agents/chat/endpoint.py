"""Which model, where: ``PROVIDER/NAME`` or ``PROVIDER/NAME@URL``, and the key that goes with it.

With a URL any OpenAI-compatible server can be used (``openai/my-model@http://localhost:8000/v1``). A provider's
own key is never sent to such a URL; set ``KOPT_MODEL_KEY`` where the server wants one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from kopt.errors import UsageError

_ALIASES = {"vllm": "hosted_vllm", "ollama": "ollama_chat"}
_LOCAL = frozenset({"hosted_vllm", "ollama_chat"})
"""Providers that need no key and have no price."""
_EXAMPLE = "write PROVIDER/NAME, for example openai/gpt-5 or openai/my-model@http://localhost:8000/v1"


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """A model at a place. ``name`` is what the user wrote; nothing in it is secret."""

    name: str
    provider: str
    model: str
    url: str | None = None

    @property
    def route(self) -> str:
        """The model as litellm wants it."""
        return f"{self.provider}/{self.model}"

    @property
    def local(self) -> bool:
        """Whether the user runs the server: no key is needed and nothing is billed."""
        return self.provider in _LOCAL


def parse_endpoint(text: str) -> Endpoint:
    """Read what the user wrote behind ``--model``.

    Raises:
        UsageError: it is not of that form, or the URL holds a password.
    """
    name, at, url = text.partition("@http")
    url = "http" + url if at else ""
    provider, slash, model = name.partition("/")
    if not slash or not re.fullmatch(r"\w[\w.-]*", provider) or not re.fullmatch(r"[\w][\w.:/+\-@]*", model):
        raise UsageError(f"--model {text[:80]!r} names no model; {_EXAMPLE}")
    if url:
        parts = urlsplit(url)
        if not parts.hostname or parts.scheme not in ("http", "https"):
            raise UsageError(f"--model {text[:80]!r} has no usable URL; {_EXAMPLE}")
        if parts.username or parts.password or parts.query:
            raise UsageError(
                f"the URL of --model {name} holds credentials, and would be recorded; "
                "give the plain URL and set KOPT_MODEL_KEY"
            )
    return Endpoint(name=text, provider=_ALIASES.get(provider, provider), model=model, url=url or None)
