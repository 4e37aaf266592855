"""Where time goes, ending in one named bottleneck with its evidence: advice, on which no verdict and no time rests."""

from kopt.verifiers.profile.decide import RULES, decide
from kopt.verifiers.profile.stage import Known, disassembly, of_candidate, of_reference, wanted

__all__ = ["RULES", "Known", "decide", "disassembly", "of_candidate", "of_reference", "wanted"]
