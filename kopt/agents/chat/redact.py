"""Keep keys out of messages. Providers quote them ("Incorrect API key provided: sk-..."), and people paste errors."""

from __future__ import annotations

import os
import re

_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL", re.IGNORECASE)
_SHAPES = re.compile(
    r"(?i)\bbearer\s+[^\s'\"]+|\b(?:sk|pk|rk|xai|gsk|hf|AIza)[-_]?[A-Za-z0-9_*.\-]{8,}|(?<=://)[^\s/@]+@"
)
HIDDEN = "[key]"


def redact(text: str, *secrets: str, most: int = 300) -> str:
    """One line of at most ``most`` characters without anything that is, or looks like, a key."""
    named = [value for name, value in os.environ.items() if _NAME.search(name)]
    for secret in sorted({*secrets, *named}, key=len, reverse=True):
        if len(secret) >= 6:
            text = text.replace(secret, HIDDEN)
    line = " ".join(_SHAPES.sub(HIDDEN, text).split())
    return line if len(line) <= most else line[: most - 1] + "…"
