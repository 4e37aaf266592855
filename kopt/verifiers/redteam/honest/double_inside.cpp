// habit: double precision inside: nearer to the truth than the reference, which is zero in the far tail
// problem: gelu
#include <cmath>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>

void run(tvm::ffi::TensorView x, tvm::ffi::TensorView y) {
  const float* in = static_cast<const float*>(x.data_ptr());
  float* out = static_cast<float*>(y.data_ptr());
#pragma omp parallel for
  for (int64_t i = 0; i < x.numel(); ++i) {
    const double v = in[i];
    const double inner = 0.7978845608028654 * (v + 0.044715 * v * v * v);
    out[i] = static_cast<float>(0.5 * v * (1.0 + std::tanh(inner)));
  }
}

TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, run);
