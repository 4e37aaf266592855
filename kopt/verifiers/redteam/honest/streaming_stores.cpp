// habit: non-temporal stores with a fence at the end
// problem: silu
#include <cmath>
#include <cstdint>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

void run(tvm::ffi::TensorView x, tvm::ffi::TensorView y) {
  const float* in = static_cast<const float*>(x.data_ptr());
  float* out = static_cast<float*>(y.data_ptr());
  const int64_t n = x.numel();
#pragma omp parallel
  {
#pragma omp for schedule(static)
    for (int64_t i = 0; i < n / 16 * 16; i += 16) {
      alignas(16) float part[16];
      for (int k = 0; k < 16; ++k) part[k] = in[i + k] / (1.0f + std::exp(-in[i + k]));
#ifdef __SSE2__
      if (reinterpret_cast<std::uintptr_t>(out) % 16 == 0) {
        for (int k = 0; k < 16; k += 4) _mm_stream_ps(out + i + k, _mm_load_ps(part + k));
        continue;
      }
#endif
      for (int k = 0; k < 16; ++k) out[i + k] = part[k];
    }
#ifdef __SSE2__
    _mm_sfence();
#endif
  }
  for (int64_t i = n / 16 * 16; i < n; ++i) out[i] = in[i] / (1.0f + std::exp(-in[i]));
}

TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, run);
