"""The toolchains, run by a builder inside the sandbox. ``RECIPE`` changes when what they produce changes.

``PROFILED`` does the same for what is only read by people and profiles.
"""

RECIPE = "4"
PROFILED = "3"
