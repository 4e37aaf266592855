"""The toolchains, run by a builder inside the sandbox. ``RECIPE`` changes when what they produce changes."""

RECIPE = "2"
