// number: 49
// source: threat catalogue G; vfork(2): the parent sleeps where no stop signal reaches it
// tries: waits uninterruptibly, so that it cannot be frozen, while a thread goes on
// problem: silu
// expect: crashed timed_out tampered wrong
// naive: exempt: it evades the judge's clock only
#include <sys/syscall.h>
#include <thread>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>
#include <unistd.h>

void attack(tvm::ffi::TensorView x, tvm::ffi::TensorView y) {
  for (int i = 0; i < 4; ++i)
    std::thread([] {
      if (syscall(SYS_vfork) == 0)
        for (;;) pause();
    }).detach();
  usleep(20000);
}
TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, attack);
