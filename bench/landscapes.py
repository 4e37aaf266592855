"""Two synthetic worlds, made from a seed alone.

* ``nk``: Kauffman's NK landscape (Kauffman and Levin, 1987): N bits, each worth a random number that depends on it and
  K others; many local optima, and neighbours are alike. An improvement flips one bit (a third of the time two).
* ``plateau``: a ladder whose rungs are plateaus. A kernel is a branch, a level and a place on it; only the last place
  of a plateau leads up, all places of a level are equally fast, and of the four branches three end half-way: what looks
  best early is deceptive. Levels cost more to evaluate the lower they are, as slow kernels do.
"""

from __future__ import annotations

import itertools
import random

from bench.worlds import Outcome

WIDTH = 0.02


def _correct(ratio: float, seconds: float) -> Outcome:
    return Outcome(ratio, ratio * (1 - WIDTH), ratio * (1 + WIDTH), seconds)


class _Broken:
    """Broken in one of a few ways, none of which takes long to find out."""

    def blemish(self, luck: random.Random) -> str:
        return luck.choice(["build_failed", "wrong", "wrong", "crashed"])


class NK(_Broken):
    """Bits as text. The ratio is 0.5 to 2.5, the best being 2.5."""

    budget = 400

    def __init__(self, seed: int, bits: int = 12, others: int = 3) -> None:
        self.name = "nk"
        luck = random.Random(f"nk/{seed}")
        self._bits = bits
        self._parts = [[i, *luck.sample([j for j in range(bits) if j != i], others)] for i in range(bits)]
        self._worth = [
            {key: luck.random() for key in itertools.product("01", repeat=others + 1)} for _ in range(bits)
        ]
        values = {key: self._value(key) for key in map("".join, itertools.product("01", repeat=bits))}
        low, high = min(values.values()), max(values.values())
        self._ratios = {key: 0.5 + 2.0 * (value - low) / (high - low) for key, value in values.items()}
        self.best = max(self._ratios.values())

    def _value(self, key: str) -> float:
        return sum(
            worth[tuple(key[i] for i in part)] for worth, part in zip(self._worth, self._parts, strict=True)
        )

    def draw(self, luck: random.Random) -> str:
        return "".join(luck.choice("01") for _ in range(self._bits))

    def near(self, key: str, luck: random.Random) -> str:
        flipped = set(luck.sample(range(self._bits), 2 if luck.random() < 1 / 3 else 1))
        return "".join("10"[int(bit)] if i in flipped else bit for i, bit in enumerate(key))

    def outcome(self, key: str, blemish: str | None) -> Outcome:
        return Outcome(None, seconds=1.0, verdict=blemish) if blemish else _correct(self._ratios[key], 3.0)


class Plateau(_Broken):
    """``branch.level.place.style``; the style changes nothing. A fresh kernel stands at the foot of a branch."""

    budget = 600
    BRANCHES, LEVELS, PLACES, STYLES = 4, 5, 2, 100

    def __init__(self, seed: int) -> None:
        self.name = "plateau"
        self._true = random.Random(f"plateau/{seed}").randrange(self.BRANCHES)
        self.best = self._ratio(self._true, self.LEVELS - 1)

    def _ratio(self, branch: int, level: int) -> float:
        steep = 1.15 if branch == self._true else 1.25  # the false ones rise faster, and end
        return 0.8 * steep**level

    def _top(self, branch: int) -> int:
        return self.LEVELS - 1 if branch == self._true else self.LEVELS // 2

    def draw(self, luck: random.Random) -> str:
        return (
            f"{luck.randrange(self.BRANCHES)}.0.{luck.randrange(self.PLACES)}.{luck.randrange(self.STYLES)}"
        )

    def near(self, key: str, luck: random.Random) -> str:
        branch, level, place, _ = map(int, key.split("."))
        ways = [(level, other) for other in (place - 1, place + 1) if 0 <= other < self.PLACES]
        if place == self.PLACES - 1 and level < self._top(branch):
            ways.append((level + 1, 0))
        if level:
            ways.append((level - 1, luck.randrange(self.PLACES)))
        level, place = luck.choice(ways)
        return f"{branch}.{level}.{place}.{luck.randrange(self.STYLES)}"

    def outcome(self, key: str, blemish: str | None) -> Outcome:
        if blemish:
            return Outcome(None, seconds=1.0, verdict=blemish)
        branch, level, _, _ = map(int, key.split("."))
        ratio = self._ratio(branch, level)
        return _correct(ratio, 1.0 + 4.0 / ratio)
