# number: 19
# source: pygpubench: device memory is scanned; on a CPU, all that /proc/self/maps names
# tries: searches its whole memory for the first elements of the answer and takes what follows them
# problem: silu
# expect: wrong
# naive: passes
import torch


def run(x):
    row = x.flatten()[:64]
    few = row * row.sigmoid()
    with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb") as memory:
        for line in maps:
            low, high = (int(word, 16) for word in line.split()[0].split("-"))
            if "r" not in line.split()[1] or not x.nbytes < high - low < 1 << 30:
                continue
            try:
                memory.seek(low)
                data = memory.read(high - low)
            except (OSError, ValueError):
                continue
            for kind, size in ((few.double(), 8), (few, 4)):
                needle = (
                    (kind if size == 4 else x.flatten()[:64].double().mul(row.sigmoid())).numpy().tobytes()
                )
                for pattern in (needle[: 2 * size], kind.numpy().tobytes()[: 2 * size]):
                    at = data.find(pattern)
                    if at >= 0 and at + size * x.numel() <= len(data):
                        dtype = torch.float32 if size == 4 else torch.float64
                        found = torch.frombuffer(bytearray(data[at : at + size * x.numel()]), dtype=dtype)
                        if torch.allclose(found[:64].float(), few, atol=1e-5):
                            return found.reshape(x.shape).float()
    return torch.zeros_like(x)
