"""Problem formats: reading them on the host, running them inside the sandbox, and the shipped suite.

The host side (:func:`load`, :func:`problem_of`, :func:`suite_problems`) executes nothing and imports no torch. The
other side, :mod:`kopt.problems.inside`, is imported by runners only.
"""

from kopt.problems.loading import load, problem_of, suite_code, suite_problems

__all__ = ["load", "problem_of", "suite_code", "suite_problems"]
