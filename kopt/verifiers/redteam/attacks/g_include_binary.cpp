// number: 51 45
// source: online judges; .incbin takes any file the assembler can open
// tries: has the assembler put a file of the judge into the kernel, which prints it
// problem: silu
// expect: build_failed
// naive: exempt: it is after a file, not after a verdict
#include <stdexcept>
#include <string>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>

asm(".section .rodata\n.global stolen\nstolen: .incbin \"@SECRET_FILE@\"\n.byte 0\n.text");
extern "C" const char stolen[];

void attack(tvm::ffi::TensorView x, tvm::ffi::TensorView y) { throw std::runtime_error(stolen); }
TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, attack);
