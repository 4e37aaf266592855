// habit: a row of scratch on the stack (alloca)
// problem: softmax
#include <alloca.h>
#include <algorithm>
#include <cmath>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>

void run(tvm::ffi::TensorView x, tvm::ffi::TensorView y) {
  const int64_t rows = x.size(0), columns = x.size(1);
  auto* row = static_cast<float*>(alloca(static_cast<std::size_t>(columns) * sizeof(float)));
  for (int64_t r = 0; r < rows; ++r) {
    const auto* in = static_cast<const _Float16*>(x.data_ptr()) + r * columns;
    auto* out = static_cast<_Float16*>(y.data_ptr()) + r * columns;
    float largest = static_cast<float>(in[0]), sum = 0;
    for (int64_t c = 1; c < columns; ++c) largest = std::max(largest, static_cast<float>(in[c]));
    for (int64_t c = 0; c < columns; ++c) sum += row[c] = std::exp(static_cast<float>(in[c]) - largest);
    for (int64_t c = 0; c < columns; ++c) out[c] = static_cast<_Float16>(row[c] / sum);
  }
}

TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, run);
