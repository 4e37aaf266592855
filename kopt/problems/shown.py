"""A problem as those may see it who write candidates."""

from __future__ import annotations

import ast

from kopt.words import Problem


def shown_text(problem: Problem) -> str:
    """The problem's text without its held-out shapes."""
    text = problem.sources[problem.entry]
    if problem.format != "kopt":
        return text
    lines = text.splitlines(keepends=True)
    for node in reversed(ast.parse(text).body):
        match node:
            case (
                ast.Assign(targets=[ast.Name(id="held_out")]) | ast.AnnAssign(target=ast.Name(id="held_out"))
            ):
                assert node.end_lineno is not None
                del lines[node.lineno - 1 : node.end_lineno]
    return "".join(lines)
