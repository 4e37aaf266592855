"""Matrix products and convolutions with the pointwise operations behind them, on one register-tiled micro-kernel.

:mod:`tile` holds that micro-kernel and its packing, :mod:`gemm` and :mod:`conv` the loops around it (BLIS: blocks for
the caches, panels for the registers).
"""

from __future__ import annotations

from kopt.agents.offline.contraction import conv, gemm
from kopt.agents.offline.graph import Graph, Unsupported
from kopt.agents.offline.plan import Plan

_ATTENTION = "aten.scaled_dot_product_attention.default"


def recognise(graph: Graph) -> Plan | None:
    """A plan for graphs around one matrix product or convolution."""
    nodes = [n for n in graph.live() if n.op in conv.OPS or n.op in gemm.OPS]
    if not nodes or any(n.op == _ATTENTION for n in graph.live()):
        return None
    if len(nodes) > 1:
        raise Unsupported(
            f"{len(nodes)} contractions in one graph: each fuses only with what is pointwise behind it"
        )
    return conv.plan(graph, nodes[0]) if nodes[0].op in conv.OPS else gemm.plan(graph, nodes[0])
