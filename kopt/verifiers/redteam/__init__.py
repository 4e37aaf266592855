"""The red team: attacks on the judge, run through the ordinary evaluation path.

``attacks/`` holds one small candidate file per attack, read as text and never imported by the host. A comment
header says what it tries, where that was seen, and what must come of it (:mod:`~kopt.verifiers.redteam.corpus`).
:func:`~kopt.verifiers.redteam.campaign.run` judges them; none may succeed.
"""

from kopt.verifiers.redteam.campaign import Outcome, run
from kopt.verifiers.redteam.corpus import FAMILIES, Attack, attacks, load_attack, problem_of

__all__ = ["FAMILIES", "Attack", "Outcome", "attacks", "load_attack", "problem_of", "run"]
