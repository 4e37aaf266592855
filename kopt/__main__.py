"""``python -m kopt``: the same command as the console script ``kopt``."""

from __future__ import annotations

import os
import sys


def _keep_public_packages() -> None:
    """Forget the current directory as a place to import from when it is a checkout of kopt.

    ``python -m`` puts it first on the path, and a checkout's top level holds links named like public packages
    (``kernels``, ``verifiers``, ``agents``), which would be imported in their stead.
    """
    here = sys.path[0] if sys.path else None
    if here is not None and os.path.islink(os.path.join(here or ".", "kernels")):  # noqa: PTH114, PTH118
        del sys.path[0]


_keep_public_packages()

from kopt.cli.main import main  # noqa: E402

if __name__ == "__main__":
    main()
