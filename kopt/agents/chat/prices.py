"""What tokens cost, by a table that is taken once per run and recorded with it.

A run resumed next month is billed by the table it began with: its budget keeps its meaning, and the figures of
two runs can be compared. litellm's published prices are the source; ``--price`` adds or replaces.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

from kopt.agents.chat.endpoint import parse_endpoint
from kopt.agents.chat.words import Usage
from kopt.errors import UsageError

MILLION = 1e6


@dataclass(frozen=True, kw_only=True)
class Price:
    """Dollars per million tokens: of the prompt, of its part read from or written to a prefix cache, of the reply."""

    prompt: float
    completion: float
    cached: float | None = None
    written: float | None = None

    def cost(self, usage: Usage) -> float:
        """Dollars for that many tokens: (plain * prompt + cached + written + completion) / 10^6."""
        plain = max(0, usage.prompt - usage.cached - usage.written)
        read = self.prompt if self.cached is None else self.cached
        write = self.prompt if self.written is None else self.written
        dearest = (
            plain * self.prompt
            + usage.cached * read
            + usage.written * write
            + usage.completion * self.completion
        )
        return dearest / MILLION

    def most(self, prompt: int, completion: int) -> float:
        """An upper bound for a call with at most that many tokens."""
        return (prompt * max(self.prompt, self.written or 0.0) + completion * self.completion) / MILLION


@dataclass(frozen=True, kw_only=True)
class PriceTable:
    """The prices of a run's models, by the name the user gave them. A model without a price is not in it."""

    prices: Mapping[str, Price] = field(default_factory=dict)
    source: str = ""

    def cost(self, model: str, usage: Usage) -> float | None:
        """Dollars, or None where no price is known."""
        price = self.prices.get(model)
        return None if price is None else price.cost(usage)

    def most(self, model: str, prompt: int, completion: int) -> float:
        """An upper bound in dollars; 0 where no price is known."""
        price = self.prices.get(model)
        return 0.0 if price is None else price.most(prompt, completion)


def parse_prices(pairs: Iterable[str]) -> dict[str, Price]:
    """Read ``--price MODEL=PROMPT,REPLY`` options, dollars per million tokens.

    Raises:
        UsageError: one is not of that form.
    """
    prices = {}
    for pair in pairs:
        model, _, numbers = pair.rpartition("=")
        try:
            prompt, completion = (float(number) for number in numbers.split(","))
        except ValueError:
            prompt = completion = -1.0
        if not model or not (0 <= prompt < 1e6 and 0 <= completion < 1e6):
            raise UsageError(
                f"--price {pair[:80]}: write MODEL=PROMPT,REPLY in dollars per million tokens, "
                "for example openai/my-model=0.5,2"
            )
        prices[model] = Price(prompt=prompt, completion=completion)
    return prices


def freeze_prices(
    models: Iterable[str], given: Mapping[str, Price], *, dollars_limited: bool = False
) -> PriceTable:
    """The table for a run.

    Args:
        models: the names the user gave.
        given: the user's own prices, which take precedence.
        dollars_limited: whether a budget of dollars is set, so that every model needs a price.

    Raises:
        UsageError: a model has no known price though dollars are limited, or a price is for none of the models.
    """
    names = list(models)
    for name in given:
        if name not in names:
            raise UsageError(
                f"--price names {name!r}, which is no --model of this run; give it as --model has it"
            )
    from kopt.agents.chat.wire import library

    published = library()
    prices = {}
    for name in names:
        price = given.get(name) or _published(published.model_cost, name)
        if price is not None:
            prices[name] = price
        elif dollars_limited:
            raise UsageError(
                f"no price is known for {name}, so dollars cannot be limited; "
                f"add --price {name}=PROMPT,REPLY (dollars per million tokens)"
            )
    return PriceTable(prices=prices, source=f"litellm {version('litellm')}")


def _published(table: Mapping[str, Any], name: str) -> Price | None:
    endpoint = parse_endpoint(name)
    if endpoint.local:
        return Price(prompt=0.0, completion=0.0)
    if endpoint.url is not None:  # somebody else's server under a name it chose itself
        return None
    entry = table.get(endpoint.route) or table.get(endpoint.model)
    if not entry or entry.get("input_cost_per_token") is None:
        return None

    def per_million(key: str) -> float | None:
        value = entry.get(key)
        return None if value is None else float(value) * MILLION

    return Price(
        prompt=per_million("input_cost_per_token") or 0.0,
        completion=per_million("output_cost_per_token") or 0.0,
        cached=per_million("cache_read_input_token_cost"),
        written=per_million("cache_creation_input_token_cost"),
    )
