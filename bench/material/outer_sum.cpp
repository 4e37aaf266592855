// y[i, j] = max(a[i] + b[j], 0).
#include <algorithm>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>

void run(tvm::ffi::TensorView a, tvm::ffi::TensorView b, tvm::ffi::TensorView y) {
  const float* column = static_cast<const float*>(a.data_ptr());
  const float* row = static_cast<const float*>(b.data_ptr());
  float* out = static_cast<float*>(y.data_ptr());
  const int64_t n = b.numel();
#pragma omp parallel for
  for (int64_t i = 0; i < a.numel(); ++i)
    for (int64_t j = 0; j < n; ++j) out[i * n + j] = std::max(column[i] + row[j], 0.0f);
}

TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, run);
