"""A loaded kernel: runs in its domain, falls back with a reason outside it, refuses changed bytes."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest
import torch
from kernel_cases import MODEL, certificate, tensor

from kopt.kernels import TamperedKernel, load
from kopt.kernels.library import admit
from kopt.kernels.machine import difference, facts


def test_the_kernel_runs_inside_its_domain(native):
    f = load("k", library=native())
    x, scale = torch.rand(4, 8), torch.tensor([2.0])
    y = f(x, scale)
    assert torch.equal(y, x * 2 + 100) and f.last_reason is None
    assert f.why(x, scale) == "kernel: verified for default, 2.00x [1.90, 2.10] over eager"
    assert y.data_ptr() != f(x, scale).data_ptr()
    assert load("k", library=native()) is f and "default" in repr(f)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: torch.rand(4, 9), "x: shape (4, 9) was not verified ((4, 8) was)"),
        (lambda: torch.rand(4, 8, dtype=torch.float64), "x: dtype float64 was not verified (float32 was)"),
        (lambda: torch.rand(8, 4).t(), "x: strides (1, 4) was not verified ((8, 1) was)"),
        (lambda: torch.rand(4, 8, requires_grad=True), "torch.no_grad()"),
        (lambda: torch.rand(33)[1:].view(4, 8), "not aligned"),
        (lambda: torch.rand(4, 8, device="meta"), "x: device meta was not verified (cpu was)"),
    ],
)
def test_outside_it_the_reference_runs_and_says_why(native, make, reason):
    f = load("k", library=native())
    x, scale = make(), torch.tensor([2.0], device="meta" if make().is_meta else "cpu")
    y = f(x, scale)
    assert reason in f.last_reason and f.why(x, scale) == f"reference: {f.last_reason}"
    assert x.is_meta or torch.equal(y, x * 2)
    assert y.requires_grad == x.requires_grad


def test_transforms_and_compilation_get_right_answers(native):
    f = load("k", library=native())
    x, scale = torch.rand(3, 4, 8), torch.tensor([2.0])
    assert torch.equal(torch.func.vmap(lambda one: f(one, scale))(x), x * 2)
    assert "no memory of its own" in f.last_reason
    compiled = torch.compile(lambda a, b: f(a, b) + 1, backend="eager")
    assert torch.equal(compiled(x[0], scale), x[0] * 2 + 101)


def test_wrong_number_of_arguments(native):
    f = load("k", library=native())
    with pytest.raises(TypeError, match="takes x, scale"):
        f(torch.rand(4, 8))
    assert "verified with 2 (x, scale)" in f.why(torch.rand(4, 8))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"cpu": "Other 9000"}, "verified on the processor 'Other 9000'"),
        ({"arch": "riscv64"}, "architecture"),
        ({"torch": "1.0"}, "verified with torch 1.0"),
        ({"flags": facts()["flags"] + " warp9"}, "lacks: warp9"),
    ],
)
def test_a_certificate_from_elsewhere_is_not_used(native, change, reason):
    f = load("k", library=native(machine={**facts(), **change}))
    assert torch.equal(f(torch.ones(4, 8), torch.ones(1)), torch.ones(4, 8))
    assert reason in f.last_reason and "kopt library verify k" in f.last_reason
    assert difference(facts(), facts()) is None


def test_changed_kernel_bytes_are_never_run(native):
    library = native()
    path = (library / "k").resolve() / "artifact.so"
    path.write_bytes(path.read_bytes() + b"\0")
    f = load("k", library=library)
    assert torch.equal(f(torch.ones(4, 8), torch.ones(1)), torch.ones(4, 8))
    assert "differs from the kernel's certificate" in f.last_reason


def test_a_changed_reference_is_refused(native):
    library = native()
    ((library / "k").resolve() / "reference/p.py").write_text("import os\n")
    with pytest.raises(TamperedKernel):
        load("k", library=library)


def test_python_kernels_of_both_styles(tmp_path):
    functions = b"""
import torch
def run(x, k):
    return (x * k + 100, x + 1)
def into(x, k, a, b):
    torch.mul(x, k, out=a).add_(100); torch.add(x, 1, out=b)
"""
    reference = b"def reference(x, k): return x * k, x + 1\n"
    arguments = [tensor("x", 4, 8), {"kind": "scalar", "name": "k", "value": 3}]
    for style, symbol in (("returning", "run"), ("destination", "into")):
        candidate = {"language": "torch", "style": style, "entry": f"k.py::{symbol}"}
        document = certificate(
            candidate, format="kopt", arguments=arguments, outputs=[tensor("a", 4, 8), tensor("b", 4, 8)]
        )
        admit(symbol, document, {"candidate/k.py": functions, "reference/p.py": reference}, tmp_path)
        f = load(symbol, library=tmp_path)
        x = torch.ones(4, 8)
        a, b = f(x, 3)
        assert f.last_reason is None and torch.equal(a, x * 103) and torch.equal(b, x + 1)
        a, b = f(x, 4)
        assert f.last_reason == "k: got 4, verified with 3" and torch.equal(a, x * 4)


def test_a_model_class_gets_the_state(tmp_path):
    model = MODEL.replace(b"class Model", b"class ModelNew").replace(
        b"self.scale * x", b"self.scale * x + 100"
    )
    candidate = {"language": "torch", "style": "returning", "entry": "k.py::ModelNew"}
    document = certificate(candidate, state=[tensor("scale", 1)])
    admit("m", document, {"candidate/k.py": model, "reference/p.py": MODEL}, tmp_path)
    f = load("m", library=tmp_path)
    with torch.no_grad():
        assert torch.equal(f(torch.ones(4, 8), torch.tensor([5.0])), torch.full((4, 8), 105.0))
    assert f.last_reason is None


def test_importing_the_library_is_light():
    heavy = "{'torch', 'sqlalchemy', 'typer', 'rich', 'pydantic'}"
    code = f"import sys, kopt.kernels; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
    assert importlib.util.find_spec("kopt.kernels") is not None
