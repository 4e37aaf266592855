// habit: OpenMP tasks, made recursively, waited for
// problem: silu
#include <cmath>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>

static void halve(const float* in, float* out, int64_t n) {
  if (n <= 16384) {
    for (int64_t i = 0; i < n; ++i) out[i] = in[i] / (1.0f + std::exp(-in[i]));
    return;
  }
  const int64_t half = n / 2;
#pragma omp task
  halve(in, out, half);
  halve(in + half, out + half, n - half);
#pragma omp taskwait
}

void run(tvm::ffi::TensorView x, tvm::ffi::TensorView y) {
  const float* in = static_cast<const float*>(x.data_ptr());
  float* out = static_cast<float*>(y.data_ptr());
#pragma omp parallel
#pragma omp single
  halve(in, out, x.numel());
}

TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, run);
