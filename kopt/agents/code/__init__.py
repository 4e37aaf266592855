"""A model as a proposer for code problems: SEARCH/REPLACE edits inside the editable scope."""

from kopt.agents.code.proposer import CodeProposer

__all__ = ["CodeProposer"]
