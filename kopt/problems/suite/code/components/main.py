"""Reads `nodes` and an edge per line, prints the components' sizes, largest first."""

import sys

from components import component_sizes

lines = sys.stdin.read().split("\n")
edges = [tuple(map(int, line.split())) for line in lines[1:] if line]
print(*component_sizes(int(lines[0]), edges))
