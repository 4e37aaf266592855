// habit: a workspace from mmap with huge pages asked for, kept between calls, never written back to the caller
// problem: linear
#include <algorithm>
#include <new>
#include <sys/mman.h>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>

static constexpr std::size_t kBytes = 4 << 20;

static float* workspace() {
  static float* const memory = [] {
    void* at = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) throw std::bad_alloc();
    madvise(at, kBytes, MADV_HUGEPAGE);
    return static_cast<float*>(at);
  }();
  return memory;
}

void run(tvm::ffi::TensorView x, tvm::ffi::TensorView weight, tvm::ffi::TensorView bias, tvm::ffi::TensorView y) {
  const int64_t rows = x.size(0), depth = x.size(1), width = weight.size(0);
  const float* in = static_cast<const float*>(x.data_ptr());
  const float* w = static_cast<const float*>(weight.data_ptr());
  const float* b = static_cast<const float*>(bias.data_ptr());
  float* out = static_cast<float*>(y.data_ptr());
  float* packed = workspace();  // weight transposed, anew in every call
  for (int64_t c = 0; c < width; ++c)
    for (int64_t k = 0; k < depth; ++k) packed[k * width + c] = w[c * depth + k];
#pragma omp parallel for
  for (int64_t r = 0; r < rows; ++r) {
    float* row = out + r * width;
    std::fill_n(row, width, 0.0f);
    for (int64_t k = 0; k < depth; ++k)
      for (int64_t c = 0; c < width; ++c) row[c] += in[r * depth + k] * packed[k * width + c];
    for (int64_t c = 0; c < width; ++c) row[c] = std::max(0.0f, row[c] + b[c]);
  }
}

TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, run);
