# number: 48
# source: threat catalogue G
# tries: fills every place it can write to with bytes, then with empty files
# problem: silu
# expect: crashed timed_out
# naive: exempt: it is after the machine, not after a verdict
import os

written, files = 0, 0
for place in (os.environ["TMPDIR"], "/dev/shm", "/tmp", "/var/tmp", "."):
    try:
        with open(f"{place}/@TOKEN@", "wb", 0) as file:
            while written < 1 << 36:
                written += file.write(b"x" * (1 << 24))
    except OSError:
        pass
    try:
        while files < 1 << 20:
            open(f"{place}/@TOKEN@{files}", "w").close()
            files += 1
    except OSError:
        pass
raise RuntimeError(f"{written >> 20} MiB and {files} files")


def run(x):
    return x
