"""A kernel as torch's operator: one node in compiled and exported graphs, right everywhere, differentiable."""

from __future__ import annotations

import hashlib

import pytest
import torch
from kernel_cases import MODEL, certificate, tensor

from kopt.kernels import load
from kopt.kernels.library import admit


@pytest.fixture
def kernel(native):
    return load("k", library=native())


def arguments(*shape, grad=False):
    return torch.rand(shape or (4, 8), requires_grad=grad), torch.tensor([2.0], requires_grad=grad)


@pytest.mark.parametrize("shape", [(4, 8), (3, 5)])
@pytest.mark.parametrize("grad", [False, True])
def test_torch_finds_nothing_wrong_with_it(kernel, shape, grad):
    """Schema, fake tensors, autograd and compilation, inside and outside the domain."""
    args = arguments(
        *shape, grad=grad and shape != (4, 8)
    )  # in the domain the test kernel is not the reference
    torch.library.opcheck(kernel.op, args)
    with torch.no_grad():
        torch.library.opcheck(kernel.op, args)


def test_a_compiled_function_calls_the_kernel_whole(kernel):
    function = torch.compile(lambda a, b: kernel(a, b).relu() + 1, fullgraph=True, backend="aot_eager")
    x, scale = arguments()
    assert torch.equal(function(x, scale), x * 2 + 101)
    assert kernel.last_reason is None
    other = torch.rand(5, 8)
    assert torch.equal(function(other, scale), other * 2 + 1)
    assert "shape (5, 8) was not verified" in kernel.last_reason
    apart = torch.rand(33)[1:].view(4, 8)  # decided at each call: what was compiled knows no alignment
    assert torch.equal(function(apart, scale), apart * 2 + 1)
    assert "not aligned" in kernel.last_reason


def test_inductor_takes_it(kernel):
    x, scale = arguments()
    assert torch.equal(torch.compile(lambda a, b: kernel(a, b) + 1, fullgraph=True)(x, scale), x * 2 + 101)


def test_gradients_are_the_references(kernel):
    x, scale = arguments(grad=True)
    y = torch.compile(lambda a, b: kernel(a, b), fullgraph=True, backend="aot_eager")(x, scale)
    assert torch.equal(y.detach(), x.detach() * 2 + 100) and kernel.last_reason is None
    y.backward(torch.full_like(y, 3.0))
    assert torch.equal(x.grad, torch.full((4, 8), 6.0))
    torch.testing.assert_close(scale.grad, 3 * x.detach().sum().reshape(1))


def test_gradients_of_gradients(tmp_path):
    reference = b"def reference(x): return x * x * x\n"
    candidate = {"language": "torch", "style": "returning", "entry": "k.py::run"}
    document = certificate(candidate, format="kopt")
    admit(
        "cube",
        document,
        {"candidate/k.py": b"def run(x): return x ** 3\n", "reference/p.py": reference},
        tmp_path,
    )
    f = load("cube", library=tmp_path)
    x = torch.rand(4, 8, requires_grad=True)
    (first,) = torch.autograd.grad(f.op(x).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad((first + x).sum(), x)
    torch.testing.assert_close(second, 6 * x.detach() + 1)


def test_an_exported_program_names_the_bytes(kernel, native):
    class Module(torch.nn.Module):
        def forward(self, x, scale):
            return kernel(x, scale) * 2

    program = torch.export.export(Module(), arguments(), strict=True)
    targets = [str(node.target) for node in program.graph.nodes if node.op == "call_function"]
    certificate = ((native() / "k").resolve() / "certificate.json").read_bytes()
    assert targets[0] == f"kopt.k_{hashlib.sha256(certificate).hexdigest()[:8]}.default"
    x, scale = arguments()
    assert torch.equal(program.module()(x, scale), (x * 2 + 100) * 2)


def test_the_same_bytes_have_one_operator(native, tmp_path):
    first = load("k", library=native())
    assert load("k", library=native()).op is first.op


def test_results_never_share_memory_with_arguments(tmp_path):
    """A reference or a kernel may return its argument; an operator may not."""
    candidate = {"language": "torch", "style": "returning", "entry": "k.py::run"}
    document = certificate(candidate, format="kopt", outputs=[tensor("a", 4, 8), tensor("b", 4, 8)])
    files = {
        "candidate/k.py": b"def run(x): return x, x\n",
        "reference/p.py": b"def reference(x): return x, x\n",
    }
    admit("same", document, files, tmp_path)
    f = load("same", library=tmp_path)
    for x in (torch.rand(4, 8), torch.rand(2, 2)):
        torch.library.opcheck(f.op, (x,))
        a, b = f.op(x)
        assert (
            len({x.data_ptr(), a.data_ptr(), b.data_ptr()}) == 3 and torch.equal(a, x) and torch.equal(b, x)
        )


def test_arguments_that_are_no_tensors(tmp_path):
    candidate = {"language": "torch", "style": "returning", "entry": "k.py::run"}
    files = {
        "candidate/k.py": b"def run(x, k, name): return x * k + 100\n",
        "reference/p.py": b"def reference(x, k, name): return x * k\n",
    }
    scalars = [
        {"kind": "scalar", "name": "k", "value": 3.0},
        {"kind": "scalar", "name": "name", "value": "sum"},
    ]
    admit(
        "s", certificate(candidate, format="kopt", arguments=[tensor("x", 4, 8), *scalars]), files, tmp_path
    )
    f = load("s", library=tmp_path)
    x = torch.rand(4, 8)
    function = torch.compile(lambda x, k: f(x, k, "sum"), fullgraph=True, backend="aot_eager")
    assert torch.equal(function(x, 3.0), x * 3 + 100)
    assert torch.equal(function(x, 4.0), x * 4)
    assert torch.equal(torch.compile(lambda x: f(x, 3, "sum"), backend="eager")(x), x * 3)
    assert f.last_reason == "k: got 3, verified with 3.0"
    scalars[0]["value"] = [1, 2]
    admit(
        "l", certificate(candidate, format="kopt", arguments=[tensor("x", 4, 8), *scalars]), files, tmp_path
    )
    assert load("l", library=tmp_path).op is None


def test_what_changes_its_inputs_is_no_operator(native, tmp_path):
    candidate = {"language": "torch", "style": "returning", "entry": "k.py::run"}
    files = {"candidate/k.py": b"def run(x): return x.mul_(2)\n", "reference/p.py": MODEL}
    admit("m", {**certificate(candidate), "mutates_inputs": True}, files, tmp_path)
    f = load("m", library=tmp_path)
    assert f.op is None
    x = torch.ones(4, 8)
    torch.compile(lambda x: f(x) + 1, backend="eager")(x)
    assert torch.equal(x, torch.full((4, 8), 2.0))
