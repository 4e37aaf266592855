// habit: two translation units and a header in a folder of its own
// problem: stats
#include "rows/rows.h"
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>

void run(tvm::ffi::TensorView x, tvm::ffi::TensorView mean, tvm::ffi::TensorView largest,
         tvm::ffi::TensorView place) {
  const int64_t rows = x.size(0), columns = x.size(1);
#pragma omp parallel for
  for (int64_t r = 0; r < rows; ++r) {
    const Row<float> row{static_cast<const float*>(x.data_ptr()) + r * columns, columns};
    static_cast<float*>(mean.data_ptr())[r] = static_cast<float>(mean_of(row));
    static_cast<int64_t*>(place.data_ptr())[r] = row.first_largest();
    static_cast<float*>(largest.data_ptr())[r] = row.data[row.first_largest()];
  }
}

TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, run);
