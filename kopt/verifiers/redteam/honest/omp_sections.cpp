// habit: OpenMP sections with a lock and a critical region
// problem: stats
#include <algorithm>
#include <atomic>
#include <omp.h>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>

void run(tvm::ffi::TensorView x, tvm::ffi::TensorView mean, tvm::ffi::TensorView largest,
         tvm::ffi::TensorView place) {
  const float* in = static_cast<const float*>(x.data_ptr());
  const int64_t rows = x.size(0), columns = x.size(1);
  static int64_t seen = 0;
#pragma omp parallel sections num_threads(2)
  {
#pragma omp section
    {
      for (int64_t r = 0; r < rows; ++r) {
        double sum = 0;
        for (int64_t c = 0; c < columns; ++c) sum += in[r * columns + c];
        static_cast<float*>(mean.data_ptr())[r] = static_cast<float>(sum / static_cast<double>(columns));
      }
#pragma omp critical
      ++seen;
    }
#pragma omp section
    {
      for (int64_t r = 0; r < rows; ++r) {
        const float* row = in + r * columns;
        const float* best = std::max_element(row, row + columns);
        static_cast<float*>(largest.data_ptr())[r] = *best;
        static_cast<int64_t*>(place.data_ptr())[r] = best - row;
      }
#pragma omp critical
      ++seen;
    }
  }
}

TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, run);
