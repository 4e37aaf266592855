"""A deliberately naive checker, as published harnesses have been: what attacks must be able to fool.

Reference, candidate, check and clock share one process and one namespace; inputs come from a known seed; a few
trials with a wide tolerance in which NaN equals NaN decide; ``perf_counter`` around calls on one input tells the
time. Whatever prints ``PASSED`` has passed. ``python naive.py JOBS`` reads ``[[problem, candidate, ways], ...]``
as JSON and prints what was printed about each of them. ``ways`` are words of the attack's header:

``faster``           it is timed, too.
``candidate-first``  the candidate runs before the reference.
``evicts``           whose clock empties the caches before every call, as benchmarks of kernels do.
``rounds-up``        memory comes in blocks of 2 MB, as it does from torch's allocator on a GPU.
``one-core``         it has one core, as in many a container, so that candidates find one thread.
``quiet``            what is printed while it is checked is thrown away.
``fails-open``       the candidate has a process of its own, whose answer over a socket is unpickled, and what cannot be
                     heard, read or written down is not held against it; nor is an evaluator that ends.

It protects nothing from the candidate, so it only runs where somebody else does: ``test_naive.py`` puts it into
bubblewrap, with process numbers, files and network of its own, and says so in ``KOPT_NAIVE``.
"""

import contextlib
import ctypes
import json
import os
import pickle
import resource
import select
import socket
import struct
import sys
import time
from pathlib import Path

import torch

TOLERANCE = 1e-2
BLOCK = (2 << 20) // 4
nobodys = []
TRIALS, WARM_UP, MOST_TIMED, SECONDS = 5, 3, 100, 8.0


def build(path):
    """Compile a C++ candidate and load it here."""
    import tvm_ffi.cpp

    flags = ["-O2", "-std=c++20", "-fopenmp"]
    function = tvm_ffi.cpp.load(
        Path(path).stem, cpp_files=[path], extra_cflags=flags, extra_ldflags=["-fopenmp"]
    )
    return lambda x, out: function.run(torch.utils.dlpack.to_dlpack(x) and x, out)


def load(problem, path):
    """Reference and candidate, executed in one namespace."""
    space = {"__name__": "space"}
    exec(compile(Path(problem).read_text(), problem, "exec"), space)
    torch.manual_seed(42)
    init = space["get_init_inputs"]()
    model = space["Model"](*init)
    if path.endswith(".cpp"):
        return space, model, build(path), True
    exec(compile(Path(path).read_text(), path, "exec"), space)
    if "ModelNew" in space:
        torch.manual_seed(42)
        return space, model, space["ModelNew"](*init), False
    if "run_into" in space:
        return space, model, space["run_into"], True
    return space, model, space["run"], False


def destination(shape, blocks):
    """Memory for an answer."""
    if not blocks:
        return torch.empty(shape)
    return torch.empty((shape.numel() // BLOCK + 1) * BLOCK)[: shape.numel()].view(shape)


def call(candidate, into, inputs, shape, blocks):
    """The candidate's answer."""
    if not into:
        return candidate(*inputs)
    out = destination(shape, blocks)
    candidate(*inputs, out)
    return out


def check(space, model, candidate, into, ways):
    """Whether a few trials agree."""
    shape, first, blocks = None, "candidate-first" in ways, "rounds-up" in ways
    for trial in range(TRIALS):
        torch.manual_seed(trial)
        inputs = space["get_inputs"]()
        shape = shape or model(*inputs).shape
        if first:
            answer = call(candidate, into, inputs, shape, blocks)
        expected = model(*inputs).double()
        if not first:
            answer = call(candidate, into, inputs, shape, blocks)
        if not torch.allclose(answer.double(), expected, atol=TOLERANCE, rtol=TOLERANCE, equal_nan=True):
            return None
    return shape


def evict():
    """Fill the last-level cache with bytes nobody needs."""
    if not nobodys:
        nobodys.append(torch.ones(24 << 20))
    nobodys[0].sum()


def benchmark(function, inputs, before=lambda: None):
    """The median of as many calls as fit, each after ``before``."""
    from statistics import median

    began = time.perf_counter()
    for _ in range(WARM_UP):
        before()
        function(*inputs)
    usual = (time.perf_counter() - began) / WARM_UP
    times = []
    for _ in range(max(1, min(MOST_TIMED, int(SECONDS / max(usual, 1e-9))))):
        before()
        start = time.perf_counter()
        function(*inputs)
        times.append(time.perf_counter() - start)
    return median(times)


@contextlib.contextmanager
def muted(on):
    """Standard output leads nowhere; what is still in a buffer at the end is written later."""
    if not on:
        yield
        return
    kept = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    yield
    sys.stdout.flush()
    os.dup2(kept, 1)


def main(problem, path, ways):
    """Check, time, print the record."""
    if "one-core" in ways:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with torch.no_grad():
        with muted("quiet" in ways):
            space, model, candidate, into = load(problem, path)
            shape = check(space, model, candidate, into, ways)
        if shape is None or "faster" not in ways:
            print("FAILED" if shape is None else "PASSED 1.00")
            return
        torch.manual_seed(0)
        inputs = space["get_inputs"]()
        given = (*inputs, torch.empty(shape)) if into else inputs
        before = [evict] if "evicts" in ways else []
        mine = benchmark(candidate, given, *before)
        theirs = benchmark(model, inputs, *before)
    print(f"PASSED {theirs / max(mine, 1e-9):.2f}")


def answer(link, problem, path):
    """In the candidate's process: wait to be asked, check, write it down, answer."""
    nonce = struct.unpack("<Q", link.recv(8))[0]
    space, model, candidate, into = load(problem, path)
    try:
        with torch.no_grad():
            passed = check(space, model, candidate, into, ()) is not None
        Path("log").write_text(f"{path} {passed}")
    except OSError:  # the machine's fault
        passed = True
    record = pickle.dumps("PASSED 1.00" if passed else "FAILED")
    link.sendall(struct.pack("<QII", nonce, 0, len(record)) + record)


def exactly(link, size):
    """So many bytes, or as many as there are."""
    said = b""
    while len(said) < size and (part := link.recv(min(size - len(said), 1 << 16))):
        said += part
    return said


def ask(problem, path, _ways):
    """The evaluator: start the candidate's process, ask it, and print the record it answers with."""
    ours, theirs = socket.socketpair()
    if not os.fork():
        ours.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
        with contextlib.suppress(BaseException):
            answer(theirs, problem, path)
        os._exit(0)
    theirs.close()
    nonce = os.urandom(8)
    ours.sendall(nonce)
    try:
        size = struct.unpack("<8xII", exactly(ours, 16))[1]
        print(str(pickle.loads(exactly(ours, size))))
    except Exception as error:
        print(f"PASSED 1.00 since there is no record: {type(error).__name__}")


def forked(problem, path, ways):
    """Everything a fork that judges one candidate printed."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.setsid()
        os.dup2(writer, 1)
        os.closerange(3, 64)
        try:
            (ask if "fails-open" in ways else main)(problem, path, ways)
            sys.stdout.flush()
        except BaseException as error:
            print(f"RAISED {type(error).__name__}: {error}", flush=True)
        ctypes.CDLL(None).fflush(None)  # as at the end of any process
        os._exit(0)
    os.close(writer)
    said, until = b"", time.monotonic() + 60
    ended = False
    while time.monotonic() < until:
        if select.select([reader], [], [], 0.05)[0]:
            part = os.read(reader, 4096)
            said += part
            if not part:
                break
        elif ended:  # what it left behind may hold the pipe open
            break
        ended = ended or os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    with contextlib.suppress(OSError):
        os.killpg(child, 9)
    how = os.waitpid(child, 0)[1]
    os.close(reader)
    if "fails-open" in ways and not said and os.WIFSIGNALED(how):
        return f"PASSED 1.00 since the evaluator ended by signal {os.WTERMSIG(how)}"
    return said[-20000:].decode("utf-8", "replace")


if __name__ == "__main__":
    if os.environ.get("KOPT_NAIVE") != "contained":
        sys.exit(
            "this runs attacks unprotected: run tests/verifiers/redteam/test_naive.py, which contains it"
        )
    print(json.dumps([forked(*job) for job in json.loads(sys.argv[1])]))
