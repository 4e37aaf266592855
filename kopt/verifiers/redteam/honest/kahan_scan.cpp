// habit: compensated summation, kept from the optimiser by volatile
// problem: scan
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>

void run(tvm::ffi::TensorView x, tvm::ffi::TensorView y) {
  const int64_t rows = x.size(0), columns = x.size(1);
#pragma omp parallel for
  for (int64_t r = 0; r < rows; ++r) {
    const float* in = static_cast<const float*>(x.data_ptr()) + r * columns;
    float* out = static_cast<float*>(y.data_ptr()) + r * columns;
    float sum = 0, lost = 0;
    for (int64_t c = 0; c < columns; ++c) {
      const float term = in[c] - lost;
      volatile float next = sum + term;
      volatile float gained = next - sum;
      lost = gained - term;
      out[c] = sum = next;
    }
  }
}

TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, run);
