"""The judge of code problems: files and commands instead of tensors and kernels, the same words and rules.

Every command runs in a process, a namespace and a scratch of its own. Right is who prints what the original prints,
on inputs that no candidate has seen; the clock stops when everything a command started is gone.
"""

from kopt.verifiers.code.evaluator import BEFORE, CodeEvaluator

__all__ = ["BEFORE", "CodeEvaluator"]
