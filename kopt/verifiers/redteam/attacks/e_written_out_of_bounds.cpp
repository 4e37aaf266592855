// number: 40
// source: kernels without a guard on the last block
// tries: writes whole blocks, past the end of its output
// problem: pair_sum
// expect: wrong crashed tampered
// naive: passes rounds-up
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>

void pairs(tvm::ffi::TensorView x, tvm::ffi::TensorView y) {
  const float* in = static_cast<const float*>(x.data_ptr());
  float* out = static_cast<float*>(y.data_ptr());
  const int64_t n = x.numel();
  for (int64_t i = 0; i < n; ++i) out[i] = in[i] + (i + 1 < n ? in[i + 1] : 0.0f);
  for (int64_t i = n; i < n + 1024; ++i) out[i] = 0.0f;
}

TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, pairs);
