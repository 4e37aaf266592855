"""The library on disk: a folder per kernel, admitted whole or not at all.

``<library>/<name>`` is a link to ``<library>/.kernels/<name>-<certificate>``, which holds::

    manifest.json      name, when admitted, sha256 of the certificate
    certificate.json   what was verified where: sha256 of every file, workloads, evaluation, machine
    candidate/...      the kernel's sources
    reference/...      the problem's sources, for the fallback
    artifact.so        the built kernel, where its language has one

Renaming the link replaces a kernel in one step; whoever has the old one loaded keeps it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from kopt.errors import UsageError
from kopt.kernels.errors import KernelNotFound, TamperedKernel

SCHEMA = "kopt/kernel/1"
NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
MOST_BYTES = 1 << 30


def library_directory() -> Path:
    """Where the library is: ``$KOPT_HOME/library``, else ``~/.kopt/library``.

    Read here and not through kopt's settings, so that engines which only run kernels need no settings
    package.
    """
    return Path(os.environ.get("KOPT_HOME") or Path.home() / ".kopt") / "library"


def kernel_name(text: str) -> str:
    """Turn any text into a legal kernel name."""
    name = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
    name = name if re.match("[a-z]", name) else f"kernel_{name}"
    return name[:63].rstrip("_")


def check_name(name: str) -> str:
    """Return a name given by a person, or say what names look like.

    Raises:
        UsageError: it is not a legal name.
    """
    if not NAME.fullmatch(name):
        suggestion = kernel_name(name)
        raise UsageError(
            f"{name!r} cannot name a kernel: use lower-case letters, digits and _, as in {suggestion!r}"
        )
    return name


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A kernel on disk whose certificate matches its manifest."""

    name: str
    path: Path
    manifest: Mapping[str, Any]
    certificate: Mapping[str, Any]

    def read(self, relative: str) -> bytes:
        """One of the kernel's files.

        Raises:
            TamperedKernel: its bytes are not those of the certificate.
        """
        content = _read(self.path, relative)
        if hashlib.sha256(content).hexdigest() != self.certificate["files"].get(relative):
            raise TamperedKernel(
                f"{self.path / relative} differs from the kernel's certificate; "
                f"admit it anew with `kopt optimize`, or `kopt library remove {self.name}`"
            )
        return content

    def changed(self) -> list[str]:
        """The files whose bytes are not those of the certificate."""
        changed = []
        for relative in self.certificate["files"]:
            try:
                self.read(relative)
            except TamperedKernel:
                changed.append(relative)
        return changed


def find(name: str | Path, library: Path | None = None) -> Entry:
    """Open a kernel by name or by the path of its folder.

    Raises:
        KernelNotFound: it does not exist.
        TamperedKernel: its certificate is not the one that was admitted.
    """
    if isinstance(name, Path) or "/" in name:
        path = Path(name)
    else:
        path = (library or library_directory()) / name
        if not NAME.fullmatch(name):
            raise KernelNotFound(
                f"{name!r} is not a kernel's name; `kopt library list` shows those there are"
            )
    if not (path / "manifest.json").is_file():
        raise KernelNotFound(f"no kernel at {path}; `kopt library list` shows those there are")
    path = (
        path.resolve()
    )  # from here on the same files, even if the name is given to another kernel meanwhile
    try:
        manifest = json.loads(_read(path, "manifest.json"))
        text = _read(path, "certificate.json")
        if manifest["schema"] != SCHEMA or hashlib.sha256(text).hexdigest() != manifest["certificate"]:
            raise ValueError("the certificate is not the one that was admitted")
        certificate = json.loads(text)
        if not isinstance(certificate.get("files"), dict):
            raise ValueError("the certificate names no files")
        return Entry(name=str(manifest["name"]), path=path, manifest=manifest, certificate=certificate)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TamperedKernel(
            f"{path}: {error}; admit it anew with `kopt optimize`, or `kopt library remove {path.name}`"
        ) from error


def entries(library: Path | None = None) -> list[Entry | TamperedKernel]:
    """Every kernel of the library, by name; in place of a broken one, what is wrong with it."""
    library = library or library_directory()
    found: list[Entry | TamperedKernel] = []
    for path in sorted(library.iterdir()) if library.is_dir() else []:
        if NAME.fullmatch(path.name):
            try:
                found.append(find(path.name, library))
            except KernelNotFound:
                continue
            except TamperedKernel as error:
                found.append(error)
    return found


def admit(
    name: str, certificate: Mapping[str, Any], files: Mapping[str, bytes], library: Path | None = None
) -> Entry:
    """Put a kernel into the library under ``name``, replacing the one that has it.

    ``certificate`` is completed with the sha256 of every file. A crash at any point leaves either the old
    kernel or the new one under the name, never a part.

    Raises:
        UsageError: the name is not legal, or a file's path leaves the folder.
    """
    library = library or library_directory()
    check_name(name)
    hidden = library / ".kernels"
    hidden.mkdir(parents=True, exist_ok=True)
    digests = {relative: hashlib.sha256(content).hexdigest() for relative, content in sorted(files.items())}
    text = json.dumps({**certificate, "files": digests}, indent=1, sort_keys=True).encode()
    digest = hashlib.sha256(text).hexdigest()
    manifest = {"schema": SCHEMA, "name": name, "certificate": digest, "admitted_at": time.time()}
    target = hidden / f"{name}-{digest[:16]}"
    temporary = hidden / f".new-{secrets.token_hex(6)}"
    try:
        contents = {
            **files,
            "certificate.json": text,
            "manifest.json": json.dumps(manifest, indent=1).encode(),
        }
        for relative, content in contents.items():
            _write(temporary, relative, content)
        if target.exists():
            shutil.rmtree(target)
        temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    old = _target(library / name)
    link = hidden / f".link-{secrets.token_hex(6)}"
    link.symlink_to(Path(".kernels") / target.name)
    link.replace(library / name)
    if old is not None and old != target:
        shutil.rmtree(old, ignore_errors=True)
    return find(name, library)


def remove(name: str, library: Path | None = None) -> None:
    """Remove a kernel.

    Raises:
        KernelNotFound: the library holds no kernel of that name.
    """
    library = library or library_directory()
    path = library / name
    if not NAME.fullmatch(name) or not path.is_symlink():
        raise KernelNotFound(f"no kernel {name!r} in {library}; `kopt library list` shows those there are")
    target = _target(path)
    path.unlink()
    if target is not None:
        shutil.rmtree(target, ignore_errors=True)


def _target(link: Path) -> Path | None:
    """The folder behind a name, if it is one of the library's own."""
    with contextlib.suppress(OSError):
        target = (link.parent / link.readlink()).resolve()
        if target.parent == (link.parent / ".kernels").resolve():
            return target
    return None


def _write(folder: Path, relative: str, content: bytes) -> None:
    pure = PurePosixPath(relative)
    if pure.is_absolute() or ".." in pure.parts or not pure.parts:
        raise UsageError(f"the file name {relative!r} leaves the kernel's folder; rename it")
    path = folder / pure
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _read(folder: Path, relative: str) -> bytes:
    """A regular file below ``folder``, no links followed, of bounded size."""
    pure = PurePosixPath(relative)
    if pure.is_absolute() or ".." in pure.parts:
        raise TamperedKernel(f"{folder}: the certificate names a file outside: {relative!r}")
    path = folder / pure
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            state = os.fstat(file.fileno())
            if not stat.S_ISREG(state.st_mode) or state.st_size > MOST_BYTES:
                raise TamperedKernel(f"{path} is not a regular file of reasonable size")
            return file.read()
    except OSError as error:
        raise TamperedKernel(
            f"{path}: {error.strerror}; `kopt library remove` the kernel and admit it anew"
        ) from error
