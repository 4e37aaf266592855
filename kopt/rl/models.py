"""The models of a run: who they are, what they cost, and clients that pay from its ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kopt.rl.ledger import DOLLARS, SECONDS, Ledger
from kopt.settings import Settings
from kopt.words import from_json, to_json

if TYPE_CHECKING:
    from kopt.agents.chat.prices import PriceTable
    from kopt.agents.chat.wire import Wire
    from kopt.agents.chat.words import ChatModel
    from kopt.rl.loop import Observer


class Models:
    """The models a user named, known to be callable as far as can be said without calling them."""

    def __init__(self, wires: Sequence[Wire], prices: PriceTable) -> None:
        self._wires = list(wires)
        self._prices = prices

    @classmethod
    def open(
        cls,
        names: Sequence[str],
        settings: Settings,
        *,
        prices: Sequence[str] = (),
        budget: Mapping[str, float | None] | None = None,
    ) -> Models:
        """Check what the user gave and freeze the prices.

        Raises:
            UsageError: a name or a price is malformed, or dollars are limited and a price is not known.
            ChatError: a provider does not exist, or its key is not set.
        """
        if not names:
            return cls([], _no_prices())
        from kopt.agents.chat.prices import freeze_prices, parse_prices

        wires = _wires(names, settings)
        limited = (budget or {}).get(DOLLARS) is not None
        table = freeze_prices(names, parse_prices(prices), dollars_limited=limited)
        return cls(wires, table)

    @classmethod
    def recall(cls, options: Mapping[str, Any], settings: Settings) -> Models:
        """The models of a run begun earlier, at the prices it began with."""
        names = options.get("models") or []
        if not names:
            return cls([], _no_prices())
        from kopt.agents.chat.prices import PriceTable

        return cls(_wires(names, settings), from_json(PriceTable, options["prices"]))

    def options(self) -> dict[str, Any]:
        """What a run has to remember."""
        if not self._wires:
            return {}
        return {"models": [wire.endpoint.name for wire in self._wires], "prices": to_json(self._prices)}

    def remarks(self) -> tuple[str, ...]:
        """Which models have no price."""
        names = [w.endpoint.name for w in self._wires if w.endpoint.name not in self._prices.prices]
        return tuple(
            f"no price is known for {name}: its tokens are counted, its dollars are not" for name in names
        )

    def clients(self, settings: Settings, ledger: Ledger, observer: Observer) -> list[ChatModel]:
        """Clients that pay from a ledger."""
        if not self._wires:
            return []
        from kopt.agents.chat.cache import ReplyCache
        from kopt.agents.chat.client import Client

        return [
            Client(
                wire,
                purse=ledger,
                prices=self._prices,
                cache=ReplyCache(settings.replies),
                observe=observer,
                allowance=lambda: ledger.left(SECONDS),
            )
            for wire in self._wires
        ]


def _wires(names: Sequence[str], settings: Settings) -> list[Wire]:
    from kopt.agents.chat.endpoint import parse_endpoint
    from kopt.agents.chat.wire import Wire
    from kopt.errors import UsageError

    if len(set(names)) < len(names):
        raise UsageError("a --model is given twice; give each once")
    key = settings.model_key.get_secret_value() if settings.model_key else None
    return [Wire(parse_endpoint(name), key) for name in names]


def _no_prices() -> PriceTable:
    from kopt.agents.chat.prices import PriceTable

    return PriceTable()
