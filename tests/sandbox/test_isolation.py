"""What a candidate can see, reach and leave behind: nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

import kopt
from kopt.sandbox import (
    Limits,
    Role,
    RunnerCrashed,
    RunnerError,
    RunnerRaised,
    open_sandbox,
    places,
    processes,
)
from kopt.settings import Settings


def test_sees_no_host_files(attack, kind, tmp_path, home):
    canary = tmp_path / "canary"
    canary.write_text("secret")
    places = [str(canary), str(home), str(Path.home()), "/root/.ssh", "/home"]
    if kind == "bubblewrap":  # a container has an image's own, which are in the image and nobody's
        places += ["/etc/passwd", "/etc/shadow", "/var"]
    places += [
        str(Path(kopt.__file__).parent / "sandbox" / "session.py"),
        str(Path(kopt.__file__).parents[1] / "tests"),
    ]
    code = f"""
    found = []
    for place in {places!r}:
        try:
            found += [place] if os.path.isfile(place) else [os.path.join(place, n) for n in os.listdir(place)]
        except OSError:
            pass
    return found
    """
    prefixes = {sys.prefix, sys.base_prefix}
    leaks = [
        p for p in attack(code) if not any(root.startswith(p) or p.startswith(root) for root in prefixes)
    ]
    assert leaks == []


def test_cannot_import_the_judge(attack):
    code = """
    found = []
    for name in ('kopt.verifiers', 'kopt.sandbox', 'kopt.problems', 'kopt.words'):
        try:
            __import__(name)
            found.append(name)
        except (ImportError, FileNotFoundError):  # the latter from an editable install's redirection
            pass
    return found + os.listdir('/.kopt/package')
    """
    assert attack(code) == []


def test_judge_is_hidden_where_it_lies_in_the_environment(monkeypatch, kind, home, bench_class):
    """As after an ordinary installation, where kopt lies beside torch."""
    package, found = places.package_directory(), places.visible_roots

    def with_package(*args, **options):
        roots = found(*args, **options)
        return roots if places.under(package, roots) else [*roots, package.parent]

    monkeypatch.setattr(places, "visible_roots", with_package)
    source = f"""
    import os
    print("SEEN", os.listdir({str(package)!r}), os.path.isdir({str(package.parent)!r}), flush=True)
    def run(x):
        return x
    """
    with open_sandbox(kind, settings=Settings(home=home)) as own, ExitStack() as stack:
        runner = bench_class(own, stack).load(source)
        runner.round(0, 2)
        deadline = time.monotonic() + 10
        while "SEEN" not in runner.output_tail() and time.monotonic() < deadline:
            time.sleep(0.005)
        assert "SEEN [] True" in runner.output_tail()


def test_environment_is_empty_of_ours(attack):
    found = attack("return dict(os.environ)")
    assert "environment-canary" not in str(found)
    assert not {"KOPT_HOME", "KOPT_CANARY", "SSH_AUTH_SOCK", "AWS_SECRET_ACCESS_KEY"} & set(found)


def test_launcher_environment_is_empty(sandbox):
    with sandbox.spawn(Role.CANDIDATE):
        family = processes.descendants(sandbox._zygote.process.pid)
    assert family
    for pid in family:
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            continue
        assert b"environment-canary" not in environment


def test_has_no_powers(attack):
    code = """
    status = dict(line.split(':', 1) for line in open('/proc/self/status'))
    return {k: status[k].strip() for k in ('CapEff', 'CapPrm', 'CapBnd', 'NoNewPrivs', 'Seccomp')}
    """
    assert attack(code) == {
        "CapEff": "0" * 16,
        "CapPrm": "0" * 16,
        "CapBnd": "0" * 16,
        "NoNewPrivs": "1",
        "Seccomp": "2",
    }


def test_sees_only_itself(attack):
    code = """
    import signal
    reached = []
    threads = len(os.listdir('/proc/self/task'))  # threads have numbers too, and one may signal oneself
    for pid in [-1, *range(threads + 1, 400)]:
        try:
            os.kill(pid, 0)
            reached.append(pid)
        except OSError:
            pass
    return [os.getpid(), os.getppid(), reached, [n for n in os.listdir('/proc') if n.isdigit()]]
    """
    assert attack(code) == [1, 0, [], []]


def test_open_descriptors(attack):
    code = """
    kinds = {}
    for fd in range(0, 200):
        try:
            kinds[fd] = os.fstat(fd).st_mode >> 12
        except OSError:
            pass
    return kinds
    """
    found = attack(code)
    assert set(found) <= {"0", "1", "2", "3"}


@pytest.mark.needs("seccomp")
def test_refused_system_calls(attack):
    calls = {"ptrace": 101, "mount": 165, "unshare": 272, "setns": 308, "bpf": 321, "perf_event_open": 298}
    calls |= {
        "io_uring_setup": 425,
        "userfaultfd": 323,
        "keyctl": 250,
        "process_vm_readv": 310,
        "kexec_load": 246,
    }
    calls |= {"pidfd_getfd": 438, "pidfd_open": 434, "personality": 135, "socket": 41, "chroot": 161}
    calls |= {"open_by_handle_at": 304, "mknod": 133, "pivot_root": 155, "init_module": 175}
    code = f"""
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    passed = []
    for name, number in {calls!r}.items():
        ctypes.set_errno(0)
        result = libc.syscall(number, 0, 0, 0, 0, 0)
        if ctypes.get_errno() not in (1, 38):
            passed.append((name, result, ctypes.get_errno()))
    for flag in (0x20000, 0x10000000, 0x20000000, 0x40000000):
        if libc.syscall(56, flag | 17, 0, 0, 0, 0) >= 0:
            passed.append(('clone', flag))
    return passed
    """
    assert attack(code) == []


@pytest.mark.needs("seccomp")
def test_arguments_the_kernel_cuts_off(attack):
    # fcntl's command, the family of a pair and the number of a limit are ints: the upper half is not looked at.
    code = """
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.argtypes = [ctypes.c_long] * 6
    passed, high = [], 1 << 32
    fd = os.memfd_create('own', 3)
    pair, limits = ctypes.create_string_buffer(8), ctypes.create_string_buffer(16)
    pair, limits = ctypes.addressof(pair), ctypes.addressof(limits)
    calls = [('seals', 72, fd, 1033, 1), ('seals', 72, fd, high | 1033, 1), ('lease', 72, fd, high | 1024, 0)]
    calls += [('pair', 53, 30, 1, 0, pair), ('pair', 53, high | 1, 1, 0, pair), ('pair', 53, 40, 1, 0, pair)]
    calls += [('core', 160, 4, limits), ('core', 160, high | 4, limits), ('core', 302, 0, high | 4, limits)]
    calls += [('flags', 16, fd, 0x40086602, limits), ('xattr', 190, fd, limits, limits, 1, 0), ('watch', 294)]
    for name, *arguments in calls:
        ctypes.set_errno(0)
        result = libc.syscall(*arguments, *[0] * (6 - len(arguments)))
        if result != -1 or ctypes.get_errno() != 1:
            passed.append((name, result, ctypes.get_errno()))
    import resource, socket
    socket.socketpair()
    return [passed, resource.getrlimit(resource.RLIMIT_CORE)]
    """
    assert attack(code) == [[], [1, 1]]


def test_is_killed_first_where_memory_is_short(attack):
    assert attack("return open('/proc/self/oom_score_adj').read().strip()") == "1000"
    code = """
    try:
        open('/proc/self/oom_score_adj', 'w').write('0')
        return 'changed'
    except OSError:
        return ''
    """
    assert attack(code) == ""


def test_no_network(attack):
    code = """
    import socket
    reached = []
    for family, kind in ((2, 1), (2, 2), (10, 1), (1, 1), (16, 3), (17, 3), (40, 1), (38, 5)):
        try:
            socket.socket(family, kind)
            reached.append(family)
        except OSError:
            pass
    return reached
    """
    assert attack(code) == []


def test_writes_only_to_scratch(attack):
    places = [
        "/",
        "/usr",
        "/usr/lib",
        "/etc",
        sys.prefix,
        sys.base_prefix,
        "/.kopt",
        "/.kopt/runner/kopt_runner",
    ]
    places += [
        "/.kopt/headers",
        "/.kopt/package",
        "/proc",
        "/proc/self",
        "/dev",
        "/sys/devices/system/cpu",
    ]
    code = f"""
    written = []
    for place in {places!r}:
        try:
            open(os.path.join(place, 'planted'), 'w').write('x')
            written.append(place)
        except OSError:
            pass
    open(os.environ['TMPDIR'] + '/fine', 'w').write('x')
    open('/dev/shm/fine', 'w').write('x')
    return written
    """
    assert attack(code) == []


def test_nothing_is_left_for_the_next(attack):
    attack("""
    scratch = os.environ['TMPDIR']
    for place in (scratch, '/dev/shm', *(f'{scratch}/{name}' for name in ('extensions', 'triton', 'inductor'))):
        os.makedirs(place, exist_ok=True)
        open(place + '/planted', 'w').write('x')
    return None
    """)
    code = """
    tops = (os.environ['TMPDIR'], '/dev/shm')
    return [os.path.join(p, f) for top in tops for p, _, files in os.walk(top) for f in files]
    """
    assert [path for path in attack(code) if "planted" in path] == []


def test_no_mark_is_left_on_the_judges_memory(bench):
    mark = """
    import fcntl, os
    def run(x): return x
    close = os.close
    def late(fd):
        if 'memfd:ring' in os.readlink(f'/proc/self/fd/{fd}'):
            os.lseek(fd, 77, 0)
            os.fchmod(fd, 0o111)
            os.utime(fd, (5, 5))
            fcntl.flock(fd, fcntl.LOCK_EX)
        close(fd)
    os.close = late
    """
    look = """
    import fcntl, os
    def run(x): return x
    close = os.close
    def late(fd):
        if 'memfd:ring' in os.readlink(f'/proc/self/fd/{fd}'):
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            found = os.fstat(fd)
            print('FOUND', os.lseek(fd, 0, 1), oct(found.st_mode), found.st_mtime, flush=True)
        close(fd)
    os.close = late
    """
    bench.load(mark).kill()
    after = bench.load(look)
    deadline = time.monotonic() + 5
    while "FOUND" not in after.output_tail() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert "FOUND 0 0o100600 0.0" in after.output_tail()


def marked(mark: str) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/comm"):
        try:
            if entry.read_text().strip() == mark:
                found.append(int(entry.parent.name))
        except OSError:
            pass
    return found


def test_daemons_die_with_the_runner(bench):
    source = """
    import ctypes, os, time
    libc = ctypes.CDLL(None)
    def run(x):
        for _ in range(3):
            if not os.fork():
                os.setsid()
                if not os.fork():
                    libc.prctl(15, b'kopt-orphan', 0, 0, 0)
                    while True: time.sleep(1)
                os._exit(0)
        return x
    """
    runner = bench.load(source)
    runner.round(0, 1)
    deadline = time.monotonic() + 5
    while len(marked("kopt-orphan")) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(marked("kopt-orphan")) == 3
    runner.kill()
    assert marked("kopt-orphan") == []


def test_fork_bomb(bench, sandbox):
    if os.geteuid() == 0 and "pids ceiling" in sandbox.report.missing:
        pytest.skip("root without a pids control group has no ceiling on processes")
    source = """
    import os, time
    def run(x):
        while True:
            try:
                os.fork()
            except OSError:
                time.sleep(0.01)
    """
    runner = bench.load(source, limits=Limits(processes=80))
    with pytest.raises(RunnerError):
        runner.round(0, 1, timeout=1.0)
    assert not runner.alive
    with sandbox.spawn(Role.CANDIDATE) as after:
        assert after.request("ping") == {}


def test_memory_bomb(bench, sandbox):
    source = """
    import torch
    def run(x):
        kept = []
        while True:
            kept.append(torch.ones(1 << 24))
    """
    runner = bench.load(source, limits=Limits(memory_bytes=1 << 29, shared_bytes=1 << 28))
    with pytest.raises((RunnerRaised, RunnerCrashed)):
        runner.round(0, 1, timeout=30.0)
    with sandbox.spawn(Role.CANDIDATE) as after:
        assert after.request("ping") == {}


def test_memory_in_pieces_and_in_scratch(attack):
    code = """
    os.chdir(os.environ['TMPDIR'])
    try:
        with open('big', 'wb') as file:
            while True: file.write(b'0' * (1 << 20))
    except OSError as error:
        size = os.path.getsize('big')
    os.unlink('big')
    count = 0
    try:
        while count < 200000:
            open(str(count), 'w').close()
            count += 1
    except OSError:
        pass
    return [size, count]
    """
    size, count = attack(code, limits=Limits(scratch_bytes=1 << 26))
    assert size <= 1 << 26
    assert count < 70000


def test_a_gigabyte_of_output(bench):
    source = """
    import os
    def run(x):
        print('the beginning', flush=True)
        block = b'spam ' * (1 << 18)
        for _ in range(820):
            os.write(1, block)
        return x
    """
    runner = bench.load(source)
    started = time.monotonic()
    runner.round(0, 1, timeout=60)
    assert time.monotonic() - started < 20
    assert len(runner.output.kept) <= runner.output.limit
    assert len(runner.output_tail()) < 20000
    assert runner.output.kept.startswith(b"the beginning")


def test_dead_zygote_is_replaced(kind, home):
    with open_sandbox(kind, settings=Settings(home=home)) as own:
        runner = own.spawn(Role.CANDIDATE)
        os.kill(own._zygote.process.pid, signal.SIGKILL)
        deadline = time.monotonic() + 5
        while runner.alive and time.monotonic() < deadline:
            time.sleep(0.01)
        with pytest.raises(RunnerCrashed):
            runner.round(0, 0, timeout=5)
        with own.spawn(Role.CANDIDATE) as after:
            assert after.request("ping") == {}


def test_outlives_the_thread_that_opened_it(kind, home):
    opened = []
    thread = threading.Thread(target=lambda: opened.append(open_sandbox(kind, settings=Settings(home=home))))
    thread.start()
    thread.join()
    with opened[0] as own, own.spawn(Role.CANDIDATE) as runner:
        time.sleep(0.2)
        assert runner.request("ping") == {}


HOST = """
import os, sys
from pathlib import Path
from kopt.sandbox import Role, open_sandbox, processes
from kopt.settings import Settings
box = open_sandbox(sys.argv[2], settings=Settings(home=Path(sys.argv[1])))
runner = box.spawn(Role.CANDIDATE)
print(*processes.descendants(box._zygote.process.pid), flush=True)
sys.stdin.read()
"""


def test_killed_host_leaves_nothing(kind, home):
    host = subprocess.Popen(
        [sys.executable, "-c", HOST, str(home), kind],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    family = [int(pid) for pid in host.stdout.readline().split()]
    assert len(family) >= 2
    host.kill()
    host.wait()
    deadline = time.monotonic() + 5
    while any(processes.states(pid) - {"Z", "X"} for pid in family) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(processes.states(pid) - {"Z", "X"} for pid in family)


def test_close_leaves_nothing(kind, home):
    own = open_sandbox(kind, settings=Settings(home=home))
    runner = own.spawn(Role.CANDIDATE)
    family = processes.descendants(own._zygote.process.pid)
    assert runner.pid in family
    groups = list(own._groups._parents.values())
    own.close()
    assert [pid for pid in family if Path(f"/proc/{pid}").exists()] == []
    assert [str(group) for group in groups if group.exists()] == []


def test_report_names_the_layers(sandbox, kind):
    with sandbox.spawn(Role.CANDIDATE):
        pass
    report = sandbox.report
    assert report.backend == kind
    for layer in ("namespaces", "private scratch", "no capabilities", "no new privileges", "rlimits"):
        assert report.layers[layer]
    for layer, cost in report.missing.items():
        assert cost and report.layers[layer] is False
