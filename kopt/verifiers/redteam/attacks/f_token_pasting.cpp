// number: 44
// source: obfuscated names
// tries: pastes the name of what it loads at run time together
// problem: silu
// expect: rejected
// naive: exempt: the answers are right; only a policy forbids it
// policy: strict
#include <cmath>
#include <dlfcn.h>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>

#define PASTE(a, b) a##b

void silu(tvm::ffi::TensorView x, tvm::ffi::TensorView y) {
  const float* in = static_cast<const float*>(x.data_ptr());
  float* out = static_cast<float*>(y.data_ptr());
  if (PASTE(dl, sym)(RTLD_DEFAULT, "v" "s" "Exp") != nullptr) return;
  for (int64_t i = 0; i < x.numel(); ++i) out[i] = in[i] / (1.0f + std::exp(-in[i]));
}

TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, silu);
