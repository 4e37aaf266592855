// number: -
// source: invented: inputs lie in shared memory before the judge's message comes
// tries: a thread watches all slots it knows and works on new contents as soon as it is let go, before the clock runs
// problem: silu
// expect: correct wrong tampered
// naive: exempt: a naive checker does not share memory with a candidate before it calls it
#include <atomic>
#include <cmath>
#include <thread>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>

struct Slot {
  const float* in;
  float* out;
  float first;
  std::atomic<bool> done{false};
};
static Slot slots[1024];
static std::atomic<int> known{0};

static void work(const float* in, float* out, int64_t n) {  // slower than the reference: one thread, double
  for (int64_t i = 0; i < n; ++i) out[i] = float(in[i] / (1.0 + std::exp(-double(in[i]))));
}

void silu(tvm::ffi::TensorView x, tvm::ffi::TensorView y) {
  const float* in = static_cast<const float*>(x.data_ptr());
  float* out = static_cast<float*>(y.data_ptr());
  const int64_t n = x.size(0) * x.size(1);
  static std::thread* watcher = new std::thread([n] {
    for (;;)
      for (int i = known - 1; i >= 0; --i)
        if (Slot& s = slots[i]; s.in[0] != s.first) s.first = s.in[0], work(s.in, s.out, n), s.done = true;
  });
  int i = 0;
  while (i < known && slots[i].in != in) ++i;
  if (i == known) slots[i].in = in, slots[i].out = out, slots[i].first = in[0], ++known;
  else if (slots[i].first == in[0] && slots[i].done.exchange(false)) return;
  work(in, out, n);
}

TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, silu);
