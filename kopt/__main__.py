"""``python -m kopt``: the same command as the console script ``kopt``."""

from __future__ import annotations

import sys
from pathlib import Path


def _keep_public_packages() -> None:
    """Forget a checkout of kopt as a place to import from; kopt itself is imported already.

    ``python -m`` puts the current directory first on the path, and a checkout's top level holds links named like
    public packages (``kernels``, ``verifiers``, ``agents``), which would be imported in their stead.
    """
    sys.path[:] = [entry for entry in sys.path if not (Path(entry or ".") / "kernels").is_symlink()]


_keep_public_packages()

from kopt.cli.main import main  # noqa: E402

if __name__ == "__main__":
    main()
