"""The red team: every shipped attack on every back end. None may succeed, and all must be stopped as they say.

Tried and succeeded are counted per family and back end. The figure is missed when an attack succeeds, when one is
stopped otherwise than its header says (it is named: what stopped it was luck, or has changed), and when a back end was
not tried.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from bench.record import write
from kopt.errors import SandboxUnavailable
from kopt.verifiers.redteam import Outcome, attacks
from kopt.verifiers.redteam import run as attack_all

BACK_ENDS = ("bubblewrap", "docker")


def _told(name: str, outcome: Outcome | None) -> None:
    if outcome is not None:
        mark = "SUCCEEDED" if outcome.succeeded else "stopped"
        print(f"{name:<32} {outcome.verdict:<12} {mark}  {outcome.stopped_by[:90]}", flush=True)


def _counted(outcomes: list[Outcome]) -> dict[str, Any]:
    families: dict[str, dict[str, int]] = defaultdict(lambda: {"tried": 0, "succeeded": 0})
    for one in outcomes:
        families[one.family]["tried"] += 1
        families[one.family]["succeeded"] += one.succeeded
    return {
        "tried": len(outcomes),
        "succeeded": sum(o.succeeded for o in outcomes),
        "families": dict(sorted(families.items())),
        "unexpected": [
            {"attack": o.attack, "verdict": o.verdict.value, "stopped_by": o.stopped_by}
            for o in outcomes
            if not o.expected
        ],
        "seconds": round(sum(o.seconds for o in outcomes), 1),
        "attacks": [
            {"attack": o.attack, "numbers": o.numbers, "verdict": o.verdict.value, "succeeded": o.succeeded,
             "stopped_by": o.stopped_by}
            for o in outcomes
        ],
    }  # fmt: skip


def run() -> bool:
    """Attack, write who succeeded."""
    rows: dict[str, Any] = {}
    for back_end in BACK_ENDS:
        try:
            rows[back_end] = _counted(attack_all(attacks(), sandbox=back_end, observe=_told))
        except SandboxUnavailable as error:
            rows[back_end] = {"not tried": str(error)}
        print(back_end, {k: v for k, v in rows[back_end].items() if k != "attacks"}, flush=True)
    write("redteam", {"rows": rows, "needed": 0})
    return all(sound(row) for row in rows.values())


def sound(row: dict[str, Any]) -> bool:
    """Whether a back end's row shows that all attacks were tried there, none succeeded and none surprised."""
    return bool(row.get("tried")) and not row["succeeded"] and not row["unexpected"]
