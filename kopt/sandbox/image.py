"""The image Docker sandboxes start from: built here by ``kopt sandbox build``, never pulled when code is run."""

from __future__ import annotations

import io
import json
import platform
import sys
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kopt.errors import SandboxUnavailable, UsageError
from kopt.words import digest_of

_BASE, _COMPILER = "kopt.base", "kopt.compiler"
_KNOWN = {"debian": "debian:{VERSION_CODENAME}-slim", "ubuntu": "ubuntu:{VERSION_ID}"}
_KNOWN["fedora"] = "fedora:{VERSION_ID}"


@dataclass(frozen=True)
class Image:
    """An image that is there: its ``digest`` names its bytes, ``compiler`` is what its g++ calls itself."""

    tag: str
    digest: str
    base: str
    compiler: str
    created: str
    bytes: int


def _recipe() -> str:
    return (Path(__file__).parent / "Dockerfile").read_text()


def _python() -> str:
    """The interpreter to install where the host's own is a part of its system, which is not mounted."""
    if sys.base_prefix != "/usr":
        return ""
    return f"python{sys.version_info.major}.{sys.version_info.minor}"


def tag() -> str:
    """The name of the image this version of kopt uses here."""
    return f"kopt-sandbox:{digest_of([_recipe(), _python()])[:12]}"


def default_base() -> str:
    """The public image of this machine's own system: what is compiled against its libraries runs in it.

    Raises:
        UsageError: it is not known which that is.
    """
    release = platform.freedesktop_os_release()
    try:
        return _KNOWN[release.get("ID", "")].format(**release)
    except KeyError:
        system = release.get("PRETTY_NAME", "this system")
        raise UsageError(
            f"no image is known for {system}: name one with the same C library, --base IMAGE"
        ) from None


def find(client: Any) -> Image | None:
    """The image, if it was built."""
    from docker.errors import ImageNotFound

    try:
        found = client.images.get(tag())
    except ImageNotFound:
        return None
    labels = found.labels
    return Image(
        tag=tag(),
        digest=str(found.id),
        base=labels.get(_BASE, ""),
        compiler=labels.get(_COMPILER, ""),
        created=str(found.attrs.get("Created", "")),
        bytes=int(found.attrs.get("Size", 0)),
    )


def build(
    client: Any, base: str | None, *, force: bool = False, tell: Callable[[str], None] | None = None
) -> Image:
    """Build the image unless it is there; ``tell`` gets the daemon's words line by line.

    Raises:
        UsageError: no base is known, or it cannot be had or used.
    """
    from docker.errors import DockerException
    from docker.types import LogConfig

    known = find(client)
    if known and not force and base in (None, known.base):
        return known
    base = base or default_base()
    draft = _once(client, base, {}, tell, force=force)
    # The compiler's name is put on the image, so that a build's key can hold it without a container started.
    try:
        said = client.containers.run(
            draft,
            ["g++", "--version"],
            remove=True,
            network_mode="none",
            user="65534:65534",
            cap_drop=["ALL"],
            log_config=LogConfig(type="json-file"),  # what it says is read from there
        )
    except DockerException as error:
        raise UsageError(f"no compiler runs in an image built from {base}: {error}") from None
    labels = {_BASE: base, _COMPILER: said.decode("utf-8", "replace").splitlines()[0].strip()}
    _once(client, base, labels, tell, force=False)
    built = find(client)
    if built is None:
        raise SandboxUnavailable("the image is gone again: is somebody pruning? build it once more")
    return built


def _once(
    client: Any, base: str, labels: dict[str, str], tell: Callable[[str], None] | None, *, force: bool
) -> str:
    """One pass over the recipe; steps that were done before cost nothing. Returns the image's digest."""
    from docker.errors import DockerException

    text = _recipe() + "".join(f"LABEL {name}={json.dumps(value)}\n" for name, value in labels.items())
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as archive:
        entry = tarfile.TarInfo("Dockerfile")
        entry.size = len(text.encode())
        archive.addfile(entry, io.BytesIO(text.encode()))
    context.seek(0)
    last, digest = "", ""
    try:
        for event in client.api.build(
            fileobj=context,
            custom_context=True,
            tag=tag(),
            buildargs={"BASE": base, "PYTHON": _python()},
            nocache=force,
            rm=True,
            forcerm=True,
            decode=True,
        ):
            words = str(event.get("stream") or event.get("status") or "").strip()
            if words and tell:
                tell(words)
            digest = str(event.get("aux", {}).get("ID", digest))
            if event.get("error"):
                raise UsageError(
                    f"the image cannot be built from {base}: {event['error']}"
                    + (f" ({last})" if last else "")
                    + "; another base image: --base IMAGE"
                )
            last = words or last
    except DockerException as error:
        raise UsageError(f"the image cannot be built from {base}: {error}") from None
    return digest or tag()
