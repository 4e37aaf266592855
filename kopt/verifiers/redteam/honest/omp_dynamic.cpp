// habit: dynamic schedule, one row at a time; a single thread for few rows
// problem: scan
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>

void run(tvm::ffi::TensorView x, tvm::ffi::TensorView y) {
  const int64_t rows = x.size(0), columns = x.size(1);
#pragma omp parallel for schedule(dynamic, 1) if (rows > 4)
  for (int64_t r = 0; r < rows; ++r) {
    const float* in = static_cast<const float*>(x.data_ptr()) + r * columns;
    float* out = static_cast<float*>(y.data_ptr()) + r * columns;
    double sum = 0;
    for (int64_t c = 0; c < columns; ++c) out[c] = static_cast<float>(sum += in[c]);
  }
}

TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, run);
