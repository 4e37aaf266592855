// habit: float sums, one term after another
// problem: row_sum
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>

void run(tvm::ffi::TensorView x, tvm::ffi::TensorView y) {
  const int64_t rows = x.size(0), columns = x.size(1);
#pragma omp parallel for
  for (int64_t r = 0; r < rows; ++r) {
    const float* row = static_cast<const float*>(x.data_ptr()) + r * columns;
    float sum = 0;
    for (int64_t c = 0; c < columns; ++c) sum += row[c];
    static_cast<float*>(y.data_ptr())[r] = sum;
  }
}

TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, run);
