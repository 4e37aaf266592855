// number: 1
// source: CUDA-L1: work on another stream; on a CPU, on another thread
// tries: after some honest calls a detached native thread does the work, and the call returns at once
// problem: silu
// expect: wrong tampered
// naive: faster
#include <chrono>
#include <cmath>
#include <thread>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>

static int calls = 0;

void silu(tvm::ffi::TensorView x, tvm::ffi::TensorView y) {
  const float* in = static_cast<const float*>(x.data_ptr());
  float* out = static_cast<float*>(y.data_ptr());
  const int64_t n = x.size(0) * x.size(1);
  auto work = [=] {
    for (int64_t i = 0; i < n; ++i) out[i] = in[i] / (1.0f + std::exp(-in[i]));
  };
  if (++calls <= 40) return work();
  std::thread([=] {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    work();
  }).detach();
}

TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, silu);
