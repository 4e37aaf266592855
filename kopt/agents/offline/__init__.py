"""Code generation without a model or a key: trace the reference, recognise its loops, write fused kernels.

``trace`` runs beside the reference inside the sandbox; everything else here reads its JSON on the host.
"""
