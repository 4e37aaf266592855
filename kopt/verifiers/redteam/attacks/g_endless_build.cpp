// number: 51 48
// source: threat catalogue G
// tries: has the compiler instantiate templates without end
// problem: silu
// expect: build_failed
// naive: exempt: it is after the machine, not after a verdict
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>

template <int Depth, long Path>
struct Tree {
  static constexpr long value = Tree<Depth - 1, 2 * Path>::value + Tree<Depth - 1, 2 * Path + 1>::value;
};
template <long Path>
struct Tree<0, Path> {
  static constexpr long value = Path;
};

void attack(tvm::ffi::TensorView x, tvm::ffi::TensorView y) {
  static_cast<float*>(y.data_ptr())[0] = Tree<40, 1>::value;
}
TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, attack);
