"""Instances against plain torch: inputs, results in three precisions, state, descriptions."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from kopt.errors import ProblemError
from kopt.problems.inside import InsideProblem, open_problem
from kopt.words import ScalarSpec, WorkloadSpec, from_json, to_json

HEAD = "import torch\nimport torch.nn as nn\nimport torch.nn.functional as F\n"


def model(tmp_path: Path, body: str, inputs: str, init: str | None = None) -> InsideProblem:
    text = HEAD + f"class Model(nn.Module):\n{body}\ndef get_inputs():\n    return {inputs}\n"
    if init is not None:
        text += f"def get_init_inputs():\n    return {init}\n"
    return open_problem("model", {"p.py": text}, "p.py", tmp_path)


def test_model_is_built_as_public_harnesses_do(tmp_path: Path) -> None:
    body = "    def __init__(self, n):\n        super().__init__()\n        self.l = nn.Linear(n, 3)\n"
    body += "    def forward(self, x):\n        return self.l(x)\n"
    instance = model(tmp_path, body, "[torch.randn(2, 5)]", "[5]").select(0, 42)
    torch.manual_seed(42)
    linear = torch.nn.Linear(5, 3)
    torch.manual_seed(7)
    x = torch.randn(2, 5)
    (drawn,) = instance.inputs(7)
    assert torch.equal(drawn, x)
    with torch.no_grad():
        assert torch.equal(instance.call([x])[0], linear(x))
    assert list(instance.state()) == ["l.weight", "l.bias"]
    assert instance.spec().init == (5,)


def test_spec_survives_json(tmp_path: Path) -> None:
    instance = model(
        tmp_path,
        "    def forward(self, x, n, flag):\n        return x.t() * n, x > 0\n",
        "[torch.randn(2, 5), 3, None]",
    ).select(0, 0)
    spec = instance.spec()
    assert from_json(WorkloadSpec, to_json(spec)) == spec
    assert [o.name for o in spec.outputs] == ["output0", "output1"]
    assert [o.dtype for o in spec.outputs] == ["float32", "bool"]
    assert spec.outputs[0].strides == (1, 5)
    assert spec.arguments[1:] == (ScalarSpec(name="n", value=3), ScalarSpec(name="flag", value=None))


def test_expanded_inputs_stay_so_and_expanded_outputs_are_laid_out_contiguously(tmp_path: Path) -> None:
    body = "    def forward(self, x):\n        return x[:1].expand(4, 3)\n"
    instance = model(tmp_path, body, "[torch.randn(1, 3).expand(6, 3)]").select(0, 0)
    assert instance.spec().tensors[0].strides == instance.inputs(0)[0].stride() == (0, 1)
    assert instance.spec().outputs[0].strides == (3, 1)


def test_integer_and_bool_inputs_are_left_as_they_are(tmp_path: Path) -> None:
    body = "    def forward(self, x, i, b):\n        return torch.where(b, x[i], 0)\n"
    inputs = "[torch.randn(9), torch.randint(0, 9, (9,)), torch.rand(9) > 0.5]"
    instance = model(tmp_path, body, inputs).select(0, 0)
    args = instance.inputs(1)
    assert [a.dtype for a in args] == [torch.float32, torch.int64, torch.bool]
    assert instance.call64(args)[0].dtype is torch.float64
    assert torch.equal(instance.call64(args)[0].float(), instance.call(args)[0])


def test_truth_is_float64_even_where_the_code_names_float32(tmp_path: Path) -> None:
    body = "    def forward(self, x):\n        y = x.to(torch.float32).float() + torch.full((1,), 0.1)\n"
    body += "        return y.sum() + torch.tensor(0.1, dtype=torch.float32)\n"
    instance = model(tmp_path, body, "[torch.randn(1000)]").select(0, 0)
    (x,) = instance.inputs(3)
    truth = instance.call64([x])[0]
    assert truth.dtype is torch.float64
    assert abs(float(truth - (x.double().sum() + 100.0 + 0.1))) < 1e-9
    assert torch.get_default_dtype() is torch.float32


def test_plain_tensor_attributes_follow_the_precision(tmp_path: Path) -> None:
    body = "    def __init__(self):\n        super().__init__()\n        self.m = torch.ones(3)\n"
    body += "    def forward(self, x):\n        return x @ self.m\n"
    instance = model(tmp_path, body, "[torch.randn(2, 3)]").select(0, 0)
    assert instance.call64(instance.inputs(0))[0].dtype is torch.float64
    assert instance.call(instance.inputs(0))[0].dtype is torch.float32


def test_lower_precision_comes_back_in_the_output_dtype(tmp_path: Path) -> None:
    body = "    def forward(self, x):\n        return x * 3\n"
    instance = model(tmp_path, body, "[torch.randn(64)]").select(0, 0)
    (x,) = instance.inputs(0)
    half = instance.call_precision([x], "float16")[0]
    assert half.dtype is torch.float32
    assert torch.equal(half, (x.half() * 3).float())


def test_every_call_starts_from_the_same_state(tmp_path: Path) -> None:
    body = "    def __init__(self):\n        super().__init__()\n        self.n = nn.BatchNorm1d(3)\n"
    body += "    def forward(self, x):\n        return self.n(x), self.n.running_mean.clone()\n"
    instance = model(tmp_path, body, "[torch.randn(8, 3)]").select(0, 0)
    before = {k: v.clone() for k, v in instance.state().items()}
    x = instance.inputs(5)
    first, again = instance.call(x), instance.call(x)
    truth, truth_again = instance.call64(x), instance.call64(x)
    assert all(torch.equal(a, b) for a, b in zip(first + truth, again + truth_again, strict=True))
    assert torch.allclose(first[1].double(), truth[1])
    instance.spec()
    instance.call(x)
    assert all(torch.equal(v, before[k]) for k, v in instance.state().items())


def test_input_groups_are_workloads(tmp_path: Path) -> None:
    text = HEAD + "class Model(nn.Module):\n    def forward(self, x):\n        return x * 2\n"
    text += "def get_input_groups():\n    return [[torch.randn(n, 4)] for n in (2, 3)]\n"
    opened = open_problem("model", {"p.py": text}, "p.py", tmp_path)
    assert [w.name for w in opened.workloads()] == ["group0", "group1"]
    assert opened.select(1, 0).spec().outputs[0].shape == (3, 4)


def test_function_format(tmp_path: Path) -> None:
    text = """
import torch
HIDDEN = 6
axes = {"tokens": None, "hidden": HIDDEN}
inputs = {"x": {"shape": ["tokens", "2 * hidden"]}, "scale": 3.0,
          "label": {"shape": ["tokens"], "dtype": "int64", "values": {"kind": "integers", "high": "hidden"}}}
state = {"weight": {"shape": ["2*hidden"]}}
outputs = ["y", "label"]
workloads = {"a": {"tokens": 4}}
held_out = {"b": {"tokens": 5}}
smoke = {"tokens": 2}
def reference(x, weight, label, scale):
    return x * weight * scale, label
"""
    opened = open_problem("kopt", {"p.py": text}, "p.py", tmp_path)
    assert [(w.name, w.held_out) for w in opened.workloads()] == [("a", False), ("b", True)]
    spec = opened.select(0, 1).spec()
    assert [a.name for a in spec.arguments] == ["x", "scale", "label"]
    assert spec.tensors[0].shape == (4, 12) and spec.state[0].shape == (12,)
    assert [o.name for o in spec.outputs] == ["y", "label"]
    assert opened.select(0, 1, smoke=True).spec().tensors[0].shape == (2, 12)
    assert opened.select(0, 1, values={"tokens": 7}).spec().tensors[0].shape == (7, 12)
    one, same, other = (opened.select(0, s).state()["weight"] for s in (1, 1, 2))
    assert torch.equal(one, same) and not torch.equal(one, other)
    instance = opened.select(0, 1)
    x, scale, label = instance.inputs(9)
    assert torch.equal(instance.call([x, scale, label])[0], x * instance.state()["weight"] * 3.0)
    assert int(label.max()) < 6


BAD = {
    "raises": (
        "    def forward(self, x):\n        return x @ x\n",
        "[torch.randn(2, 3)]",
        "raised RuntimeError",
    ),
    "not a tensor": (
        "    def forward(self, x):\n        return 1.0\n",
        "[torch.randn(2)]",
        "float, not a tensor",
    ),
    "empty result": (
        "    def forward(self, x):\n        return ()\n",
        "[torch.randn(2)]",
        "returned no tensor",
    ),
    "complex": (
        "    def forward(self, x):\n        return torch.fft.fft(x)\n",
        "[torch.randn(2)]",
        "dense real",
    ),
    "strange input": (
        "    def forward(self, x):\n        return x\n",
        "[object()]",
        "only tensors and plain values",
    ),
    "inputs no list": ("    def forward(self, x):\n        return x\n", "torch.randn(2)", "not a list"),
    "inputs raise": (
        "    def forward(self, x):\n        return x\n",
        "[torch.randn(-2)]",
        "get_inputs raised",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_reference_is_one_line(tmp_path: Path, case: str) -> None:
    body, inputs, words = BAD[case]
    with pytest.raises(ProblemError) as caught:
        model(tmp_path, body, inputs).select(0, 0).spec()
    assert words in str(caught.value) and "\n" not in str(caught.value)
    assert str(caught.value).startswith("p.py:")


def test_the_line_of_a_raising_reference_is_told(tmp_path: Path) -> None:
    with pytest.raises(ProblemError, match=r"p\.py:6: the reference raised"):
        model(tmp_path, BAD["raises"][0], BAD["raises"][1]).select(0, 0).spec()


def test_an_import_that_fails_is_told(tmp_path: Path) -> None:
    with pytest.raises(ProblemError, match=r"p\.py:2: import raised ModuleNotFoundError"):
        open_problem("model", {"p.py": "x = 1\nimport no_such_module_at_all\n"}, "p.py", tmp_path)


@pytest.mark.parametrize(
    ("expression", "counted"),
    [
        ("torch.relu(x)", True),
        ("x.t().sum(0)", True),
        ("x.view(-1).softmax(0)", True),
        ("x @ x.t()", True),
        ("x[0] * 2", False),
        ("x[:, ::2] + 1", False),
        ("torch.tril(x)", False),
        ("x.index_select(0, torch.tensor([1, 1]))", False),
        ("torch.zeros_like(x)", False),
        ("F.max_pool2d(x[None, None], 2)", True),
        ("F.max_pool2d(x[None, None], 1, 2)", False),
        ("F.conv2d(x[None, None], torch.ones(1, 1, 3, 3))", True),
        ("F.conv2d(x[None, None], torch.ones(1, 1, 1, 1), stride=2)", False),
    ],
)
def test_bytes_required_counts_only_what_is_read_whole(
    tmp_path: Path, expression: str, counted: bool
) -> None:
    body = f"    def forward(self, x):\n        return {expression}\n"
    spec = model(tmp_path, body, "[torch.randn(8, 8)]").select(0, 0).spec()
    written = sum(torch.Size(o.shape).numel() * 4 for o in spec.outputs)
    assert spec.bytes_required - written == (256 if counted else 0)


def test_flops(tmp_path: Path) -> None:
    body = "    def forward(self, x):\n        return x @ x\n"
    assert model(tmp_path, body, "[torch.randn(8, 8)]").select(0, 0).spec().flops == 2 * 8**3
    body = (
        "    def forward(self, x):\n        return F.scaled_dot_product_attention(x, x, x, is_causal=True)\n"
    )
    spec = model(tmp_path / "b", body, "[torch.randn(1, 2, 8, 4)]").select(0, 0).spec()
    assert spec.flops == 2 * 2 * (8 * 9 / 2) * (4 + 4)


def test_declared_gradients_are_arguments_and_results(tmp_path: Path) -> None:
    text = """
import torch
axes = {"rows": 5, "columns": 3}
inputs = {"x": {"shape": ["rows", "columns"]}, "scale": 3.0}
state = {"weight": {"shape": ["columns"]}, "unused": {"shape": ["columns"]}}
outputs = ["y", "place"]
gradients = ["x", "weight", "unused"]
def reference(x, scale, weight, unused):
    return x * x * weight * scale, x.argmax(-1)
"""
    instance = open_problem("kopt", {"p.py": text}, "p.py", tmp_path).select(0, 1)
    spec = instance.spec()
    assert [a.name for a in spec.arguments] == ["x", "scale", "grad_y"]
    assert [o.name for o in spec.outputs] == ["y", "place", "grad_x", "grad_weight", "grad_unused"]
    x, scale, given = instance.inputs(4)
    weight = instance.state()["weight"]
    y, place, of_x, of_weight, of_unused = instance.call([x, scale, given])
    assert torch.equal(y, x * x * weight * 3) and torch.equal(place, x.argmax(-1))
    assert torch.allclose(of_x, 6 * x * weight * given, atol=1e-6)
    assert torch.allclose(of_weight, (3 * x * x * given).sum(0), atol=1e-4)
    assert not of_unused.any() and not any(t.requires_grad for t in (y, of_x))
    truth = instance.call64([x, scale, given])
    assert truth[2].dtype is torch.float64 and torch.allclose(truth[2].float(), of_x, atol=1e-6)


def test_gradients_of_what_no_output_depends_on_are_refused(tmp_path: Path) -> None:
    text = """
inputs = {"x": {"shape": [4]}}
gradients = ["x"]
def reference(x):
    return x.argmax()
"""
    with pytest.raises(ProblemError, match="no output depends on x"):
        open_problem("kopt", {"p.py": text}, "p.py", tmp_path).select(0, 1)
    with pytest.raises(ProblemError, match=r"p.py:3: .*'z' is no floating-point tensor"):
        open_problem("kopt", {"p.py": text.replace('["x"]', '["z"]')}, "p.py", tmp_path)


@pytest.mark.parametrize(
    ("expression", "terms"),
    [
        ("x.sum(1)", 64),
        ("x.mean()", 32 * 64),
        ("torch.softmax(x, 0)", 32),
        ("torch.log_softmax(x, -1)", 64),
        ("torch.nn.functional.layer_norm(x, (64,))", 64),
        ("torch.nn.functional.rms_norm(x, (64,))", 64),
        ("torch.nn.functional.batch_norm(x, None, None, training=True)", 32),
        ("torch.nn.functional.batch_norm(x, x[0], x[1].abs())", 1),
        ("x.cumsum(1)", 64),
        ("x.var(0)", 32),
        ("torch.linalg.vector_norm(x, dim=1)", 64),
        ("torch.nn.functional.scaled_dot_product_attention(x[None], x[None, :16], x[None, :16])", 16),
        ("torch.relu(x) * 2 + x[:, :1]", 1),
        ("x.amax(1)", 1),
        ("x[:1] * 2", 1),
        ("x.index_select(0, torch.tensor([3]))", 1),
        ("torch.cat([x, x], 1)", 1),
    ],
)
def test_longest_sum(tmp_path: Path, expression: str, terms: int) -> None:
    body = f"    def forward(self, x):\n        return {expression}\n"
    assert model(tmp_path, body, "[torch.randn(32, 64)]").select(0, 0).spec().longest_sum == terms
