// habit: a pool of sleeping threads kept alive between calls, waited for in each call
// problem: silu
#include <cmath>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>

class Pool {
 public:
  Pool() {
    for (int k = 0; k < kThreads; ++k) threads_.emplace_back([this, k] { work(k); });
  }
  ~Pool() {
    {
      std::lock_guard lock(mutex_);
      stop_ = true;
      ++generation_;
    }
    go_.notify_all();
    for (auto& thread : threads_) thread.join();
  }
  void run(const float* in, float* out, int64_t n) {
    std::unique_lock lock(mutex_);
    in_ = in, out_ = out, n_ = n, left_ = kThreads;
    ++generation_;
    go_.notify_all();
    done_.wait(lock, [this] { return left_ == 0; });
  }

 private:
  static constexpr int kThreads = 2;
  void work(int k) {
    int64_t seen = 0;
    std::unique_lock lock(mutex_);
    while (true) {
      go_.wait(lock, [&] { return generation_ != seen; });
      seen = generation_;
      if (stop_) return;
      lock.unlock();
      for (int64_t i = n_ * k / kThreads; i < n_ * (k + 1) / kThreads; ++i)
        out_[i] = in_[i] / (1.0f + std::exp(-in_[i]));
      lock.lock();
      if (--left_ == 0) done_.notify_one();
    }
  }
  std::vector<std::thread> threads_;
  std::mutex mutex_;
  std::condition_variable go_, done_;
  const float* in_ = nullptr;
  float* out_ = nullptr;
  int64_t n_ = 0, generation_ = 0;
  int left_ = 0;
  bool stop_ = false;
};

void run(tvm::ffi::TensorView x, tvm::ffi::TensorView y) {
  static Pool pool;
  pool.run(static_cast<const float*>(x.data_ptr()), static_cast<float*>(y.data_ptr()), x.numel());
}

TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, run);
