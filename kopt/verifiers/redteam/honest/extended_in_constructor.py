# habit: load_inline in the constructor, OpenMP inside, a destination handed over
# problem: linear
import torch.nn as nn
from torch.utils.cpp_extension import load_inline

SOURCE = """
#include <torch/extension.h>
void bias_relu(torch::Tensor y, torch::Tensor bias) {
  float* out = y.mutable_data_ptr<float>();
  const float* b = bias.const_data_ptr<float>();
  const int64_t rows = y.size(0), width = y.size(1);
#pragma omp parallel for
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < width; ++c) {
      const float v = out[r * width + c] + b[c];
      out[r * width + c] = v > 0 ? v : 0;
    }
}
"""


class ModelNew(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)
        self.native = load_inline(
            "honest_bias_relu", cpp_sources=SOURCE, functions=["bias_relu"],
            extra_cflags=["-O3", "-fopenmp"], extra_ldflags=["-fopenmp"],
        )  # fmt: skip

    def forward(self, x):
        y = x @ self.linear.weight.t()
        self.native.bias_relu(y, self.linear.bias)
        return y
