"""Reading traces: JSON from inside the sandbox becomes a :class:`Graph`.

That JSON comes from a process which also ran untrusted code, so types, sizes and identifiers are checked here,
before anything else sees them: names end up in C++ and Python sources.
"""

from __future__ import annotations

import dataclasses
import keyword
import re
from collections.abc import Mapping, Sequence
from typing import Any

from kopt.agents.offline.graph import Graph, GraphError, Node, Ref, Unsupported, Value

DTYPES = frozenset(
    {"float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool"}
)
MAX_NODES = 2000
MAX_VALUES = 4000
MAX_RANK = 12

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}\Z")
_OPERATOR = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,127}\Z")
_CPP_WORDS = frozenset(
    [
        "alignas",
        "alignof",
        "and",
        "asm",
        "auto",
        "bool",
        "break",
        "case",
        "catch",
        "char",
        "class",
        "const",
        "constexpr",
        "continue",
        "default",
        "delete",
        "do",
        "double",
        "else",
        "enum",
        "explicit",
        "export",
        "extern",
        "false",
        "float",
        "for",
        "friend",
        "goto",
        "if",
        "inline",
        "int",
        "long",
        "mutable",
        "namespace",
        "new",
        "not",
        "nullptr",
        "operator",
        "or",
        "private",
        "protected",
        "public",
        "register",
        "return",
        "short",
        "signed",
        "sizeof",
        "static",
        "struct",
        "switch",
        "template",
        "this",
        "throw",
        "true",
        "try",
        "typedef",
        "typeid",
        "typename",
        "union",
        "unsigned",
        "using",
        "virtual",
        "void",
        "volatile",
        "while",
        "xor",
        "vec",
        "mask",
        "run",
        "std",
        "omp",
        "tvm",
        "main",
    ]
)

# What generated kernels call or declare beside their parameters; their constants and macros are upper case.
_KERNEL_WORDS = frozenset(
    [
        "across",
        "advance",
        "bf16",
        "combine",
        "combine_columns",
        "combine_rows",
        "counted",
        "first_lanes",
        "get",
        "half",
        "kernel",
        "lanes",
        "load",
        "load_part",
        "max",
        "min",
        "moved",
        "multiply",
        "pack",
        "panel",
        "panels",
        "piece",
        "places",
        "prefetch",
        "put",
        "real",
        "rest",
        "scan",
        "scratch",
        "splat",
        "split",
        "store",
        "store_part",
        "stream",
        "streams_done",
        "tl",
        "torch",
        "triton",
        "wide",
        "window_count",
    ]
)


def parse(*traces: Mapping[str, Any]) -> Graph:
    """Check and read one trace, or several traces of one problem at different sizes.

    Raises:
        GraphError: the JSON does not fit the schema, or the traces differ in more than sizes.
        Unsupported: the reference could not be traced.
    """
    if not traces:
        raise GraphError("no trace")
    try:
        graphs = [_parse_one(t) for t in traces]
    except (TypeError, LookupError, AttributeError, ValueError) as error:
        if isinstance(error, GraphError):
            raise
        raise GraphError(f"the trace does not fit the schema ({type(error).__name__})") from error
    return graphs[0] if len(graphs) == 1 else _merge(graphs)


def _merge(graphs: Sequence[Graph]) -> Graph:
    first = graphs[0]
    for other in graphs[1:]:
        same = (
            [(n.name, n.op, n.refs()) for n in first.nodes] == [(n.name, n.op, n.refs()) for n in other.nodes]
            and (first.inputs, first.state, first.outputs) == (other.inputs, other.state, other.outputs)
            and first.constants == other.constants
            and all(
                len(v.shape) == len(other.values[k].shape) and v.dtype == other.values[k].dtype
                for k, v in first.values.items()
                if k in other.values
            )
        )
        if not same or set(first.values) != set(other.values):
            raise GraphError("the reference takes different paths for different workloads")
    values = {
        name: Value(name, v.shape, v.dtype, v.strides, tuple(g.values[name].shape for g in graphs))
        for name, v in first.values.items()
    }
    for name, value in values.items():
        if name in (*first.inputs, *first.state, *first.outputs) and any(
            g.values[name].contiguous != value.contiguous for g in graphs
        ):
            raise GraphError(f"{name} is contiguous in some workloads only")
    return Graph(
        values,
        first.inputs,
        first.state,
        first.constants,
        tuple(_varying(nodes) for nodes in zip(*(g.nodes for g in graphs), strict=True)),
        first.outputs,
        first.how,
        first.labels,
    )


def _varying(nodes: Sequence[Node]) -> Node:
    """One operation as all traces have it."""
    first = nodes[0]
    found: dict[str, Any] = {}
    for name in first.args:
        each = tuple(n.args.get(name) for n in nodes)
        if all(isinstance(value, (bool, int, float)) for value in each) and len({repr(v) for v in each}) > 1:
            found[name] = each
    return dataclasses.replace(first, varying=found) if found else first


def _parse_one(trace: Mapping[str, Any]) -> Graph:
    if not isinstance(trace, dict):
        raise GraphError("a trace is a JSON object")
    if "error" in trace:
        raise Unsupported(f"the reference cannot be traced: {str(trace['error'])[:400]}")
    raw_values = _expect(trace, "values", dict)
    raw_nodes = _expect(trace, "nodes", list)
    if len(raw_nodes) > MAX_NODES or len(raw_values) > MAX_VALUES:
        raise GraphError(f"a graph of {len(raw_nodes)} operations is too large")
    inputs = [str(n) for n in _expect(trace, "inputs", list)]
    state = [None if n is None else str(n) for n in _expect(trace, "state", list)]
    outputs = [str(n) for n in _expect(trace, "outputs", list)]
    names = _Names()
    labels: dict[str, str] = {}
    for name, label in zip(inputs, trace.get("input_names", inputs), strict=False):
        labels[names.claim(name, label)] = str(label)[:200]
    state_ids = []
    for index, held in enumerate(state):
        label = str(_expect(trace, "state_names", list)[index])
        own = names.claim(held or f"state_{index}", label.replace(".", "_"))
        state_ids.append(own)
        labels[own] = label[:200]
    values = {}
    for name, raw in raw_values.items():
        identifier = names.get(name)
        values[identifier] = _value(identifier, raw)
    constants = {}
    for name, items in _expect(trace, "constants", dict).items():
        literals = tuple(_argument(i, names) for i in items)
        if not all(isinstance(i, (bool, int, float)) for i in literals):
            raise GraphError("a constant tensor has elements that are not numbers")
        constants[names.get(name)] = literals
    nodes = []
    versions: dict[str, str] = {}  # a tensor changed in place -> the operation that holds its new contents
    views: dict[str, str] = {}
    for raw in raw_nodes:
        operator = str(_expect(raw, "op", str))
        if not _OPERATOR.match(operator):
            raise GraphError(f"not an operator name: {operator[:80]!r}")
        arguments = {str(k): _argument(v, names) for k, v in _expect(raw, "args", dict).items()}
        arguments = {k: _renamed(v, versions) for k, v in arguments.items()}
        node = Node(names.get(_expect(raw, "name", str)), operator, arguments)
        _track(node, versions, views)
        nodes.append(node)
    made = {n.name for n in nodes} | set(values)
    for node in nodes:
        for ref in node.refs():
            if ref not in made:
                raise GraphError(f"{node.name} reads {ref}, which nothing makes")
    renamed_outputs = [versions.get(names.get(n), names.get(n)) for n in outputs]
    for name in renamed_outputs:
        if name not in values:
            raise GraphError(f"output {name[:80]!r} is no tensor of the graph")
    return Graph(
        values,
        tuple(names.get(n) for n in inputs),
        tuple(state_ids),
        constants,
        tuple(nodes),
        tuple(renamed_outputs),
        str(trace.get("how", ""))[:20],
        labels,
    )


_VIEWS = frozenset(
    [
        "view",
        "reshape",
        "flatten",
        "unflatten",
        "squeeze",
        "unsqueeze",
        "permute",
        "transpose",
        "t",
        "expand",
        "slice",
        "select",
        "narrow",
        "chunk",
        "split",
        "contiguous",
        "alias",
        "detach",
        "getitem",
    ]
)


def _renamed(argument: Any, versions: Mapping[str, str]) -> Any:
    if isinstance(argument, Ref):
        return Ref(versions.get(argument.name, argument.name))
    return tuple(_renamed(a, versions) for a in argument) if isinstance(argument, tuple) else argument


def _track(node: Node, versions: dict[str, str], views: dict[str, str]) -> None:
    """Turn in-place operations into plain ones: later readers of the changed tensor read the result instead."""
    name = node.op.split(".")[1] if "." in node.op else node.op
    changed = next(iter(node.args.values()), None)
    if not isinstance(changed, Ref):
        return
    if name in _VIEWS:
        views[node.name] = views.get(changed.name, changed.name)
    elif name.endswith("_") and not name.endswith("__") and name != "detach_":
        shared = changed.name in views or changed.name in views.values()
        if shared:
            raise Unsupported(f"{node.op} changes a tensor that another one shares memory with")
        for old, new in list(versions.items()):
            if new == changed.name:
                versions[old] = node.name
        versions[changed.name] = node.name


class _Names:
    """Trace names -> identifiers that are safe in C++ and Python and unique."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self._taken: set[str] = set()

    def claim(self, name: str, wish: str) -> str:
        base = wish if _IDENTIFIER.match(str(wish)) else re.sub(r"[^A-Za-z0-9_]", "_", f"t_{wish}")[:60]
        base = base.rstrip("_") or "t"
        if base.startswith("_"):
            base = f"t{base}"
        taken = base in _CPP_WORDS or base in _KERNEL_WORDS or base.isupper() or keyword.iskeyword(base)
        if taken or re.match(r"out\d*\Z", base):
            base += "_in"
        unique, count = base, 1
        while unique in self._taken:
            count += 1
            unique = f"{base}_{count}"
        self._taken.add(unique)
        self._known[name] = unique
        return unique

    def get(self, name: Any) -> str:
        name = str(name)
        if not _IDENTIFIER.match(name):
            raise GraphError(f"not an identifier: {name[:80]!r}")
        return self._known.get(name) or self.claim(name, name)


def _value(name: str, raw: Any) -> Value:
    shape, strides = _expect(raw, "shape", list), _expect(raw, "strides", list)
    dtype = _expect(raw, "dtype", str)
    integers = all(
        isinstance(n, int) and not isinstance(n, bool) and 0 <= n < 2**48 for n in [*shape, *strides]
    )
    if not integers or len(shape) != len(strides) or len(shape) > MAX_RANK:
        raise GraphError(f"{name} has no usable shape")
    if dtype not in DTYPES:
        raise Unsupported(f"{name} is of dtype {str(dtype)[:40]}")
    return Value(name, tuple(shape), dtype, tuple(strides), (tuple(shape),))


def _expect(holder: Any, key: str, kind: type) -> Any:
    value = holder.get(key) if isinstance(holder, dict) else None
    if not isinstance(value, kind):
        raise GraphError(f"the trace's {key!r} is not of type {kind.__name__}")
    return value


def _argument(value: Any, names: _Names, depth: int = 0) -> Any:
    if depth > 4:
        raise GraphError("an argument is nested too deeply")
    if isinstance(value, dict):
        if set(value) == {"ref"}:
            return Ref(names.get(value["ref"]))
        if set(value) == {"float"} and value["float"] in ("nan", "inf", "-inf"):
            return float(value["float"])
        raise GraphError("an argument is neither literal nor reference")
    if isinstance(value, list):
        return tuple(_argument(item, names, depth + 1) for item in value)
    if (
        value is None
        or isinstance(value, (bool, int, float))
        or (isinstance(value, str) and len(value) < 200)
    ):
        return value
    raise GraphError("an argument is neither literal nor reference")
