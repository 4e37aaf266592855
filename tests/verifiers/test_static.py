"""Hints from a candidate's text: what they see, and how little time a text made to take long takes."""

from __future__ import annotations

import time

import pytest

from kopt.verifiers.static import MOST_BYTES, check
from kopt.words import Candidate, Language, Style

RUN = "def run(x):\n    return x\n"
FALLS_BACK = "falls back when its own code raises"


def hints(text: str) -> list[str]:
    candidate = Candidate(
        sources={"k.py": RUN, "more.txt": text},
        language=Language.TORCH,
        entry="k.py::run",
        style=Style.RETURNING,
    )
    return check(candidate)


@pytest.mark.parametrize(
    "text",
    [
        "except:\n    return x",
        "except (A, B) as error:  # never: mind\n\n        return x",
        "except Exception:   \n\treturn",
    ],
)
def test_falling_back_is_seen(text: str) -> None:
    assert hints(text) == [FALLS_BACK]
    assert hints(text.replace("return", "raise")) == []


@pytest.mark.parametrize(
    "bit",
    ["except", "except:", "except:\n", "except: ", "\n", " ", "eval ", "eval", "except:\n" + "\n" * 199],
)
def test_texts_made_to_take_long_do_not(bit: str) -> None:
    text = "except:" + bit * (MOST_BYTES // 4 // len(bit))
    began = time.process_time()
    hints(text)
    assert time.process_time() - began < 5.0
