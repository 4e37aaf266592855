"""``kopt redteam --honest``: odd but honest candidates, none of which the judge may refuse."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kopt.cli.common import console, print_json, shorten

if TYPE_CHECKING:
    from kopt.verifiers.redteam.habits import Judged


def judge_all(sandbox: str, as_json: bool) -> int:
    """Judge the whole corpus and say who was refused; the exit status, 0 when nobody was."""
    from rich.markup import escape

    from kopt.verifiers.redteam.habits import honest, judge_honest

    corpus = honest()
    progress = console(stderr=True)
    done = 0

    def tell(judged: Judged) -> None:
        nonlocal done
        done += 1
        verdict = judged.evaluation.verdict
        mark = "[bold red]REFUSED[/]" if judged.refused else "accepted"
        progress.print(f"{done:>3}/{len(corpus)} {judged.honest.name:<32} {verdict:<12} {mark}")

    judged = judge_honest(corpus, sandbox=sandbox, observe=tell)
    refused = [one for one in judged if one.refused]
    if as_json:
        print_json(
            {
                "honest": [
                    {
                        "name": one.honest.name,
                        "habit": one.honest.habit,
                        "problem": one.honest.problem,
                        "language": one.honest.candidate.language,
                        "verdict": one.evaluation.verdict,
                        "reason": one.evaluation.reason,
                    }
                    for one in judged
                ],
                "judged": len(judged),
                "refused": [one.honest.name for one in refused],
                "sandbox": sandbox,
            }
        )
    else:
        out = console()
        for one in refused:
            reason = escape(shorten(one.evaluation.reason, 200))
            out.print(f"[bold red]refused[/] {one.honest.name} ({one.honest.habit}): {reason}")
        out.print(f"{len(judged)} honest candidates, {len(refused)} refused")
    return 1 if refused else 0
