# number: 44
# source: obfuscated names
# tries: keeps the library call in a string that it decodes and executes
# problem: silu
# expect: rejected
# naive: exempt: the answers are right; only a policy forbids it
# policy: strict
import base64

space = {}
exec(base64.b64decode("ZiA9IGxhbWJkYSB4OiBfX2ltcG9ydF9fKCJ0b3JjaCIpLm5uLmZ1bmN0aW9uYWwuc2lsdSh4KQ=="), space)


def run(x):
    return space["f"](x)
