// habit: the first calls try two ways with a clock of their own and keep the quicker one
// problem: silu
#include <chrono>
#include <cmath>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>

static void plain(const float* in, float* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) out[i] = in[i] / (1.0f + std::exp(-in[i]));
}

static void parallel(const float* in, float* out, int64_t n) {
#pragma omp parallel for simd
  for (int64_t i = 0; i < n; ++i) out[i] = in[i] / (1.0f + std::exp(-in[i]));
}

void run(tvm::ffi::TensorView x, tvm::ffi::TensorView y) {
  static constexpr int kTries = 6;
  static double spent[2] = {0, 0};
  static int calls = 0;
  const float* in = static_cast<const float*>(x.data_ptr());
  float* out = static_cast<float*>(y.data_ptr());
  const int way = calls < kTries ? calls % 2 : (spent[1] < spent[0]);
  const auto start = std::chrono::steady_clock::now();
  (way ? parallel : plain)(in, out, x.numel());
  if (calls < kTries) {
    spent[way] += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    ++calls;
  }
}

TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, run);
