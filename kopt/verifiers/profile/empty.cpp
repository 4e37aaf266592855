// What a call costs when nothing is done in it: arguments handed over and, with PARALLEL, threads woken and joined.
#include <tvm/ffi/c_api.h>

extern "C" TVM_FFI_DLL_EXPORT int __tvm_ffi_run(void*, const TVMFFIAny*, int32_t, TVMFFIAny*) {
#ifdef PARALLEL
#pragma omp parallel
  { asm volatile(""); }
#endif
  return 0;
}
