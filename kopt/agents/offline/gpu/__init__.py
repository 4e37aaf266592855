"""The same graphs in Triton: :mod:`kernel` and :mod:`file` write the text, one module per pattern decides what it says.

Patterns recognise a graph once, for C++; here are the kernels for GPUs that go with their plans.
"""
