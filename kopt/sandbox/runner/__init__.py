"""The program that runs inside the sandbox, as the zygote and as its forks.

Self-contained on purpose: standard library, torch and numpy, tvm_ffi and triton when a candidate needs
them. The judge's own code is masked where candidates run, so nothing here may import the rest of kopt,
except the reference program, whose runners do see it.
"""
