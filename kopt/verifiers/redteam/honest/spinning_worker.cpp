// habit: a worker that spins on an atomic and yields, started when the library is loaded
// problem: silu
#include <atomic>
#include <cmath>
#include <thread>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>

struct Task {
  const float* in;
  float* out;
  int64_t first, last;
  void run() const {
    for (int64_t i = first; i < last; ++i) out[i] = in[i] / (1.0f + std::exp(-in[i]));
  }
};

struct Worker {
  std::atomic<const Task*> task{nullptr};
  std::atomic<bool> stop{false};
  std::thread thread{[this] {
    while (!stop.load(std::memory_order_relaxed)) {
      if (const Task* mine = task.load(std::memory_order_acquire)) {
        mine->run();
        task.store(nullptr, std::memory_order_release);
      } else {
        std::this_thread::yield();
      }
    }
  }};
  ~Worker() {
    stop = true;
    thread.join();
  }
};

static Worker worker;

void run(tvm::ffi::TensorView x, tvm::ffi::TensorView y) {
  const float* in = static_cast<const float*>(x.data_ptr());
  float* out = static_cast<float*>(y.data_ptr());
  const int64_t n = x.numel();
  const Task lower{in, out, 0, n / 2}, upper{in, out, n / 2, n};
  worker.task.store(&lower, std::memory_order_release);
  upper.run();
  while (worker.task.load(std::memory_order_acquire)) std::this_thread::yield();
}

TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, run);
