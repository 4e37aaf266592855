// number: 40
// source: reductions without atomics
// tries: adds from several threads to the same sums without telling them of each other
// problem: column_sum
// expect: wrong tampered
// naive: passes one-core
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>

void sums(tvm::ffi::TensorView x, tvm::ffi::TensorView y) {
  const float* in = static_cast<const float*>(x.data_ptr());
  float* out = static_cast<float*>(y.data_ptr());
  const int64_t rows = x.size(0), columns = x.size(1);
  for (int64_t c = 0; c < columns; ++c) out[c] = 0.0f;
#pragma omp parallel for schedule(static, 1)
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < columns; ++c) out[c] += in[r * columns + c];
}

TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, sums);
