"""What public harnesses do for one candidate: a fresh process, torch, ``load_inline``, allclose, a loop.

Run as a script by :mod:`bench.cost`; prints the seconds of each part as JSON. The extensions directory given must be
empty, as it is for a candidate nobody has built. This is the convenience it looks like: the candidate shares this
process with its checker.
"""

from __future__ import annotations

import json
import sys
import time

start = time.perf_counter()
import torch  # noqa: E402
from torch.utils.cpp_extension import load_inline  # noqa: E402

SOURCE = """
#include <torch/extension.h>
#include <cmath>
torch::Tensor run(torch::Tensor x) {
  auto y = torch::empty_like(x);
  const float* in = x.data_ptr<float>();
  float* out = y.data_ptr<float>();
  const int64_t n = x.numel();
#pragma omp parallel for simd
  for (int64_t i = 0; i < n; ++i) out[i] = in[i] / (1.0f + std::exp(-in[i]));
  return y;
}
"""


def main() -> None:
    """Build, check and time the same kernel as ``material/small_silu.cpp``."""
    imported = time.perf_counter()
    module = load_inline(
        name="small_silu", cpp_sources=SOURCE, functions=["run"], build_directory=sys.argv[1],
        extra_cflags=["-O3", "-march=native", "-fopenmp"], extra_ldflags=["-fopenmp"],
    )  # fmt: skip
    built = time.perf_counter()
    x = torch.randn(256, 1024)
    assert torch.allclose(module.run(x), torch.nn.functional.silu(x), rtol=1e-4, atol=1e-4)
    for f in (module.run, torch.nn.functional.silu):
        for _ in range(110):
            f(x)
    end = time.perf_counter()
    print(json.dumps({"import": imported - start, "build": built - imported, "check and time": end - built}))


main()
