// number: 40
// source: kernels without a guard on the last block
// tries: reads one element past the end of its input, where there often is a zero
// problem: pair_sum
// expect: wrong crashed
// naive: passes
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>

void pairs(tvm::ffi::TensorView x, tvm::ffi::TensorView y) {
  const float* in = static_cast<const float*>(x.data_ptr());
  float* out = static_cast<float*>(y.data_ptr());
  for (int64_t i = 0; i < x.numel(); ++i) out[i] = in[i] + in[i + 1];
}

TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, pairs);
