"""A small code problem for tests: a Python program with pytest tests, a pair that is shown and hidden inputs."""

from __future__ import annotations

from pathlib import Path

from kopt.rl.code_candidate import code_candidate
from kopt.words import Candidate

RULES = """
about = "The sum of squares."
editable = ["squares.py", "extra/*"]
test = "python -m pytest -q -p no:cacheprovider test_squares.py"
run = "python main.py"
generate = "python judge/generate.py"
sizes = [2, 400]
timed = [400]
pairs = "judge/pairs"
shown = ["example"]
seconds = 5
"""
SQUARES = '''"""Sums."""

# EVOLVE-BLOCK-START
import time


def squares(numbers):
    time.sleep(0.12)
    return sum(n * n for n in numbers)
# EVOLVE-BLOCK-END
'''
FAST = "def squares(numbers):\n    return sum(n * n for n in numbers)\n"
FILES = {
    "kopt.toml": RULES,
    "squares.py": SQUARES,
    "main.py": "import sys\nfrom squares import squares\nprint(squares(map(int, sys.stdin.read().split())))\n",
    "test_squares.py": "from squares import squares\n\n\ndef test_squares():\n    assert squares([1, 2, 3]) == 14\n",
    "judge/generate.py": (
        "import random\nimport sys\n\ndraw = random.Random(int(sys.argv[2]))\n"
        "print(*(draw.randrange(10**6) for _ in range(int(sys.argv[1]))))\n"
    ),
    "judge/pairs/example.in": "1 2\n",
    "judge/pairs/example.out": "5\n",
    "judge/pairs/empty.in": "\n",
    "judge/pairs/empty.out": "0\n",
}


def write(folder: Path, **changed: str) -> Path:
    """The problem's folder; ``changed`` replaces files, by their names with ``_`` for ``.``."""
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(changed.get(name.replace(".", "_"), text))
    return folder


def between(text: str) -> str:
    """The editable file with ``text`` between its markers."""
    start, _, rest = SQUARES.partition("# EVOLVE-BLOCK-START\n")
    return f"{start}# EVOLVE-BLOCK-START\n{text}# EVOLVE-BLOCK-END{rest.partition('# EVOLVE-BLOCK-END')[2]}"


def change(text: str) -> Candidate:
    """A candidate whose block is ``text``."""
    return code_candidate({"squares.py": between(text)})
