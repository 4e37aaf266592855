// habit: threads started for each call and joined in it
// problem: silu
#include <cmath>
#include <thread>
#include <vector>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>

static void part(const float* in, float* out, int64_t first, int64_t last) {
  for (int64_t i = first; i < last; ++i) out[i] = in[i] / (1.0f + std::exp(-in[i]));
}

void run(tvm::ffi::TensorView x, tvm::ffi::TensorView y) {
  const float* in = static_cast<const float*>(x.data_ptr());
  float* out = static_cast<float*>(y.data_ptr());
  const int64_t n = x.numel(), half = n / 2;
  std::vector<std::thread> threads;
  threads.emplace_back(part, in, out, 0, half);
  threads.emplace_back(part, in, out, half, n);
  for (auto& thread : threads) thread.join();
}

TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, run);
