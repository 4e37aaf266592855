"""The toolchains, run by a builder inside the sandbox. ``RECIPE`` changes when what they produce changes.

``PROFILED`` does the same for what is only read by people and profiles.
"""

RECIPE = "4"
PROFILED = "3"
NO_DEVICES = "kopt does not run kernels on GPUs yet"
"""Whether there is one here or not."""
