"""``kopt.evaluate``, ``kopt.lint`` and ``kopt profile``: one question about one problem, without a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kopt.errors import UsageError
from kopt.rl.candidate_file import read_candidate
from kopt.rl.code_candidate import read_change
from kopt.rl.problem_file import open_problem
from kopt.sandbox import open_sandbox
from kopt.settings import Settings
from kopt.settings import settings as process_settings
from kopt.words import Candidate, Evaluation, Policy, Problem, Profile

# The judge is imported by each function once its sandbox is open, which imports torch meanwhile.
if TYPE_CHECKING:
    from kopt.rl.loop import Observer


def evaluate(
    problem: Problem | str | Path,
    candidate: Candidate | str | Path,
    *,
    overrides: Mapping[str, str] | None = None,
    sandbox: str = "auto",
    sanitize: bool = False,
    profile: bool = False,
    policy: Policy | str = Policy.ALLOW_LIBRARY,
    arch: str | None = None,
    settings: Settings | None = None,
    observer: Observer | None = None,
) -> Evaluation:
    """Judge one candidate with full effort.

    Args:
        problem: a problem, or the path or shipped short name of one.
        candidate: a candidate, or the path of its file (see :mod:`kopt.rl.candidate_file`); for a code problem a patch
            or a folder (:mod:`kopt.rl.code_candidate`).
        overrides: module constants of the problem to replace, as source text.
        sandbox: ``auto``, ``bubblewrap``, ``docker`` or ``none``.
        sanitize: run C++ that is right under sanitizers as well.
        profile: profile what is right afterwards (docs/profile.md).
        policy: what the candidate may leave to libraries: ``strict``, ``allow-library`` or ``free``.
        arch: what CUDA and Triton are compiled for (:class:`kopt.settings.Arch`); the settings' when not given.
        settings: where to keep caches; the process's when not given.
        observer: gets (kind, payload) as stages pass.

    Raises:
        UsageError: the problem or the candidate file cannot be used.
        SandboxUnavailable: nothing can be isolated on this machine.
    """
    settings = (settings or process_settings()).targeting(arch)
    if not isinstance(candidate, Candidate) and not Path(candidate).exists():
        raise UsageError(f"{candidate}: no such file; give the path of a candidate")
    problem = open_problem(problem, overrides, code=True)
    if not isinstance(candidate, Candidate):
        code = problem.format == "code"
        candidate = read_change(problem, candidate) if code else read_candidate(candidate)
    _refuse_arch(arch, candidate)
    if problem.format == "code" and (sanitize or profile):
        raise UsageError(f"{problem.name} is a code problem, which is neither sanitized nor profiled")
    with open_sandbox(sandbox, settings=settings) as opened:
        opened.expect(candidate)
        from kopt.rl.judges import open_judge
        from kopt.verifiers.evaluator import Evaluator

        with open_judge(
            problem, sandbox=opened, settings=settings, observer=observer, policy=policy
        ) as judge:
            if isinstance(judge, Evaluator):
                return judge.evaluate(candidate, sanitize=sanitize, explain=True, profile=profile)
            return judge.evaluate(candidate)


def profile(
    problem: Problem | str | Path,
    candidate: Candidate | str | Path | None = None,
    *,
    overrides: Mapping[str, str] | None = None,
    sandbox: str = "auto",
    arch: str | None = None,
    settings: Settings | None = None,
    observer: Observer | None = None,
    assembly: Path | None = None,
) -> tuple[Profile | None, Evaluation | None]:
    """Profile a reference, or a candidate that is verified first and not timed against anything.

    ``arch`` is what CUDA and Triton are compiled for. ``assembly`` is a file that gets the whole disassembly of a
    candidate's own functions or GPU kernels.
    Returns the profile, None for a candidate that is not right, and the candidate's evaluation, None for a reference.

    Raises:
        UsageError: the problem or the candidate file cannot be used.
        SandboxUnavailable: nothing can be isolated on this machine.
    """
    settings = (settings or process_settings()).targeting(arch)
    if candidate is not None and not isinstance(candidate, Candidate):
        candidate = read_candidate(candidate)
    _refuse_arch(arch, candidate)
    problem = open_problem(problem, overrides)
    with open_sandbox(sandbox, settings=settings) as opened:
        from kopt.verifiers import Effort, Evaluator
        from kopt.verifiers.profile import disassembly, of_reference

        with Evaluator(problem, sandbox=opened, settings=settings, observer=observer) as evaluator:
            if candidate is None:
                return of_reference(evaluator), None
            found = evaluator.evaluate(candidate, effort=Effort.VERIFY, explain=True, profile=True)
            if assembly is not None and found.profile is not None:
                _write_assembly(assembly, disassembly(evaluator, candidate))
            return found.profile, found


def _refuse_arch(arch: str | None, candidate: Candidate | None) -> None:
    if arch is not None and (candidate is None or not candidate.language.compiled_for_gpus):
        what = "a reference" if candidate is None else candidate.language.value
        raise UsageError(f"--arch {arch} is for CUDA and Triton, and this is {what}: leave it away")


def _write_assembly(path: Path, lines: Sequence[str]) -> None:
    if not lines:
        raise UsageError("there is no disassembly: of C++ with objdump, of CUDA and Triton with nvdisasm")
    try:
        path.write_text("\n".join(lines) + "\n")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}: give --assembly another file") from None


def lint(
    problem: Problem | str | Path,
    *,
    overrides: Mapping[str, str] | None = None,
    sandbox: str = "auto",
    settings: Settings | None = None,
) -> Mapping[str, Any]:
    """Tell which trivial answers pass a problem: the lint report as JSON values.

    Raises:
        UsageError: the problem cannot be used.
        SandboxUnavailable: nothing can be isolated on this machine.
    """
    settings = settings or process_settings()
    problem = open_problem(problem, overrides)
    with open_sandbox(sandbox, settings=settings) as opened:
        from kopt.rl.weakness import lint_report
        from kopt.store import Store
        from kopt.verifiers import Evaluator

        with (
            Store(settings.database_url) as store,
            Evaluator(problem, sandbox=opened, settings=settings) as evaluator,
        ):
            return lint_report(problem, evaluator, store)
