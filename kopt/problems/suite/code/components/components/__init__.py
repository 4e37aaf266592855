"""Connected components of undirected graphs."""

from components.graph import component_sizes, neighbours

__all__ = ["component_sizes", "neighbours"]
