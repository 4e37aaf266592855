// number: 48
// source: threat catalogue G; SOL-ExecBench counts threads
// tries: starts threads without end, none of which ever ends
// problem: silu
// expect: crashed timed_out tampered wrong
// naive: exempt: it is after the machine, not after a verdict
#include <pthread.h>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>
#include <unistd.h>

static void* wait(void*) {
  for (;;) pause();
}

void attack(tvm::ffi::TensorView x, tvm::ffi::TensorView y) {
  pthread_t thread;
  for (long failed = 0; failed < 1000;) failed += pthread_create(&thread, nullptr, wait, nullptr) != 0;
}
TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, attack);
