// habit: several versions of one function, chosen when the library is loaded (ifunc)
// problem: norm
#include <cmath>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
__attribute__((target_clones("avx512f", "avx2", "default")))
#endif
static void row_of(const float* in, const float* w, const float* b, const float* o, float* out, int64_t n) {
  double mean = 0, square = 0;
  for (int64_t c = 0; c < n; ++c) mean += in[c];
  mean /= static_cast<double>(n);
  for (int64_t c = 0; c < n; ++c) square += (in[c] - mean) * (in[c] - mean);
  const double scale = 1.0 / std::sqrt(square / static_cast<double>(n) + 1e-5);
  for (int64_t c = 0; c < n; ++c) out[c] = static_cast<float>((in[c] - mean) * scale * w[c] + b[c]) + o[c];
}

void run(tvm::ffi::TensorView x, tvm::ffi::TensorView weight, tvm::ffi::TensorView bias,
         tvm::ffi::TensorView offset, tvm::ffi::TensorView y) {
  const int64_t rows = x.size(0), n = x.size(1);
  for (int64_t r = 0; r < rows; ++r)
    row_of(static_cast<const float*>(x.data_ptr()) + r * n, static_cast<const float*>(weight.data_ptr()),
           static_cast<const float*>(bias.data_ptr()), static_cast<const float*>(offset.data_ptr()),
           static_cast<float*>(y.data_ptr()) + r * n, n);
}

TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, run);
