// habit: exceptions thrown and caught inside a call
// problem: gather
#include <cstring>
#include <stdexcept>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>

struct Dropped : std::runtime_error {
  Dropped() : std::runtime_error("masked") {}
};

static const float* row_of(const float* table, int64_t index, bool keep, int64_t width) {
  if (!keep) throw Dropped();
  return table + index * width;
}

void run(tvm::ffi::TensorView table, tvm::ffi::TensorView index, tvm::ffi::TensorView keep,
         tvm::ffi::TensorView y) {
  const int64_t width = table.size(1);
  for (int64_t t = 0; t < index.size(0); ++t) {
    float* out = static_cast<float*>(y.data_ptr()) + t * width;
    try {
      const float* row = row_of(static_cast<const float*>(table.data_ptr()),
                                static_cast<const int64_t*>(index.data_ptr())[t],
                                static_cast<const bool*>(keep.data_ptr())[t], width);
      std::memcpy(out, row, static_cast<std::size_t>(width) * sizeof(float));
    } catch (const Dropped&) {
      std::memset(out, 0, static_cast<std::size_t>(width) * sizeof(float));
    }
  }
}

TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, run);
