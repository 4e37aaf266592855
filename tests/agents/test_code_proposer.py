"""What a model is asked about a code problem, and what becomes of its edits. The model is a double."""

from __future__ import annotations

import pytest

from kopt.agents.chat.words import Reply, Request
from kopt.agents.code import CodeProposer
from kopt.agents.context import Context
from kopt.problems import load, suite_code

GOOD = """Count by merging.
```
inversions.cpp
<<<<<<< SEARCH
  uint64_t count = 0;
=======
  uint64_t count = 0, more = 0;
>>>>>>> REPLACE
```
"""


class Scripted:
    """A double of a model: plays replies, keeps requests."""

    name = "openai/double"

    def __init__(self, *replies: str) -> None:
        self._replies = list(replies)
        self.requests: list[Request] = []

    def complete(self, request: Request, *, sample: int = 0) -> Reply:
        self.requests.append(request)
        return Reply(text=self._replies.pop(0), model=self.name)


def test_edits_become_the_changed_file_whole():
    problem = load(suite_code()["inversions"])
    model = Scripted(GOOD)
    candidate = next(iter(CodeProposer(model, problem).propose(Context(problem=problem))))
    changed = problem.sources["inversions.cpp"].replace("count = 0;", "count = 0, more = 0;")
    assert candidate.sources == {"inversions.cpp": changed}
    assert candidate.notes["title"] == "Count by merging."
    asked = "\n".join(message.text for message in model.requests[0].messages)
    assert "5 1 10" in asked and "build: g++" in asked  # the pair that is shown
    assert "1000000007" not in asked and "123456789" not in asked  # the pairs that are not


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (GOOD.replace("inversions.cpp", "kopt.toml"), "kopt.toml may not be changed"),
        (GOOD.replace("inversions.cpp", "judge/pairs/large.out"), "may not be changed"),
        (GOOD.replace("  uint64_t count = 0;", "#include <vector>"), "may not be changed; lines"),
        (GOOD.replace("count = 0;", "total = 0;"), "nearest match"),
    ],
)
def test_an_edit_that_does_not_fit_is_answered_before_anything_is_built(reply, told):
    problem = load(suite_code()["inversions"])
    model = Scripted(reply, GOOD)
    candidate = next(iter(CodeProposer(model, problem).propose(Context(problem=problem))))
    assert told in model.requests[1].messages[-1].text
    assert set(candidate.sources) == {"inversions.cpp"}
