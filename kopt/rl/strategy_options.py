"""What can be set on a strategy: declared once, checked here, shown by the command line, kept with the run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kopt.errors import UsageError


def flag_of(name: str) -> str:
    """An option's name as it is written on the command line."""
    return f"--{name.replace('_', '-')}"


@dataclass(frozen=True, kw_only=True)
class Option:
    """A number a strategy can be given."""

    name: str
    help: str
    default: float
    least: float
    most: float = 1_000_000
    whole: bool = True

    @property
    def flag(self) -> str:
        """As it is written on the command line."""
        return flag_of(self.name)

    def check(self, value: object) -> float:
        """The value as a number.

        Raises:
            UsageError: it is none, or out of range.
        """
        if (
            isinstance(value, int | float)
            and not isinstance(value, bool)
            and self.least <= value <= self.most
        ):
            if not self.whole:
                return float(value)
            if value == int(value):
                return int(value)
        kind = "whole number" if self.whole else "number"
        raise UsageError(
            f"{self.flag} {value}: give a {kind} from {self.least:g} to {self.most:g} (default {self.default:g})"
        )


_SEED = Option(name="seed", help="Where luck comes from; part of the run.", default=0, least=0, most=2**31)
BRIEFING = (
    Option(
        name="plan",
        help="Plans (dataflow, tiles) a model makes for its first versions, which take turns; 0: none.",
        default=0,
        least=0,
        most=10,
    ),
    Option(
        name="review",
        help="1: the next --model may hold a proposal back, once, before it is built.",
        default=0,
        least=0,
        most=1,
    ),
    Option(
        name="similar",
        help="Kernels of the library, at most, that models are shown where their operators are alike; 0: none.",
        default=2,
        least=0,
        most=10,
    ),
    Option(
        name="lookups",
        help="Rounds of look-ups (notes, kernels of the library) a model may make before it answers; 0: none.",
        default=0,
        least=0,
        most=10,
    ),
    Option(
        name="adversary",
        help="How often, at most, a model proposes inputs on which two candidates may differ; 0: never.",
        default=0,
        least=0,
        most=10,
    ),
    Option(
        name="profiles",
        help="Candidates profiled, at most, for models that are to improve them; 0: none.",
        default=12,
        least=0,
    ),
)
"""What all strategies with models take: who helps them, and what they are told."""
IN_FLIGHT = "in_flight"
_IN_FLIGHT = Option(
    name=IN_FLIGHT,
    help="Most proposals asked for at once, while others are evaluated; no more than keep the judge busy.",
    default=4,
    least=1,
    most=64,
)
OPTIONS: dict[str, tuple[Option, ...]] = {
    "offline": (),
    "tune": (),
    "agent": (),
    "refine": BRIEFING,
    "best-of-n": (
        Option(
            name="samples",
            help="First versions to ask for; 0: as many as the budget allows.",
            default=0,
            least=0,
        ),
        _IN_FLIGHT,
        *BRIEFING,
    ),
    "beam": (
        Option(name="width", help="Candidates that go on to the next level.", default=3, least=1, most=100),
        Option(name="branch", help="Successors of each.", default=3, least=1, most=100),
        _IN_FLIGHT,
        *BRIEFING,
    ),
    "evolve": (
        Option(name="population", help="Correct candidates an island keeps.", default=4, least=1, most=1000),
        Option(
            name="islands",
            help="Populations that evolve apart and exchange their best.",
            default=1,
            least=1,
            most=100,
        ),
        Option(name="migration", help="Evaluations between exchanges of islands' best.", default=20, least=1),
        Option(
            name="stall",
            help="Evaluations without a gain after which an island has stalled.",
            default=12,
            least=1,
        ),
        Option(name="patience", help="Evaluations without a gain after which it ends.", default=48, least=1),
        Option(
            name="alike",
            help="Likeness from which candidates are variations of each other.",
            default=0.9,
            least=0.0,
            most=2.0,
            whole=False,
        ),
        _IN_FLIGHT,
        _SEED,
        *BRIEFING,
    ),
}


def read_options(strategy: str, given: Mapping[str, object]) -> dict[str, float]:
    """All options of a strategy with the values given, defaults filled in.

    Raises:
        UsageError: the strategy has no such option, or a value does not fit.
    """
    known = {option.name: option for option in OPTIONS[strategy]}
    for name in given:
        if name not in known:
            has = ", ".join(option.flag for option in known.values()) or "none"
            takers = [
                other for other, options in OPTIONS.items() if name in {option.name for option in options}
            ]
            hint = f"; {' and '.join(takers)} take{'s' * (len(takers) == 1)} that one" if takers else ""
            raise UsageError(f"the strategy {strategy} has no option {flag_of(name)}; it has: {has}{hint}")
    return {name: option.check(given.get(name, option.default)) for name, option in known.items()}
