"""generate.py SIZE SEED: a random graph of SIZE nodes that falls into many components."""

import random
import sys

size, seed = int(sys.argv[1]), int(sys.argv[2])
draw = random.Random(seed)
print(size)
for _ in range(int(size * draw.uniform(0.3, 0.5))):
    print(draw.randrange(size), draw.randrange(size))
