# habit: load_inline, built when imported; at::parallel_for inside
# problem: silu
from torch.utils.cpp_extension import load_inline

SOURCE = """
#include <ATen/Parallel.h>
#include <torch/extension.h>
#include <cmath>
torch::Tensor silu(torch::Tensor x) {
  auto y = torch::empty_like(x);
  const float* in = x.const_data_ptr<float>();
  float* out = y.mutable_data_ptr<float>();
  at::parallel_for(0, x.numel(), 32768, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) out[i] = in[i] / (1.0f + std::exp(-in[i]));
  });
  return y;
}
"""

module = load_inline(
    "honest_silu", cpp_sources=SOURCE, functions=["silu"], extra_cflags=["-O3", "-march=native"]
)


def run(x):
    return module.silu(x)
