"""Which layers of isolation are active, and what each missing one costs."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class IsolationReport:
    """The record every evaluation carries: ``layers`` that hold, and what ``missing`` ones would stop."""

    backend: str
    layers: dict[str, bool | str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def lack(self, layer: str, cost: str) -> None:
        """Note a layer that does not hold."""
        self.layers[layer] = False
        self.missing[layer] = cost
