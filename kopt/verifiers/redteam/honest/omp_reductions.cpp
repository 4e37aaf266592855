// habit: OpenMP reductions, a declared one among them
// problem: stats
#include <limits>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>

struct Best {
  float value = -std::numeric_limits<float>::infinity();
  int64_t place = std::numeric_limits<int64_t>::max();
};

static Best better(Best a, Best b) {
  return a.value > b.value || (a.value == b.value && a.place < b.place) ? a : b;
}

#pragma omp declare reduction(best : Best : omp_out = better(omp_out, omp_in)) initializer(omp_priv = Best{})

void run(tvm::ffi::TensorView x, tvm::ffi::TensorView mean, tvm::ffi::TensorView largest,
         tvm::ffi::TensorView place) {
  const int64_t rows = x.size(0), columns = x.size(1);
  for (int64_t r = 0; r < rows; ++r) {
    const float* row = static_cast<const float*>(x.data_ptr()) + r * columns;
    double sum = 0;
    Best found;
#pragma omp parallel for reduction(+ : sum) reduction(best : found)
    for (int64_t c = 0; c < columns; ++c) {
      sum += row[c];
      found = better(found, Best{row[c], c});
    }
    static_cast<float*>(mean.data_ptr())[r] = static_cast<float>(sum / static_cast<double>(columns));
    static_cast<float*>(largest.data_ptr())[r] = found.value;
    static_cast<int64_t*>(place.data_ptr())[r] = found.place;
  }
}

TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, run);
