"""Problem formats: reading them on the host, running them inside the sandbox, and the shipped suite.

The host side (:func:`load`, :func:`suite_problems`) executes nothing and imports no torch. The other side,
:mod:`kopt.problems.inside`, is imported by runners only.
"""

from kopt.problems.loading import load, suite_problems

__all__ = ["load", "suite_problems"]
