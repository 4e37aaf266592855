"""kopt: faster PyTorch operators, proved right by measurement.

    import kopt
    result = kopt.optimize("problem.py", budget_seconds=60)
    result.best.speedup, result.kernel

    from kopt.kernels import load
    f = load(result.kernel)

Importing this loads neither torch nor any other room; each name below does so when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kopt.errors import KoptError as KoptError
    from kopt.kernels import load as load
    from kopt.rl.api import evaluate as evaluate
    from kopt.rl.api import lint as lint
    from kopt.rl.optimize import RunInterrupted as RunInterrupted
    from kopt.rl.optimize import optimize as optimize
    from kopt.rl.optimize import resume as resume
    from kopt.rl.result import RunResult as RunResult
    from kopt.words import Candidate as Candidate
    from kopt.words import Evaluation as Evaluation
    from kopt.words import Problem as Problem

__version__ = "0.1.0"

_PLACES = {
    "Candidate": "kopt.words",
    "Evaluation": "kopt.words",
    "KoptError": "kopt.errors",
    "Problem": "kopt.words",
    "RunInterrupted": "kopt.rl.optimize",
    "RunResult": "kopt.rl.result",
    "evaluate": "kopt.rl.api",
    "lint": "kopt.rl.api",
    "load": "kopt.kernels",
    "optimize": "kopt.rl.optimize",
    "resume": "kopt.rl.optimize",
}

__all__ = ["__version__", *sorted(_PLACES)]


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        value = globals()[name] = getattr(importlib.import_module(_PLACES[name]), name)
        return value
    raise AttributeError(f"module 'kopt' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES})
