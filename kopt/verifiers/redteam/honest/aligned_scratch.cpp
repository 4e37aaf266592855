// habit: aligned memory taken and given back in every call
// problem: scan
#include <cstdlib>
#include <memory>
#include <new>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>

void run(tvm::ffi::TensorView x, tvm::ffi::TensorView y) {
  const int64_t rows = x.size(0), columns = x.size(1);
  const std::size_t bytes = (static_cast<std::size_t>(columns) * sizeof(double) + 63) / 64 * 64;
  std::unique_ptr<double, decltype(&std::free)> scratch(static_cast<double*>(std::aligned_alloc(64, bytes)), std::free);
  if (!scratch) throw std::bad_alloc();
  for (int64_t r = 0; r < rows; ++r) {
    const float* in = static_cast<const float*>(x.data_ptr()) + r * columns;
    float* out = static_cast<float*>(y.data_ptr()) + r * columns;
    double sum = 0;
    for (int64_t c = 0; c < columns; ++c) scratch.get()[c] = sum += in[c];
    for (int64_t c = 0; c < columns; ++c) out[c] = static_cast<float>(scratch.get()[c]);
  }
}

TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, run);
