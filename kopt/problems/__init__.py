"""Problem formats: reading them on the host, running them inside the sandbox, and the shipped suite.

Host side (:func:`load`, :func:`suite_problems`) executes nothing and imports no torch. The other side,
:mod:`kopt.problems.inside`, is imported only by runners.
"""
