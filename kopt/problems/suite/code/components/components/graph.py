"""Graphs given as a number of nodes and a list of edges."""


def neighbours(edges, node):
    """The nodes that share an edge with `node`, each once, in order of the edges."""
    found = []
    for one, other in edges:
        for here, there in ((one, other), (other, one)):
            if here == node and there not in found:
                found.append(there)
    return found


def component_sizes(nodes, edges):
    """The sizes of the connected components, largest first."""
    seen, sizes = [], []
    for start in range(nodes):
        if start in seen:
            continue
        queue, size = [start], 0
        seen.append(start)
        while queue:
            node = queue.pop(0)
            size += 1
            for other in neighbours(edges, node):
                if other not in seen:
                    seen.append(other)
                    queue.append(other)
        sizes.append(size)
    return sorted(sizes, reverse=True)
