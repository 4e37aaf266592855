// habit: a table of all 65536 sigmoids, computed when the library is loaded
// problem: gate
#include <bit>
#include <cmath>
#include <cstdint>
#include <vector>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>

static float wide(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

static uint16_t narrow(float value) {  // to nearest, ties to even
  uint32_t bits = std::bit_cast<uint32_t>(value);
  if (value != value) return static_cast<uint16_t>((bits >> 16) | 0x40);
  return static_cast<uint16_t>((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
}

static const std::vector<float> table = [] {
  std::vector<float> made(65536);
  for (uint32_t k = 0; k < 65536; ++k) {
    const float v = wide(static_cast<uint16_t>(k));
    made[k] = wide(narrow(v / (1.0f + std::exp(-v))));
  }
  return made;
}();

void run(tvm::ffi::TensorView a, tvm::ffi::TensorView b, tvm::ffi::TensorView y) {
  const auto* left = static_cast<const uint16_t*>(a.data_ptr());
  const auto* right = static_cast<const uint16_t*>(b.data_ptr());
  auto* out = static_cast<uint16_t*>(y.data_ptr());
#pragma omp parallel for
  for (int64_t i = 0; i < a.numel(); ++i) out[i] = narrow(table[left[i]] * wide(right[i]));
}

TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, run);
