// number: 51 45
// source: online judges; compilers quote the line they cannot read
// tries: includes a file of the judge, so that the compiler's error shows its content
// problem: silu
// expect: build_failed
// naive: exempt: it is after a file, not after a verdict
#include "@SECRET_FILE@"
#include <tvm/ffi/function.h>
TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, attack);
