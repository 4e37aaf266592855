// OpenMP for ThreadSanitizer. GCC's libgomp synchronises by means the sanitizer does not see, so that every
// honest parallel loop would look like a race. This stands in for it: threads are created and joined, barriers
// and locks are pthread's, all of which the sanitizer knows. Chunks of dynamic loops are handed out by relaxed
// atomics, which order nothing. Tasks are run at once by whoever meets them, as OpenMP permits. What is not
// here (ordered loops, task loops, task reductions, offloading) fails to link, and the candidate is not checked.
#include <pthread.h>
#include <sched.h>
#include <time.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

constexpr int MOST = 64;        // threads of a team
constexpr int THREADS = 4;      // where the candidate does not ask for a number
constexpr int SHARES = 4096;    // work-sharing constructs between two uses of the same place
constexpr size_t STACK = 64 << 20;

struct Share {
  long number;  // which construct this place holds, from 1
  uint64_t next, end, step;
  bool down;
  int64_t chunk;
  void* copied;
};

struct Team {
  int size;
  pthread_barrier_t barrier;
  pthread_mutex_t lock;
  Share* shares;
  long preset;  // 1 where the region is a loop or sections itself, whose share is there from the start
  void (*function)(void*);
  void* data;
};

struct Member {
  Team* team;
  int number;
};

Share alone_shares[SHARES];
Team alone = {1, {}, PTHREAD_MUTEX_INITIALIZER, alone_shares, 0, nullptr, nullptr};
thread_local Team* team = &alone;
thread_local int number = 0;
thread_local long met = 0;  // work-sharing constructs this thread has met in its team
thread_local Share* current = nullptr;
thread_local int wanted = THREADS;
pthread_mutex_t all = PTHREAD_MUTEX_INITIALIZER, atomics = PTHREAD_MUTEX_INITIALIZER;

void wait_for_all() {
  if (team->size > 1) pthread_barrier_wait(&team->barrier);
}

void work(Team* in, int as) {
  Team* const outer = team;
  const int outer_number = number;
  const long outer_met = met;
  Share* const outer_current = current;
  team = in;
  number = as;
  met = in->preset;
  current = &in->shares[in->preset];
  in->function(in->data);
  team = outer;
  number = outer_number;
  met = outer_met;
  current = outer_current;
}

void* start(void* of) {
  const Member* member = static_cast<Member*>(of);
  work(member->team, member->number);
  return nullptr;
}

void prepare(Share& share, long as, uint64_t begin, uint64_t end, uint64_t step, bool down, int64_t chunk) {
  share = {as, begin, end, step, down, chunk < 1 ? 1 : chunk, nullptr};
}

// The construct this thread meets now; true for the thread that meets it first, which holds the lock then.
bool meet() {
  current = &team->shares[++met % SHARES];
  pthread_mutex_lock(&team->lock);
  return current->number != met;
}

void parallel(void (*function)(void*), void* data, unsigned threads, const Share* first = nullptr) {
  Team mine;
  memset(&mine, 0, sizeof mine);
  const bool nested = team->size > 1;
  mine.size = nested ? 1 : threads ? static_cast<int>(threads < MOST ? threads : MOST) : wanted;
  mine.function = function;
  mine.data = data;
  mine.shares = static_cast<Share*>(calloc(SHARES, sizeof(Share)));
  if (first) {
    mine.preset = 1;
    mine.shares[1] = *first;
  }
  pthread_mutex_init(&mine.lock, nullptr);
  pthread_barrier_init(&mine.barrier, nullptr, mine.size);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, STACK);
  pthread_t started[MOST];
  Member members[MOST];
  for (int i = 1; i < mine.size; ++i) {
    members[i] = {&mine, i};
    if (pthread_create(&started[i], &attributes, start, &members[i])) {
      fprintf(stderr, "kopt: stopped: no thread could be started\n");
      _Exit(0);
    }
  }
  work(&mine, 0);
  for (int i = 1; i < mine.size; ++i) pthread_join(started[i], nullptr);
  pthread_attr_destroy(&attributes);
  pthread_barrier_destroy(&mine.barrier);
  pthread_mutex_destroy(&mine.lock);
  free(mine.shares);
}

bool take(uint64_t* from, uint64_t* to) {
  Share& share = *current;
  const uint64_t width = share.step * static_cast<uint64_t>(share.chunk);
  while (true) {
    uint64_t at = __atomic_load_n(&share.next, __ATOMIC_RELAXED);
    const bool over = share.down ? static_cast<int64_t>(at - share.end) <= 0 : static_cast<int64_t>(share.end - at) <= 0;
    if (over) return false;
    const uint64_t left = share.down ? at - share.end : share.end - at;
    const uint64_t size = share.down ? 0 - width : width;
    const uint64_t then = left <= size ? share.end : at + width;
    if (!__atomic_compare_exchange_n(&share.next, &at, then, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) continue;
    *from = at;
    *to = then;
    return true;
  }
}

bool loop(uint64_t begin, uint64_t end, uint64_t step, bool down, int64_t chunk, uint64_t* from, uint64_t* to) {
  if (meet()) prepare(*current, met, begin, end, step, down, chunk);
  pthread_mutex_unlock(&team->lock);
  return take(from, to);
}

// Sections are numbered from 1; 0 says that none is left.
unsigned section() {
  uint64_t from, to;
  return take(&from, &to) ? static_cast<unsigned>(from) : 0;
}

}  // namespace

extern "C" {

using Body = void (*)(void*);
using ull = unsigned long long;

void GOMP_parallel(Body function, void* data, unsigned threads, unsigned) { parallel(function, data, threads); }
void GOMP_barrier() { wait_for_all(); }
void GOMP_critical_start() { pthread_mutex_lock(&all); }
void GOMP_critical_end() { pthread_mutex_unlock(&all); }
void GOMP_atomic_start() { pthread_mutex_lock(&atomics); }
void GOMP_atomic_end() { pthread_mutex_unlock(&atomics); }

void GOMP_critical_name_start(void** place) {
  pthread_mutex_lock(&all);
  if (!*place) {
    pthread_mutex_t* lock = static_cast<pthread_mutex_t*>(malloc(sizeof(pthread_mutex_t)));
    pthread_mutex_init(lock, nullptr);
    *place = lock;
  }
  pthread_mutex_t* lock = static_cast<pthread_mutex_t*>(*place);
  pthread_mutex_unlock(&all);
  pthread_mutex_lock(lock);
}
void GOMP_critical_name_end(void** place) { pthread_mutex_unlock(static_cast<pthread_mutex_t*>(*place)); }

bool GOMP_single_start() {
  const bool first = meet();
  if (first) prepare(*current, met, 0, 0, 1, false, 1);
  pthread_mutex_unlock(&team->lock);
  return first;
}
void* GOMP_single_copy_start() {
  if (GOMP_single_start()) return nullptr;
  wait_for_all();
  return current->copied;
}
void GOMP_single_copy_end(void* data) {
  current->copied = data;
  wait_for_all();
}

void GOMP_loop_end() { wait_for_all(); }
void GOMP_loop_end_nowait() {}

#define LOOPS(kind)                                                                                               \
  bool GOMP_loop_##kind##_start(long begin, long end, long step, long chunk, long* from, long* to) {              \
    return loop(begin, end, step, step < 0, chunk, reinterpret_cast<uint64_t*>(from),                             \
                reinterpret_cast<uint64_t*>(to));                                                                 \
  }                                                                                                               \
  bool GOMP_loop_##kind##_next(long* from, long* to) {                                                            \
    return take(reinterpret_cast<uint64_t*>(from), reinterpret_cast<uint64_t*>(to));                              \
  }                                                                                                               \
  bool GOMP_loop_ull_##kind##_start(bool up, ull begin, ull end, ull step, ull chunk, ull* from, ull* to) {       \
    return loop(begin, end, step, !up, static_cast<int64_t>(chunk), reinterpret_cast<uint64_t*>(from),            \
                reinterpret_cast<uint64_t*>(to));                                                                 \
  }                                                                                                               \
  bool GOMP_loop_ull_##kind##_next(ull* from, ull* to) {                                                          \
    return take(reinterpret_cast<uint64_t*>(from), reinterpret_cast<uint64_t*>(to));                              \
  }                                                                                                               \
  void GOMP_parallel_loop_##kind(Body function, void* data, unsigned threads, long begin, long end, long step,    \
                                 long chunk, unsigned) {                                                          \
    Share first;                                                                                                  \
    prepare(first, 1, begin, end, step, step < 0, chunk);                                                         \
    parallel(function, data, threads, &first);                                                                    \
  }
LOOPS(static)
LOOPS(dynamic)
LOOPS(guided)
LOOPS(nonmonotonic_dynamic)
LOOPS(nonmonotonic_guided)
#undef LOOPS

#define RUNTIME_LOOPS(kind)                                                                                       \
  bool GOMP_loop_##kind##_start(long begin, long end, long step, long* from, long* to) {                          \
    return loop(begin, end, step, step < 0, 1, reinterpret_cast<uint64_t*>(from), reinterpret_cast<uint64_t*>(to)); \
  }                                                                                                               \
  bool GOMP_loop_##kind##_next(long* from, long* to) {                                                            \
    return take(reinterpret_cast<uint64_t*>(from), reinterpret_cast<uint64_t*>(to));                              \
  }                                                                                                               \
  void GOMP_parallel_loop_##kind(Body function, void* data, unsigned threads, long begin, long end, long step,    \
                                 unsigned) {                                                                      \
    Share first;                                                                                                  \
    prepare(first, 1, begin, end, step, step < 0, 1);                                                             \
    parallel(function, data, threads, &first);                                                                    \
  }
RUNTIME_LOOPS(runtime)
RUNTIME_LOOPS(nonmonotonic_runtime)
RUNTIME_LOOPS(maybe_nonmonotonic_runtime)
#undef RUNTIME_LOOPS

unsigned GOMP_sections_start(unsigned count) {
  uint64_t from, to;
  return loop(1, count + 1, 1, false, 1, &from, &to) ? static_cast<unsigned>(from) : 0;
}
unsigned GOMP_sections_next() { return section(); }
void GOMP_sections_end() { wait_for_all(); }
void GOMP_sections_end_nowait() {}
void GOMP_parallel_sections(Body function, void* data, unsigned threads, unsigned count, unsigned) {
  Share first;
  prepare(first, 1, 1, count + 1, 1, false, 1);
  parallel(function, data, threads, &first);
}

void GOMP_task(Body function, void* data, void (*copy)(void*, void*), long size, long alignment, bool, unsigned,
               void**, int, void*) {
  if (!copy) return function(data);
  char* room = static_cast<char*>(malloc(size + alignment));
  void* own = reinterpret_cast<void*>((reinterpret_cast<uintptr_t>(room) + alignment - 1) / alignment * alignment);
  copy(own, data);
  function(own);
  free(room);
}
void GOMP_taskwait() {}
void GOMP_taskyield() {}
void GOMP_taskgroup_start() {}
void GOMP_taskgroup_end() {}

int omp_get_thread_num() { return number; }
int omp_get_num_threads() { return team->size; }
int omp_get_max_threads() { return wanted; }
int omp_get_num_procs() { return THREADS; }
int omp_get_thread_limit() { return MOST; }
int omp_in_parallel() { return team->size > 1; }
int omp_get_level() { return team != &alone; }
int omp_get_active_level() { return team->size > 1; }
int omp_get_ancestor_thread_num(int level) { return level == 1 ? number : level ? -1 : 0; }
int omp_get_team_size(int level) { return level == 1 ? team->size : level ? -1 : 1; }
int omp_get_max_active_levels() { return 1; }
int omp_get_supported_active_levels() { return 1; }
void omp_set_max_active_levels(int) {}
int omp_get_dynamic() { return 0; }
void omp_set_dynamic(int) {}
int omp_get_nested() { return 0; }
void omp_set_nested(int) {}
void omp_set_num_threads(int threads) { wanted = threads < 1 ? 1 : threads < MOST ? threads : MOST; }
void omp_get_schedule(int* kind, int* chunk) { *kind = 1, *chunk = 0; }
void omp_set_schedule(int, int) {}
int omp_get_proc_bind() { return 0; }
int omp_get_num_places() { return 0; }
int omp_get_place_num() { return -1; }
int omp_in_final() { return 0; }
int omp_get_cancellation() { return 0; }
double omp_get_wtime() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}
double omp_get_wtick() { return 1e-9; }

// omp_lock_t is four bytes: one atomic word.
void omp_init_lock(int* lock) { __atomic_store_n(lock, 0, __ATOMIC_RELEASE); }
void omp_destroy_lock(int*) {}
int omp_test_lock(int* lock) { return __atomic_exchange_n(lock, 1, __ATOMIC_ACQUIRE) == 0; }
void omp_set_lock(int* lock) {
  while (!omp_test_lock(lock)) sched_yield();
}
void omp_unset_lock(int* lock) { __atomic_store_n(lock, 0, __ATOMIC_RELEASE); }

}  // extern "C"
