"""Attack files: find them, read their headers. Nothing of an attack is executed here.

An attack is a candidate, ``attacks/<family>_<slug>.py`` or ``.cpp``, that begins with a header of comments::

    # number: 2
    # source: SOL-ExecBench counts threads
    # tries: answers at once; a thread does the work after the call has returned
    # problem: silu
    # expect: wrong tampered
    # naive: passes

A line without a known key continues the one above. Keys:

``number``   entries of the threat catalogue it works out, or ``-`` for an attack that is not listed there.
``source``   where it was seen.
``tries``    what it does, in one sentence.
``problem``  a file of ``problems/``, else a shipped problem's name.
``expect``   the verdicts that may come of it. ``correct`` means: it may be judged correct, for it does the work
             besides, more slowly than the reference; it succeeds when it is declared faster.
``naive``    what it does to a naive checker (``tests/verifiers/redteam/naive.py``): ``passes`` (a wrong answer is
             accepted), ``faster`` (its time is believed), either with the ways of the checker that it needs
             (``candidate-first``, ``evicts``, ``rounds-up``, ``one-core``, ``quiet``, ``fails-open``), or
             ``exempt: reason``.
``policy``   what it may leave to libraries: ``allow-library`` (default), ``strict`` or ``free``.
``runs``     how often the same candidate is judged in one sandbox (default 1), for attacks that leave something behind.
``effort``   ``quick`` (default) or ``full``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from kopt.errors import UsageError
from kopt.problems import load, suite_problems
from kopt.verifiers.sampling import Effort
from kopt.words import Candidate, Policy, Problem, Verdict
from kopt.words.source_file import candidate_of, has_entry

FAMILIES = {
    "A": "the clock",
    "B": "caching and replay",
    "C": "the verdict",
    "D": "reference and inputs",
    "E": "the oracle",
    "F": "not writing the kernel",
    "G": "the sandbox",
}
HERE = Path(__file__).parent
_KEYS = ("number", "source", "tries", "problem", "expect", "naive", "runs", "effort", "policy")
_REQUIRED = _KEYS[:6]
_FIELD = re.compile(rf"(?:({'|'.join(_KEYS)}): )?(.*)")


@dataclass(frozen=True, kw_only=True)
class Attack:
    """One attack: who it is, what it tries, and the candidate that tries it."""

    name: str
    family: str
    numbers: tuple[int, ...]
    source: str
    tries: str
    problem: str
    expected: tuple[Verdict, ...]
    naive: str
    runs: int
    effort: Effort
    policy: Policy
    path: Path
    candidate: Candidate


def header(text: str, mark: str) -> dict[str, str]:
    """The fields of the comment block a file begins with; its lines begin with ``mark``."""
    fields: dict[str, str] = {}
    key = ""
    for line in text.splitlines():
        found = _FIELD.fullmatch(line.removeprefix(mark).strip())
        if found is None or not line.startswith(mark):
            break
        if found[1]:
            key = found[1]
            fields[key] = found[2].strip()
        elif key:
            fields[key] += f" {found[2].strip()}"
    return fields


def load_attack(path: Path) -> Attack:
    """Read one attack file.

    Raises:
        UsageError: its name or header is not as described above.
    """
    text = path.read_text(encoding="utf-8")
    family, _, slug = path.stem.partition("_")
    fields = header(text, "//" if path.suffix == ".cpp" else "#")
    missing = [key for key in _REQUIRED if not fields.get(key)]
    if missing or not slug or family.upper() not in FAMILIES:
        wrong = f"its header lacks {', '.join(missing)}" if missing else "its name is not FAMILY_SLUG"
        raise UsageError(f"{path.name}: {wrong}; see kopt.verifiers.redteam.corpus")
    try:
        return Attack(
            name=path.stem,
            family=family.upper(),
            numbers=tuple(int(n) for n in re.findall(r"\d+", fields["number"])),
            source=fields["source"],
            tries=fields["tries"],
            problem=fields["problem"],
            expected=tuple(Verdict(word) for word in fields["expect"].split()),
            naive=fields["naive"],
            runs=int(fields.get("runs", "1")),
            effort=Effort(fields.get("effort", "quick")),
            policy=Policy(fields.get("policy", Policy.ALLOW_LIBRARY)),
            path=path,
            candidate=_candidate(path, text),
        )
    except ValueError as error:
        raise UsageError(f"{path.name}: {error}; see kopt.verifiers.redteam.corpus") from None


def _candidate(path: Path, text: str) -> Candidate:
    if path.suffix == ".py" and not has_entry(text):
        raise ValueError("it defines none of ModelNew, run, run_into")
    return candidate_of(f"candidate{path.suffix}", text)  # what it is called would give it away


def attacks(families: Iterable[str] = (), folder: Path = HERE / "attacks") -> list[Attack]:
    """All attacks, or those of some families, in order of their names.

    Raises:
        UsageError: there is no such family, or an attack file is malformed.
    """
    wanted = {family.upper() for family in families}
    unknown = sorted(wanted - set(FAMILIES))
    if unknown:
        raise UsageError(f"no family {', '.join(unknown)}: there are {', '.join(FAMILIES)}")
    paths = sorted(p for p in folder.iterdir() if p.suffix in (".py", ".cpp"))
    found = [load_attack(path) for path in paths]
    return [attack for attack in found if not wanted or attack.family in wanted]


def problem_of(name: str) -> Problem:
    """The problem an attack names.

    Raises:
        UsageError: there is none of that name.
    """
    own = HERE / "problems" / f"{name}.py"
    path = own if own.is_file() else suite_problems().get(name)
    if path is None:
        raise UsageError(f"an attack names the problem {name!r}, which does not exist")
    return load(path)
