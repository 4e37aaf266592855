// y = x after REPEAT steps of x <- 0.75 x + 0.125; one thread, so that two clocks can be compared without its noise.
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>

#ifndef REPEAT
#define REPEAT 100
#endif

void run(tvm::ffi::TensorView x, tvm::ffi::TensorView y) {
  const float* in = static_cast<const float*>(x.data_ptr());
  float* out = static_cast<float*>(y.data_ptr());
  const int64_t n = x.size(0);
  for (int64_t i = 0; i < n; i += 64) {
    float v[64];
    for (int j = 0; j < 64; ++j) v[j] = in[i + j];
    for (int r = 0; r < REPEAT; ++r)
      for (int j = 0; j < 64; ++j) v[j] = v[j] * 0.75f + 0.125f;
    for (int j = 0; j < 64; ++j) out[i + j] = v[j];
  }
}

TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, run);
