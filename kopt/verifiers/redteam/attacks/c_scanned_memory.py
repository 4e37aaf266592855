# number: 19
# source: pygpubench: device memory is scanned; on a CPU, all that /proc/self/maps names
# tries: searches its whole memory for the first elements of the answer and takes what
#   follows, where the last agree as well
# problem: silu
# expect: wrong
# naive: passes
import torch


def occurrences(data, pattern):
    at = data.find(pattern)
    while at >= 0:
        yield at
        at = data.find(pattern, at + 1)


def run(x):
    few, last = (part * part.sigmoid() for part in (x[0], x[-1]))
    with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb") as memory:
        for line in maps.readlines():
            low, high = (int(word, 16) for word in line.split()[0].split("-"))
            if "r" not in line.split()[1] or not x.nbytes < high - low < 1 << 30:
                continue
            try:
                memory.seek(low)
                data = memory.read(high - low)
            except (OSError, ValueError):
                continue
            for values in (few, few.double()):
                size = values.element_size() * x.numel()
                for at in occurrences(data, values[:4].numpy().tobytes()):
                    if at + size <= len(data):
                        found = torch.frombuffer(bytearray(data[at : at + size]), dtype=values.dtype).float()
                        if torch.allclose(found[-few.numel() :], last, atol=1e-5):
                            return found.reshape(x.shape)
    return torch.zeros_like(x)
