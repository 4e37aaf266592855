"""The words every room speaks: plain frozen dataclasses, no behaviour beyond conversion.

Import them from here. Nothing in this package imports torch or any other room.
"""

from kopt.words.candidate import Candidate, Language, Style, Tunable
from kopt.words.evaluation import (
    Evaluation,
    Mismatch,
    Speedup,
    StageName,
    StageRecord,
    Timing,
    Verdict,
)
from kopt.words.localisation import Likeness, LikenessKind, Localisation, Span, Step
from kopt.words.policy import Delegation, OperatorUse, Policy
from kopt.words.problem import Problem, ScalarSpec, TensorSpec, TolerancePolicy, Workload, WorkloadSpec
from kopt.words.profile import Bottleneck, BottleneckName, GpuKernel, GpuLoop, HotLoop, OperatorTime, Profile
from kopt.words.roofline import Roofline
from kopt.words.serial import digest_of, from_json, to_json

__all__ = [
    "Bottleneck",
    "BottleneckName",
    "Candidate",
    "Delegation",
    "Evaluation",
    "GpuKernel",
    "GpuLoop",
    "HotLoop",
    "Language",
    "Likeness",
    "LikenessKind",
    "Localisation",
    "Mismatch",
    "OperatorTime",
    "OperatorUse",
    "Policy",
    "Problem",
    "Profile",
    "Roofline",
    "ScalarSpec",
    "Span",
    "Speedup",
    "StageName",
    "StageRecord",
    "Step",
    "Style",
    "TensorSpec",
    "Timing",
    "TolerancePolicy",
    "Tunable",
    "Verdict",
    "Workload",
    "WorkloadSpec",
    "digest_of",
    "from_json",
    "to_json",
]
