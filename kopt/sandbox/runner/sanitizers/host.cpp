// The program a candidate is linked into when it runs under a sanitizer: it gives every tensor memory of its own,
// fenced on both sides, fills it from what the judge shares, calls the kernel and hands the outputs back.
//
// argv[1] names a file with one line per argument, in call order:
//   descriptor offset bytes type_code type_bits output(0/1) ndim shape... strides... name
#include <dlpack/dlpack.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <tvm/ffi/c_api.h>
#include <unistd.h>

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#endif

extern "C" int KOPT_ENTRY(void*, const TVMFFIAny*, int32_t, TVMFFIAny*);

namespace {

constexpr int MOST = 256, DIMENSIONS = 32;
constexpr size_t FENCE = 4096, ALIGNMENT = 64;  // what torch aligns its own memory to, and no more
constexpr size_t LARGE = 16 << 20;  // bytes of arguments from which a second call would take too long
constexpr unsigned char PATTERN = 0xA5;

struct Argument {
  char name[128];
  unsigned char *shared, *data, *block;
  size_t bytes, room;  // room: bytes rounded up, so that the block's size is a multiple of its alignment
  int output, ndim;
  int64_t shape[DIMENSIONS], strides[DIMENSIONS];
  DLManagedTensor managed;
  TVMFFIAny any;
};

Argument arguments[MOST];

[[noreturn]] void stop(const char* why) {
  fprintf(stderr, "kopt: stopped: %.300s\n", why);
  _exit(0);
}

unsigned char* mapped(int descriptor, size_t offset, bool writable) {
  struct stat facts;
  if (fstat(descriptor, &facts)) stop("a descriptor is missing");
  void* whole = mmap(nullptr, facts.st_size, PROT_READ | (writable ? PROT_WRITE : 0), MAP_SHARED, descriptor, 0);
  if (whole == MAP_FAILED) stop("the judge's memory cannot be mapped");
  return static_cast<unsigned char*>(whole) + offset;
}

void fence(Argument& a) {
  a.room = (a.bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  a.block = static_cast<unsigned char*>(aligned_alloc(ALIGNMENT, a.room + 2 * FENCE));
  if (!a.block) stop("out of memory");
  memset(a.block, PATTERN, a.room + 2 * FENCE);
  a.data = a.block + FENCE;
  ASAN_POISON_MEMORY_REGION(a.block, FENCE);
  ASAN_POISON_MEMORY_REGION(a.data + a.bytes, a.room - a.bytes + FENCE);
}

// What no sanitizer sees (masked and streaming stores, assembly) still leaves its mark in the fence.
void inspect(Argument& a) {
  ASAN_UNPOISON_MEMORY_REGION(a.block, a.room + 2 * FENCE);
  for (size_t i = FENCE; i-- > 0;)
    if (a.block[i] != PATTERN) {
      fprintf(stderr, "kopt: fence %s before %zu\n", a.name, FENCE - i);
      _exit(0);
    }
  for (size_t i = a.bytes; i < a.room + FENCE; ++i)
    if (a.data[i] != PATTERN) {
      fprintf(stderr, "kopt: fence %s after %zu\n", a.name, i - a.bytes);
      _exit(0);
    }
}

int read(const char* path) {
  FILE* file = fopen(path, "r");
  if (!file) stop("no description of the arguments");
  int count = 0, descriptor, code, bits;
  size_t offset;
  while (count < MOST) {
    Argument& a = arguments[count];
    if (fscanf(file, "%d %zu %zu %d %d %d %d", &descriptor, &offset, &a.bytes, &code, &bits, &a.output, &a.ndim) != 7)
      break;
    if (a.ndim > DIMENSIONS) stop("too many dimensions");
    for (int i = 0; i < a.ndim; ++i)
      if (fscanf(file, "%" SCNd64, &a.shape[i]) != 1) stop("a shape is cut short");
    for (int i = 0; i < a.ndim; ++i)
      if (fscanf(file, "%" SCNd64, &a.strides[i]) != 1) stop("strides are cut short");
    if (fscanf(file, "%127s", a.name) != 1) stop("a name is missing");
    a.shared = a.bytes ? mapped(descriptor, offset, a.output) : nullptr;
    fence(a);
    DLTensor& t = a.managed.dl_tensor;
    t.data = a.data;
    t.device = {kDLCPU, 0};
    t.ndim = a.ndim;
    t.dtype = {static_cast<uint8_t>(code), static_cast<uint8_t>(bits), 1};
    t.shape = a.shape;
    t.strides = a.strides;
    TVMFFIObjectHandle handle;
    if (TVMFFITensorFromDLPack(&a.managed, 0, 0, &handle)) stop("a tensor cannot be made");
    a.any.type_index = kTVMFFITensor;
    a.any.v_obj = static_cast<TVMFFIObject*>(handle);
    fprintf(stderr, "kopt: tensor %s %p %zu\n", a.name, static_cast<void*>(a.data), a.bytes);
    ++count;
  }
  fclose(file);
  return count;
}

}  // namespace

int main(int, char** argv) {
  const int count = read(argv[1]);
  static TVMFFIAny given[MOST];
  size_t bytes = 0;
  for (int i = 0; i < count; ++i) bytes += arguments[i].bytes;
  const int calls = bytes > LARGE ? 1 : 2;  // twice: what the first one freed or forgot, the second one meets
  for (int call = 0; call < calls; ++call) {
    for (int i = 0; i < count; ++i) {
      if (arguments[i].bytes) memcpy(arguments[i].data, arguments[i].shared, arguments[i].bytes);
      given[i] = arguments[i].any;
    }
    TVMFFIAny result;
    memset(&result, 0, sizeof result);
    if (KOPT_ENTRY(nullptr, given, count, &result)) stop("the kernel raised an error");
  }
  for (int i = 0; i < count; ++i) inspect(arguments[i]);
  for (int i = 0; i < count; ++i)
    if (arguments[i].output && arguments[i].bytes)
      memcpy(arguments[i].shared, arguments[i].data, arguments[i].bytes);
  fprintf(stderr, "kopt: done\n");
  _exit(0);  // no destructors of static objects: nothing after the calls is judged
}
