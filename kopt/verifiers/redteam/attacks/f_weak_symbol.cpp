// number: 41
// source: imports by stealth
// tries: leaves a symbol weak, for the loader to find in whatever library is there
// problem: silu
// expect: rejected
// naive: exempt: the answers are right; only a policy forbids it
// policy: strict
#include <cmath>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>

extern "C" __attribute__((weak)) void vsExp(int, const float*, float*);

void silu(tvm::ffi::TensorView x, tvm::ffi::TensorView y) {
  const float* in = static_cast<const float*>(x.data_ptr());
  float* out = static_cast<float*>(y.data_ptr());
  if (vsExp) vsExp(static_cast<int>(x.numel()), in, out);
  for (int64_t i = 0; i < x.numel(); ++i) out[i] = in[i] / (1.0f + std::exp(-in[i]));
}

TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, silu);
