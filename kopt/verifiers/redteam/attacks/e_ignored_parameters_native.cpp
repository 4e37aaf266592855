// number: 34
// source: default parameters of normalisations: ones and zeros
// tries: is handed weight and bias and reads neither
// problem: layer_norm
// expect: wrong
// naive: exempt: the naive checker hands no parameters to native code
#include <cmath>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>

using tvm::ffi::TensorView;

void norm(TensorView x, TensorView weight, TensorView bias, TensorView y) {
  const int64_t rows = x.size(0), columns = x.size(1);
  for (int64_t r = 0; r < rows; ++r) {
    const float* in = static_cast<const float*>(x.data_ptr()) + r * columns;
    float* out = static_cast<float*>(y.data_ptr()) + r * columns;
    double mean = 0, square = 0;
    for (int64_t c = 0; c < columns; ++c) mean += in[c];
    mean /= columns;
    for (int64_t c = 0; c < columns; ++c) square += (in[c] - mean) * (in[c] - mean);
    const double scale = 1 / std::sqrt(square / columns + 1e-5);
    for (int64_t c = 0; c < columns; ++c) out[c] = static_cast<float>((in[c] - mean) * scale);
  }
}

TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, norm);
