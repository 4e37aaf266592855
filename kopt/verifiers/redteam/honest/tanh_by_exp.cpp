// habit: tanh by an exponential: another half of its last bit than the reference's, all there is in the far tail
// problem: gelu
#include <cmath>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>

void run(tvm::ffi::TensorView x, tvm::ffi::TensorView y) {
  const float* in = static_cast<const float*>(x.data_ptr());
  float* out = static_cast<float*>(y.data_ptr());
#pragma omp parallel for simd
  for (int64_t i = 0; i < x.numel(); ++i) {
    const float v = in[i];
    const float inner = 0.7978845608f * (v + 0.044715f * v * v * v);
    const float e = std::exp(-2.0f * std::fabs(inner));
    out[i] = 0.5f * v * (1.0f + std::copysign((1.0f - e) / (1.0f + e), inner));
  }
}

TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, run);
