# habit: several streams, joined before the call returns (on a CPU they do nothing; code for GPUs is full of them)
# problem: silu
import torch

STREAMS = [torch.cpu.Stream(), torch.cpu.Stream()]


def run(x):
    result = torch.empty_like(x)
    current = torch.cpu.current_stream()
    for stream, part, out in zip(STREAMS, x.chunk(2), result.chunk(2), strict=True):
        stream.wait_stream(current)
        with torch.cpu.stream(stream):
            torch.mul(part, torch.sigmoid(part), out=out)
    for stream in STREAMS:
        current.wait_stream(stream)
    return result
