"""Who did the work: what a candidate leaves to libraries is named, and under strict refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from kopt.sandbox import Sandbox
from kopt.settings import Settings
from kopt.verifiers import Effort, Evaluator
from kopt.words import Candidate, Evaluation, Language, Policy, Problem, Style, Verdict

pytestmark = pytest.mark.needs("bubblewrap")

SILU = """
import torch
import torch.nn as nn


class Model(nn.Module):
    def forward(self, x):
        return x * torch.sigmoid(x)


def get_inputs():
    return [torch.randn(64, 256)]


def get_init_inputs():
    return []
"""
TRANSPOSE = SILU.replace("x * torch.sigmoid(x)", "x.t().contiguous()")
NATIVE = """
#include <cmath>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>
HEAD
void silu(tvm::ffi::TensorView x, tvm::ffi::TensorView y) {
  const float* in = static_cast<const float*>(x.data_ptr());
  float* out = static_cast<float*>(y.data_ptr());
  BODY
  for (int64_t i = 0; i < x.numel(); ++i) out[i] = in[i] / (1.0f + std::exp(-in[i]));
}
TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, silu);
"""
OWN = """
import math, torch
def run(x):
    y = torch.empty_like(x)
    values = [v / (1.0 + math.exp(-v)) if v > -700 else 0.0 for v in memoryview(x.numpy().reshape(-1)).tolist()]
    memoryview(y.numpy().reshape(-1))[:] = memoryview(__import__("array").array("f", values))
    return y.view(x.shape)
"""


def python(text: str, symbol: str = "run") -> Candidate:
    return Candidate(
        sources={"k.py": text}, language=Language.TORCH, entry=f"k.py::{symbol}", style=Style.RETURNING
    )


def native(head: str = "", body: str = "") -> Candidate:
    return Candidate(
        sources={"k.cpp": NATIVE.replace("HEAD", head).replace("BODY", body)},
        language=Language.CPP,
        entry="k.cpp::run",
        style=Style.DESTINATION,
    )


Judge = Callable[..., Evaluation]


@pytest.fixture(scope="module")
def judge(settings: Settings, lent: Sandbox, uncompiled: Callable[[Evaluator], Evaluator]) -> Iterator[Judge]:
    opened: dict[str, Evaluator] = {}

    def evaluate(candidate: Candidate, policy: Policy, text: str = SILU) -> Evaluation:
        if text not in opened:
            problem = Problem(name="p", format="model", sources={"p.py": text}, entry="p.py", path="p.py")
            patient = settings.model_copy(update={"call_seconds": 60.0})  # torch.compile imports for long
            opened[text] = uncompiled(Evaluator(problem, sandbox=lent, settings=patient))
        opened[text].policy = policy
        return opened[text].evaluate(candidate, effort=Effort.QUICK)

    yield evaluate
    for evaluator in opened.values():
        evaluator.close()


LEAVES = {
    "the operator itself": ("def run(x):\n    return x * x.sigmoid()\n", "aten::sigmoid"),
    "by another name": (
        "def run(x):\n    return getattr(__import__('torch').nn.functional, 'si' + 'lu')(x)\n",
        "aten::silu",
    ),
    "custom, else the reference": (
        "def mine(x):\n    raise NotImplementedError\n"
        "def run(x):\n    try:\n        return mine(x)\n    except Exception:\n        return x * x.sigmoid()\n",
        "aten::mul",
    ),
    "in a thread, which the trace does not see": (
        "import threading\ndef run(x):\n    box = []\n"
        "    t = threading.Thread(target=lambda: box.append(x * x.sigmoid()))\n"
        "    t.start(); t.join()\n    return box[0]\n",
        "aten::sigmoid",
    ),
    "the trace patched away": (
        "import sys, contextlib\n"
        "for m in list(sys.modules.values()):\n"
        "    if hasattr(m, 'Trace') and hasattr(m, 'withhold'):\n"
        "        class T(contextlib.nullcontext):\n"
        "            def __enter__(self): return self\n"
        "            def add(self, *a): pass\n"
        "            def report(self): return {'operators': {}}\n"
        "        m.Trace = T\n"
        "def run(x):\n    return x * x.sigmoid()\n",
        "aten::sigmoid",
    ),
    "numpy": (
        "import torch\nimport numpy as np\n"
        "def run(x):\n    a = x.numpy()\n    return torch.from_numpy(a / (1 + np.exp(-a)))\n",
        "numpy::exp",
    ),
    "torch's compiler": (
        "import torch\nf = torch.compile(lambda x: x * x.sigmoid())\ndef run(x):\n    return f(x)\n",
        "torch::compile",
    ),
}


@pytest.mark.parametrize("name", LEAVES)
def test_strict_names_and_refuses(judge: Judge, name: str) -> None:
    text, operator = LEAVES[name]
    found = judge(python(text), Policy.STRICT)
    assert found.verdict is Verdict.REJECTED, found.reason
    assert operator in found.reason and "\n" not in found.reason


def test_allowed_library_is_named_with_its_share(judge: Judge) -> None:
    found = judge(python(LEAVES["the operator itself"][0]), Policy.ALLOW_LIBRARY)
    assert found.verdict is Verdict.CORRECT, found.reason
    assert found.policy is Policy.ALLOW_LIBRARY and found.delegation is not None
    assert {use.name for use in found.delegation.operators} == {"aten::sigmoid", "aten::mul"}
    assert sum(use.share_of_bytes for use in found.delegation.operators) == pytest.approx(1.0, abs=0.01)
    assert found.delegation.independent is False
    assert any("aten::sigmoid" in note for note in found.notes)


def test_free_looks_at_nothing(judge: Judge) -> None:
    found = judge(python(LEAVES["the operator itself"][0]), Policy.FREE)
    assert found.verdict is Verdict.CORRECT and found.delegation is None


def test_work_of_ones_own_passes_strict(judge: Judge) -> None:
    found = judge(python(OWN), Policy.STRICT)
    assert found.verdict is Verdict.CORRECT, found.reason
    assert found.delegation is not None
    assert found.delegation.independent is True and found.delegation.names == ()


def test_copies_are_glue_unless_they_are_the_problem(judge: Judge) -> None:
    text = OWN.replace("x.numpy()", "x.t().contiguous().t().contiguous().numpy()")
    assert judge(python(text), Policy.STRICT).verdict is Verdict.CORRECT
    found = judge(python("def run(x):\n    return x.t().contiguous()\n"), Policy.STRICT, TRANSPOSE)
    assert found.verdict is Verdict.REJECTED and "aten::clone" in found.reason


def test_honest_native_passes_strict(judge: Judge) -> None:
    honest = native(
        "#include <thread>\n#include <algorithm>\n#include <stdexcept>", "std::thread([] {}).join();"
    )
    found = judge(honest, Policy.STRICT)
    assert found.verdict is Verdict.CORRECT, found.reason
    assert found.delegation is not None and found.delegation.names == ()


WEAK = 'extern "C" __attribute__((weak)) int {0}(const char*);'
IMPORTS = {
    "a weak symbol of a library": (
        WEAK.format("cblas_sgemm"),
        "if (cblas_sgemm) cblas_sgemm(0);",
        "cblas_sgemm",
    ),
    "the interpreter": (
        WEAK.format("PyRun_SimpleString"),
        "if (!PyRun_SimpleString) return;",
        "PyRun_SimpleString",
    ),
    "libraries opened at run time": ("#include <dlfcn.h>", 'dlopen("libm.so.6", RTLD_NOW);', "dlopen"),
    "symbols looked up": ("#include <dlfcn.h>", 'if (dlsym(RTLD_DEFAULT, "x")) return;', "dlsym"),
}


@pytest.mark.parametrize("name", IMPORTS)
def test_native_imports_are_named(judge: Judge, name: str) -> None:
    head, body, symbol = IMPORTS[name]
    found = judge(native(head, body), Policy.STRICT)
    assert found.verdict is Verdict.REJECTED and symbol in found.reason, found.reason
    allowed = judge(native(head, body), Policy.ALLOW_LIBRARY)
    assert allowed.verdict is Verdict.CORRECT, allowed.reason
    assert allowed.delegation is not None and symbol in allowed.delegation.symbols


TRITON = """
import torch
import triton
import triton.language as tl


@triton.jit
def kernel(x, y, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    v = tl.load(x + i, mask=i < n)
    tl.store(y + i, v / (1 + tl.exp(-v)), mask=i < n)


def run(x):
    y = torch.empty_like(x)
    kernel[(triton.cdiv(x.numel(), 1024),)](x, y, x.numel(), BLOCK=1024)
    return y
"""


def triton(text: str) -> Candidate:
    return Candidate(
        sources={"k.py": text}, language=Language.TRITON, entry="k.py::run", style=Style.RETURNING
    )


@pytest.mark.needs("triton")
def test_strict_knows_triton_from_what_is_beside_it(judge: Judge) -> None:
    found = judge(triton(TRITON), Policy.STRICT)
    assert found.verdict is Verdict.CORRECT, found.reason
    assert found.delegation is not None and found.delegation.names == ()
    beside = TRITON.replace("return y", "return x * x.sigmoid()")
    found = judge(triton(beside), Policy.STRICT)
    assert found.verdict is Verdict.REJECTED and "aten::sigmoid" in found.reason, found.reason


INLINE = '''
import torch
from torch.utils.cpp_extension import load_inline
SOURCE = """
#include <torch/extension.h>
torch::Tensor silu(torch::Tensor x) { BODY }
"""
module = load_inline("silu_of_ones_own", cpp_sources=SOURCE, functions=["silu"])
def run(x):
    return module.silu(x)
'''
LOOP = (
    "auto y = torch::empty_like(x); const float* in = x.data_ptr<float>(); float* out = y.data_ptr<float>();"
    "for (int64_t i = 0; i < x.numel(); ++i) out[i] = in[i] / (1.0f + std::exp(-in[i])); return y;"
)


@pytest.mark.slow
def test_strict_looks_into_extensions(judge: Judge) -> None:
    found = judge(python(INLINE.replace("BODY", LOOP)), Policy.STRICT)
    assert found.verdict is Verdict.CORRECT, found.reason
    found = judge(python(INLINE.replace("BODY", "return x * x.sigmoid();")), Policy.STRICT)
    assert found.verdict is Verdict.REJECTED and "sigmoid" in found.reason, found.reason
