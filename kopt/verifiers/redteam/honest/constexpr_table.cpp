// habit: templates and a table made by the compiler; the output's strides are asked for
// problem: strided
#include <array>
#include <cmath>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>

template <std::size_t N>
constexpr std::array<int64_t, N> multiples(int64_t of) {
  std::array<int64_t, N> made{};
  for (std::size_t k = 0; k < N; ++k) made[k] = static_cast<int64_t>(k) * of;
  return made;
}

constexpr auto kTwice = multiples<1024>(2);

void run(tvm::ffi::TensorView x, tvm::ffi::TensorView y) {
  const float* in = static_cast<const float*>(x.data_ptr());
  float* out = static_cast<float*>(y.data_ptr());
#pragma omp parallel for
  for (int64_t c = 0; c < y.size(1); ++c)
    for (int64_t r = 0; r < y.size(0); ++r)
      out[r * y.stride(0) + c * y.stride(1)] = std::tanh(in[r * x.stride(0) + kTwice[c] * x.stride(1)]);
}

TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, run);
