"""The judge: trusted code that builds inputs, compares outputs, keeps the clock and decides.

It executes no problem code and no candidate code, and believes nothing a runner says. Start at
:class:`~kopt.verifiers.evaluator.Evaluator`.
"""

from kopt.verifiers.contestant import Failure
from kopt.verifiers.evaluator import Evaluator
from kopt.verifiers.sampling import Effort
from kopt.verifiers.statistics import MINIMUM_EFFECT, declared_faster, versus

__all__ = ["MINIMUM_EFFECT", "Effort", "Evaluator", "Failure", "declared_faster", "versus"]
