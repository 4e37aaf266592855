"""The loops of a function, from its jumps: strongly connected parts of the flow graph, nested.

A strongly connected part is a loop; without the edges back to its header, what is still strongly connected are the
loops inside (Tarjan 1972 for the components; the nesting as in Steensgaard 1993, which also takes loops with several
entries). Nothing here runs for longer than a few passes over the blocks, whatever the code looks like.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from kopt.verifiers.profile.listing import Function, Instruction

_DEEPEST = 12
_MOST_BLOCKS = 8000
_TARGET = re.compile(r"([0-9a-f]{1,16})\b")
_ENDS = ("ret", "ud2", "hlt", "int3")


@dataclass(frozen=True)
class Loop:
    """An innermost loop: its instructions in order of address, and how many loops lie around and including it."""

    function: str
    depth: int
    code: tuple[Instruction, ...]


Flow = Callable[[Instruction], tuple[int | None, bool]]
"""Where an instruction may jump to, if anywhere that is known, and whether it never goes on to the next one."""


def x86(instruction: Instruction) -> tuple[int | None, bool]:
    """The :data:`Flow` of x86-64."""
    name = instruction.mnemonic
    found = _TARGET.match(instruction.operands) if name.startswith("j") else None
    return int(found[1], 16) if found else None, name.startswith(("jmp", *_ENDS))


def innermost(function: Function, flow: Flow = x86) -> list[Loop]:
    """The loops of a function that contain no other."""
    code = function.instructions
    flows = [flow(instruction) for instruction in code]
    blocks = _blocks(code, flows)
    if len(blocks) > _MOST_BLOCKS:
        return []
    edges = _edges(code, flows, blocks)
    found = []
    for depth, members in _nest(edges):
        inside = [code[k] for number in sorted(members) for k in range(*blocks[number])]
        found.append(Loop(function.name, depth, tuple(inside)))
    return found


def _blocks(code: Sequence[Instruction], flows: Sequence[tuple[int | None, bool]]) -> list[tuple[int, int]]:
    place = {instruction.address: number for number, instruction in enumerate(code)}
    starts = {0}
    for number, (goal, ends) in enumerate(flows):
        if goal is not None or ends:
            starts.add(number + 1)
        if goal in place:
            starts.add(place[goal])
    ordered = [*sorted(number for number in starts if number < len(code)), len(code)]
    return list(itertools.pairwise(ordered))


def _edges(
    code: Sequence[Instruction],
    flows: Sequence[tuple[int | None, bool]],
    blocks: Sequence[tuple[int, int]],
) -> list[list[int]]:
    first = {code[start].address: number for number, (start, _) in enumerate(blocks)}
    edges: list[list[int]] = []
    for number, (_, stop) in enumerate(blocks):
        goal, ends = flows[stop - 1]
        goals = [first[goal]] if goal in first else []
        edges.append([*goals, *([number + 1] if not ends and number + 1 < len(blocks) else [])])
    return edges


def _nest(edges: Sequence[Sequence[int]]) -> Iterable[tuple[int, frozenset[int]]]:
    """Innermost loops as (depth, blocks)."""
    before: list[list[int]] = [[] for _ in edges]
    for source, goals in enumerate(edges):
        for goal in goals:
            before[goal].append(source)
    waiting: list[tuple[int, frozenset[int], frozenset[int]]] = [
        (1, frozenset(range(len(edges))), frozenset())
    ]
    while waiting:
        depth, inside, headers = waiting.pop()
        for part in _components(edges, inside, headers):
            entered = [b for b in part if any(s not in part for s in before[b])]
            header = min(entered or part)
            within = headers | {header}
            deeper = _components(edges, part, within) if depth < _DEEPEST else []
            if deeper:
                waiting.append((depth + 1, part, within))
            else:
                yield depth, part


def _components(
    edges: Sequence[Sequence[int]], inside: frozenset[int], headers: frozenset[int]
) -> list[frozenset[int]]:
    """Strongly connected parts of some blocks that are loops, ignoring edges into ``headers``."""

    def following(block: int) -> list[int]:
        return [goal for goal in edges[block] if goal in inside and goal not in headers]

    order: dict[int, int] = {}
    low: dict[int, int] = {}
    stack: list[int] = []
    held: set[int] = set()
    parts = []
    for root in sorted(inside):
        if root in order:
            continue
        work = [(root, iter(following(root)))]
        order[root] = low[root] = len(order)
        stack.append(root)
        held.add(root)
        while work:
            block, goals = work[-1]
            for goal in goals:
                if goal not in order:
                    order[goal] = low[goal] = len(order)
                    stack.append(goal)
                    held.add(goal)
                    work.append((goal, iter(following(goal))))
                    break
                if goal in held:
                    low[block] = min(low[block], order[goal])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[block])
                if low[block] == order[block]:
                    part = set()
                    while block not in part:
                        part.add(top := stack.pop())
                        held.discard(top)
                    if len(part) > 1 or block in following(block):
                        parts.append(frozenset(part))
    return parts
