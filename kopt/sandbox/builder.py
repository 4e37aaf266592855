"""Build candidates: on the host only the cache and its keys; the toolchains run inside the sandbox."""

from __future__ import annotations

import functools
import os
import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kopt.sandbox import places
from kopt.sandbox.buffers import first_bytes
from kopt.sandbox.cache import BuildCache
from kopt.sandbox.compilers import sanitizer_runtime, tool_version
from kopt.sandbox.errors import RunnerError, RunnerRaised, RunnerTimedOut
from kopt.sandbox.limits import Limits, Role
from kopt.sandbox.runner.toolchains import PROFILED, RECIPE
from kopt.settings import Settings
from kopt.words import Candidate, Language, digest_of

if TYPE_CHECKING:
    from kopt.sandbox.session import Sandbox

_LOG = 16_000
_REPORT = 64_000
_PRELUDE = "kopt_prelude.h"
_ARTIFACT = 1 << 28


@dataclass(frozen=True, kw_only=True)
class BuildResult:
    """What building a candidate gave.

    ``seconds`` is what this call took, ``cached`` whether it was built before.
    """

    ok: bool
    digest: str
    cached: bool
    seconds: float
    artifact: bytes | None = None
    log: str = ""
    first_error: str | None = None
    report: dict[str, Any] = field(default_factory=dict)


@functools.cache
def sanitized_sources() -> str:
    """A digest of kopt's own part of sanitized programs."""
    folder = Path(__file__).parent / "runner" / "sanitizers"
    return digest_of([path.read_text() for path in sorted(folder.glob("*.cpp"))])[:16]


@functools.cache
def instruction_set() -> str:
    """A digest of what ``-march=native`` means here."""
    with open("/proc/cpuinfo") as file:  # noqa: PTH123
        lines = [line for line in file if line.startswith(("flags", "Features", "model name"))]
    return digest_of([platform.machine(), sorted(set(lines))])[:16]


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def outcome(reply: Mapping[str, Any]) -> dict[str, Any]:
    """A builder's answer as a record. It may have executed the candidate: ``ok`` only says that there is a result."""
    first, report = reply.get("first_error"), reply.get("report")
    return {
        "ok": reply.get("built") is True,
        "log": str(reply.get("log", ""))[-_LOG:],
        "first_error": str(first)[:2000] if first else None,
        "report": report if isinstance(report, dict) and len(str(report)) <= _REPORT else {},
    }


class Builder:
    """Builds through the sandbox, and never twice."""

    def __init__(self, sandbox: Sandbox, settings: Settings) -> None:
        self._sandbox = sandbox
        self._seconds = settings.build_seconds
        self._memory = settings.memory_bytes
        self.arch = settings.arch
        self.cache = BuildCache(settings.build_cache)
        self._toolchain = sandbox.backend.toolchain()
        self.compiler = self._toolchain.version
        basis = [RECIPE, self.compiler, instruction_set(), _version("apache-tvm-ffi"), _version("torch")]
        if self._toolchain.origin:
            basis.append(self._toolchain.origin)
        self._basis = basis
        self.headers = settings.build_cache / "headers" / digest_of(basis)[:16]
        self.headers.mkdir(parents=True, exist_ok=True)
        self.headers.chmod(0o755)  # read by whatever user a container runs as

    def digest(
        self,
        candidate: Candidate,
        spec_json: dict[str, Any] | None,
        sanitizer: str | None = None,
        profiled: bool = False,
    ) -> str:
        """The key: sources, flags, entry, toolchain, architecture; for Triton the shapes as well."""
        key: dict[str, Any] = {"candidate": candidate.digest, "basis": self._basis}
        if sanitizer is not None:
            key |= {"sanitizer": sanitizer, "host": sanitized_sources()}
        if profiled:
            key["profiled"] = PROFILED
        if candidate.language.compiled_for_gpus:
            key["arch"] = self.arch.value
        if candidate.language is Language.CUDA:
            cuda = places.cuda_root()
            key["cuda"] = tool_version(str(cuda / "bin" / "nvcc")) if cuda else ""
        elif candidate.language is Language.TRITON:
            key |= {"triton": _version("triton"), "spec": spec_json}
        elif candidate.language is Language.TORCH and uses_extensions(candidate):
            key["init"] = (spec_json or {}).get("init")
        return digest_of(key)

    def can_sanitize(self, sanitizer: str) -> bool:
        """Whether programs under ``address`` or ``thread`` can be built, as far as this machine can tell."""
        if self._toolchain.origin:  # inside an image: the build will tell
            return "clang" not in self._toolchain.version
        return sanitizer_runtime(sanitizer)

    def build(
        self,
        candidate: Candidate,
        *,
        spec_json: dict[str, Any] | None = None,
        sanitizer: str | None = None,
        profiled: bool = False,
    ) -> BuildResult:
        """Build a candidate, or find that it was built before. Never raises for what a candidate does.

        With a ``sanitizer`` (``address`` or ``thread``) the artefact of a C++ candidate is a program for
        :func:`kopt.sandbox.sanitized.run`. With ``profiled`` it is what the compiler remarked on and the disassembly of
        a C++ candidate, as JSON: words for :mod:`kopt.verifiers.profile.listing`, which believes none of them.
        """
        started = time.monotonic()
        digest = self.digest(candidate, spec_json, sanitizer, profiled)
        with self.cache.lock(digest):
            known = self.cache.get(digest)
            cached = known is not None
            record, artifact, lasting = (
                (*known, True) if known else self._build(candidate, spec_json, sanitizer, profiled)
            )
            if not cached and lasting:
                self.cache.put(digest, record, artifact)
        return BuildResult(
            ok=bool(record["ok"]),
            digest=digest,
            cached=cached,
            seconds=time.monotonic() - started,
            artifact=artifact,
            log=record["log"],
            first_error=record["first_error"],
            report=record["report"],
        )

    def _build(
        self, candidate: Candidate, spec: dict[str, Any] | None, sanitizer: str | None, profiled: bool
    ) -> tuple[dict[str, Any], bytes | None, bool]:
        """Run the toolchain. The last item says whether the outcome would be the same next time."""
        record: dict[str, Any] = {"ok": False, "log": "", "first_error": None, "report": {}}
        if candidate.language is Language.CPP and sanitizer is None:
            self._warm(f"{_PRELUDE}.gch")
        body = {
            "language": candidate.language.value,
            "sources": dict(candidate.sources),
            "entry": candidate.entry,
            "style": candidate.style.value,
            "flags": list(candidate.flags),
            "spec": spec,
            "compiler": self._toolchain.name,
            "target": self.arch.value,
            "seconds": self._seconds,
            "sanitizer": sanitizer,
            "profiled": profiled,
        }
        try:
            reply, artifact = self._inside("build", body)
        except RunnerRaised as error:
            return record | {"first_error": error.message[:2000], "log": error.trace[-_LOG:]}, None, True
        except RunnerTimedOut:
            message = f"the build took longer than {self._seconds:g} s: generate less code, or set KOPT_BUILD_SECONDS"
            return record | {"first_error": message}, None, False
        except RunnerError as error:
            return record | {"first_error": f"the build ended abnormally: {error}"}, None, False
        record = outcome(reply)
        return record, artifact if record["ok"] else None, True

    def _inside(self, op: str, body: dict[str, Any]) -> tuple[dict[str, Any], bytes | None]:
        """Ask a fresh builder; what it wrote into the output descriptor comes back as bytes."""
        limits = Limits(memory_bytes=self._memory, file_bytes=_ARTIFACT, scratch_bytes=4 << 30)
        output = os.memfd_create("kopt-artifact", os.MFD_CLOEXEC)
        try:
            with self._sandbox.spawn(Role.BUILDER, limits) as runner:
                reply = runner.request(op, body, timeout=self._seconds + 5, fds=[output])
            size = os.fstat(output).st_size
            if not size:
                return reply, None
            if size > _ARTIFACT:
                raise RunnerRaised(
                    kind="build",
                    type="",
                    message=f"the built file has {size} bytes: at most {_ARTIFACT} are taken",
                )
            return reply, first_bytes(output, size)
        finally:
            os.close(output)

    def _warm(self, name: str) -> None:
        """Have the prelude compiled ahead, once per machine; without it builds are slower, nothing else."""
        target = self.headers / name
        if target.exists() or not self.compiler.startswith(("g++", "c++")):
            return
        with self.cache.lock("headers"):
            if target.exists():
                return
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                reply, data = self._inside("headers", {"compiler": self._toolchain.name})
            except RunnerError:
                data, reply = None, {}
            files = reply.get("files")
            text = files.get(_PRELUDE) if isinstance(files, dict) else None
            if isinstance(text, str) and len(text) <= _LOG:
                (self.headers / _PRELUDE).write_text(text)
                (self.headers / _PRELUDE).chmod(0o644)
            draft = target.with_name(f".{target.name}.draft")
            draft.write_bytes(
                data or b""
            )  # empty: it did not work, the compiler skips it, nobody tries again
            draft.chmod(0o644)
            draft.rename(target)


def uses_extensions(candidate: Candidate) -> bool:
    """Whether a Python candidate builds C++ at run time, which the builder then does ahead."""
    return any("load_inline" in text or "cpp_extension" in text for text in candidate.sources.values())
