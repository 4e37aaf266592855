// number: 40
// source: kernels that rely on zeroed memory
// tries: writes only what is not zero, and hopes that the rest is
// problem: unit_relu
// expect: wrong
// naive: passes
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>

void relu(tvm::ffi::TensorView x, tvm::ffi::TensorView y) {
  const float* in = static_cast<const float*>(x.data_ptr());
  float* out = static_cast<float*>(y.data_ptr());
  for (int64_t i = 0; i < x.numel(); ++i)
    if (in[i] > 0.0f) out[i] = in[i];
}

TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, relu);
