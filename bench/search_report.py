"""Part of :mod:`bench.search`: its result as Markdown, losers included."""

from __future__ import annotations

from typing import Any

from kopt.rl.ledger import DOLLARS, EVALUATIONS

_HEAD = """# Search

What a strategy needed until a candidate within 5 % of the best was found: median over 20 seeds with its 95 % interval,
and the share of games that got there within the budget, where that is not all of them (the others count with the
budget). Written by `python -m bench search`; what the worlds are stands in `bench/pool.py` and `bench/landscapes.py`,
the environment in `search.json`. How often models fail and what they cost is set (`bench/worlds.py`), not measured.
The landscapes served while `evolve` was made, and five of the pools when its defaults were chosen, so they flatter
it; the unseen pools do not. How the packages are driven, and what of them is left out, stands in `bench/opponents.py`.
"""
_PARTS = {
    EVALUATIONS: (
        "Evaluations",
        "What is limited is evaluations; models cost nothing, so the bandit has no price to mind and asks the best.",
        "{:.0f}",
    ),
    DOLLARS: (
        "Dollars",
        "What is limited is what models cost; evaluations are free. A budget buys as many proposals of the mean price\n"
        "as there are evaluations above. The choice of models counts: the dearest costs thirty times the cheapest.",
        "{:.3f}",
    ),
}


def report(budgets: dict[str, Any]) -> str:
    """Both tables, each followed by how many times less ``evolve`` needs."""
    return _HEAD + "".join(_part(*_PARTS[name], budget) for name, budget in budgets.items())


def _part(title: str, about: str, number: str, budget: dict[str, Any]) -> str:
    rows, figures = budget["worlds"], budget["fewer"]
    names = list(next(iter(rows.values())))
    lines = ["| world | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for world, row in rows.items():
        lines.append(f"| {world} | " + " | ".join(_cell(row[name], number) for name in names) + " |")
    lines += [
        "",
        f"Times fewer {title.lower()} with `evolve` (median over worlds of the ratio of medians):",
        "",
        "| against | " + " | ".join(figures) + " |",
        "|---" + "|---" * len(figures) + "|",
    ]
    for name in figures["all"]:
        told = [
            f"{f[name]['ratio']:.2f} [{f[name]['low']:.2f}, {f[name]['high']:.2f}]" for f in figures.values()
        ]
        lines.append(f"| {name} | " + " | ".join(told) + " |")
    return f"\n## {title}\n\n{about}\n\n" + "\n".join(lines) + "\n"


def _cell(cell: dict[str, float], number: str) -> str:
    low, high = number.format(cell["low"]), number.format(cell["high"])
    reached = f" ({cell['reached']:.0%})" if cell["reached"] < 1 else ""
    return f"{number.format(cell['median'])} [{low}, {high}]{reached}"
