// What a call costs when nothing is done in it: arguments handed over and, with PARALLEL, threads woken and joined.
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>

void nothing(TENSORS) {
#ifdef PARALLEL
#pragma omp parallel
  { asm volatile(""); }
#endif
}
TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, nothing);
