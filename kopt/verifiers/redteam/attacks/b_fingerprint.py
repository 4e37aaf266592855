# number: 13
# source: invented: replay that is never wrong
# tries: remembers answers by a fingerprint of the input: never wrong, and quick whenever contents come again
# problem: silu
# expect: correct
# naive: faster
seen = {}


def run(x):
    key = tuple(x.flatten()[::65536].tolist())
    if key not in seen:
        seen.clear() if len(seen) > 64 else None
        y = x.double()  # slower than the reference
        seen[key] = (y * y.sigmoid()).float()
    return seen[key]
