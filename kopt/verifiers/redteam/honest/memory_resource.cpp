// habit: a polymorphic memory resource over a static arena, thread-local besides
// problem: conv
#include <algorithm>
#include <array>
#include <cstddef>
#include <memory_resource>
#include <vector>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>

void run(tvm::ffi::TensorView x, tvm::ffi::TensorView weight, tvm::ffi::TensorView bias, tvm::ffi::TensorView y) {
  const int64_t batch = x.size(0), channels = x.size(1), high = x.size(2), wide = x.size(3), filters = weight.size(0);
  const float* w = static_cast<const float*>(weight.data_ptr());
  const float* b = static_cast<const float*>(bias.data_ptr());
#pragma omp parallel for collapse(2)
  for (int64_t n = 0; n < batch; ++n)
    for (int64_t f = 0; f < filters; ++f) {
      thread_local std::array<std::byte, 1 << 16> arena;
      std::pmr::monotonic_buffer_resource resource(arena.data(), arena.size());
      std::pmr::vector<float> padded(static_cast<std::size_t>((high + 2) * (wide + 2)), 0.0f, &resource);
      std::pmr::vector<float> sums(static_cast<std::size_t>(high * wide), 0.0f, &resource);
      for (int64_t c = 0; c < channels; ++c) {
        const float* plane = static_cast<const float*>(x.data_ptr()) + (n * channels + c) * high * wide;
        for (int64_t i = 0; i < high; ++i) std::copy_n(plane + i * wide, wide, &padded[(i + 1) * (wide + 2) + 1]);
        for (int64_t i = 0; i < high; ++i)
          for (int64_t k = 0; k < 9; ++k)
            for (int64_t j = 0; j < wide; ++j)
              sums[i * wide + j] += padded[(i + k / 3) * (wide + 2) + j + k % 3] * w[(f * channels + c) * 9 + k];
      }
      float* out = static_cast<float*>(y.data_ptr()) + (n * filters + f) * high * wide;
      for (int64_t k = 0; k < high * wide; ++k) out[k] = std::max(0.0f, sums[k] + b[f]);
    }
}

TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, run);
