// habit: scratch memory in a static local, kept between calls and grown when needed
// problem: norm
#include <cmath>
#include <vector>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>

void run(tvm::ffi::TensorView x, tvm::ffi::TensorView weight, tvm::ffi::TensorView bias,
         tvm::ffi::TensorView offset, tvm::ffi::TensorView y) {
  static std::vector<double> means, scales;
  const float* in = static_cast<const float*>(x.data_ptr());
  const float* w = static_cast<const float*>(weight.data_ptr());
  const float* b = static_cast<const float*>(bias.data_ptr());
  const float* o = static_cast<const float*>(offset.data_ptr());
  float* out = static_cast<float*>(y.data_ptr());
  const int64_t rows = x.size(0), n = x.size(1);
  means.resize(rows), scales.resize(rows);
#pragma omp parallel for
  for (int64_t r = 0; r < rows; ++r) {
    double mean = 0, square = 0;
    for (int64_t c = 0; c < n; ++c) mean += in[r * n + c];
    mean /= static_cast<double>(n);
    for (int64_t c = 0; c < n; ++c) square += (in[r * n + c] - mean) * (in[r * n + c] - mean);
    means[r] = mean, scales[r] = 1.0 / std::sqrt(square / static_cast<double>(n) + 1e-5);
  }
#pragma omp parallel for collapse(2)
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < n; ++c)
      out[r * n + c] = static_cast<float>((in[r * n + c] - means[r]) * scales[r] * w[c] + b[c]) + o[c];
}

TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, run);
