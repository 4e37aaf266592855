// habit: nested OpenMP regions with more threads than cores
// problem: norm
#include <cmath>
#include <omp.h>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>

void run(tvm::ffi::TensorView x, tvm::ffi::TensorView weight, tvm::ffi::TensorView bias,
         tvm::ffi::TensorView offset, tvm::ffi::TensorView y) {
  omp_set_max_active_levels(2);
  const float* in = static_cast<const float*>(x.data_ptr());
  const float* w = static_cast<const float*>(weight.data_ptr());
  const float* b = static_cast<const float*>(bias.data_ptr());
  const float* o = static_cast<const float*>(offset.data_ptr());
  float* out = static_cast<float*>(y.data_ptr());
  const int64_t rows = x.size(0), n = x.size(1), blocks = 4, each = (rows + blocks - 1) / blocks;
#pragma omp parallel for num_threads(2)
  for (int64_t block = 0; block < blocks; ++block) {
    const int64_t end = std::min(rows, (block + 1) * each);
#pragma omp parallel for num_threads(2)
    for (int64_t r = block * each; r < end; ++r) {
      const float* row = in + r * n;
      double mean = 0, square = 0;
      for (int64_t c = 0; c < n; ++c) mean += row[c];
      mean /= static_cast<double>(n);
      for (int64_t c = 0; c < n; ++c) square += (row[c] - mean) * (row[c] - mean);
      const double scale = 1.0 / std::sqrt(square / static_cast<double>(n) + 1e-5);
      for (int64_t c = 0; c < n; ++c)
        out[r * n + c] = static_cast<float>((row[c] - mean) * scale * w[c] + b[c]) + o[c];
    }
  }
}

TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, run);
