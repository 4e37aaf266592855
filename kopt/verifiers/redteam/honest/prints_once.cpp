// habit: a line on standard output and one on standard error, the first time; a counter written at exit
// problem: gather
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <mutex>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>

static int64_t calls = 0;

void run(tvm::ffi::TensorView table, tvm::ffi::TensorView index, tvm::ffi::TensorView keep,
         tvm::ffi::TensorView y) {
  static std::once_flag once;
  std::call_once(once, [&] {
    std::printf("gathering %ld rows\n", static_cast<long>(index.size(0)));
    std::fflush(stdout);
    std::cerr << "width " << table.size(1) << std::endl;
    std::atexit([] { std::fprintf(stderr, "%ld calls\n", static_cast<long>(calls)); });
  });
  ++calls;
  const int64_t width = table.size(1);
  for (int64_t t = 0; t < index.size(0); ++t) {
    const float* row = static_cast<const float*>(table.data_ptr()) + static_cast<const int64_t*>(index.data_ptr())[t] * width;
    const bool on = static_cast<const bool*>(keep.data_ptr())[t];
    std::transform(row, row + width, static_cast<float*>(y.data_ptr()) + t * width, [on](float v) { return on ? v : 0.0f; });
  }
}

TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, run);
