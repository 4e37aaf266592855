"""What is Docker's own: how the container is hardened, what is left after it, who may connect, the image."""

from __future__ import annotations

import io
import os
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import pytest

from kopt.errors import SandboxUnavailable, UsageError
from kopt.sandbox import Role, container, daemon, image, open_sandbox
from kopt.settings import Settings
from tests.docker_daemon import BACKENDS

CONTAINER = pytest.mark.parametrize("kind", BACKENDS[1:], indirect=True, scope="session")
NEEDS = pytest.mark.needs("docker")


@pytest.fixture
def client(docker):
    opened = daemon.connect()
    yield opened
    opened.close()


def folders() -> set[Path]:
    return set(Path(tempfile.gettempdir()).glob(f"{daemon.PREFIX}*"))


def containers(client, judge: str) -> list:
    return client.containers.list(all=True, filters={"label": f"{daemon.LABEL}={judge}"}, ignore_removed=True)


def status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, value in (line.split(":", 1) for line in lines)}


@CONTAINER
def test_container_is_hardened(sandbox, client):
    sandbox.spawn(Role.CANDIDATE).kill()
    (found,) = [c for c in containers(client, daemon.identity()) if c.attrs["State"]["Running"]]
    host, config = found.attrs["HostConfig"], found.attrs["Config"]
    assert host["NetworkMode"] == "none" and host["ReadonlyRootfs"] and host["AutoRemove"]
    assert host["CapDrop"] == ["ALL"] and not host["CapAdd"] and not host["Privileged"]
    assert host["IpcMode"] == "private" and not host["PidMode"] and host["CgroupnsMode"] == "private"
    assert "no-new-privileges:true" in host["SecurityOpt"]
    assert any(option.startswith("seccomp={") for option in host["SecurityOpt"])
    assert host["PidsLimit"] > 0 and host["Memory"] > 0 and host["MemorySwap"] == host["Memory"]
    assert host["CpusetCpus"] and not host["DeviceRequests"] and not host["Devices"]
    assert all(bind.endswith(":ro") for bind in host["Binds"])
    assert all("size=" in mount for mount in host["Tmpfs"].values())
    assert config["User"].split(":")[0] not in ("", "0", "root")
    first = status(sandbox._zygote.process.pid)
    assert first["Uid"].split()[0] != "0" and first["NoNewPrivs"] == "1" and first["Seccomp"] == "2"


@CONTAINER
def test_powers_are_only_over_its_own_namespaces(sandbox):
    with sandbox.spawn(Role.CANDIDATE) as runner:
        zygote = sandbox._zygote.process.pid
        for kind in ("user", "pid", "net", "ipc", "uts", "mnt", "cgroup"):
            ours, theirs = (Path(f"/proc/{pid}/ns/{kind}").readlink() for pid in ("self", zygote))
            assert ours != theirs, kind
        assert not int(status(runner.pid)["CapBnd"], 16)
        assert Path(f"/proc/{zygote}/uid_map").read_text().split()[2] == "1"


@CONTAINER
def test_runner_sees_little_of_the_container(attack):
    code = """
    listed = {}
    for place in ('/sys', '/sys/devices', '/dev/mqueue', '/dev/pts', '/.kopt/link', '/etc/resolv.conf'):
        try:
            listed[place] = sorted(os.listdir(place)) if os.path.isdir(place) else open(place).read()
        except OSError as error:
            listed[place] = []
    try:
        open('/tmp/written', 'w').close()
        listed['/tmp'] = os.path.exists(os.environ['TMPDIR'] + '/written')
    except OSError as error:
        listed['/tmp'] = str(error)
    return listed
    """
    found = attack(code)
    assert set(found["/sys"]) <= {"devices", "kernel"} and found["/sys/devices"] == ["system"]
    assert found["/dev/mqueue"] == found["/dev/pts"] == found["/.kopt/link"] == []
    assert not found["/etc/resolv.conf"]
    assert found["/tmp"] is True


@CONTAINER
def test_close_removes_the_container_and_its_folder(kind, home, client):
    before, known = folders(), {c.id for c in client.containers.list(all=True, ignore_removed=True)}
    own = open_sandbox(kind, settings=Settings(home=home))
    own.spawn(Role.CANDIDATE)
    assert len({c.id for c in client.containers.list(ignore_removed=True)} - known) == 1
    assert folders() == before  # gone as soon as the zygote has connected
    own.close()
    own.close()
    assert {c.id for c in client.containers.list(all=True, ignore_removed=True)} <= known  # others may go
    assert folders() == before


JUDGE = """
import sys
from pathlib import Path
from kopt.sandbox import Role, daemon, open_sandbox
from kopt.settings import Settings
box = open_sandbox("docker", settings=Settings(home=Path(sys.argv[1])))
box.spawn(Role.CANDIDATE)
client = daemon.connect()
client.containers.create(box.backend.image.digest, ["true"], labels={daemon.LABEL: daemon.identity()})
print(daemon.identity(), flush=True)
sys.stdin.read()
"""


@CONTAINER
def test_killed_judge_leaves_no_container(kind, home, client):
    judge = subprocess.Popen(
        [sys.executable, "-c", JUDGE, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    name = judge.stdout.readline().strip()
    assert len(containers(client, name)) == 2
    assert daemon.orphans(client) == []  # its judge lives
    judge.kill()
    judge.wait()
    deadline = time.monotonic() + 10
    while len(containers(client, name)) > 1 and time.monotonic() < deadline:
        time.sleep(0.02)
    # The running one ended by itself; the one caught before its start is for the next to sweep.
    assert [c.attrs["State"]["Status"] for c in containers(client, name)] == ["created"]
    left = Path(tempfile.mkdtemp(prefix=f"{daemon.PREFIX}{name}-"))
    with open_sandbox(kind, settings=Settings(home=home)):
        assert containers(client, name) == []
        assert not left.exists()


def test_stranger_who_connects_is_refused(tmp_path):
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as stranger:
        listener.bind(str(tmp_path / "control"))
        listener.listen(1)
        other = subprocess.Popen(["sleep", "60"])
        silent, _ = socket.socketpair()
        try:
            stranger.connect(str(tmp_path / "control"))
            with pytest.raises(SandboxUnavailable, match="other than the container's"):
                container._accept(listener, silent, other.pid)
            other.send_signal(signal.SIGKILL)
            with pytest.raises(SandboxUnavailable, match="did not start"):
                container._accept(listener, silent, other.pid, timeout=5)
        finally:
            other.kill()
            other.wait()
            silent.close()


def test_devices_only_when_granted(home):
    pytest.importorskip("docker")
    common = {"security": [], "threads": 2}
    without = container.options(home, "/tmp/x", {"CUDA_VISIBLE_DEVICES": ""}, gpus="", **common)
    assert "device_requests" not in without and without["environment"]["CUDA_VISIBLE_DEVICES"] == ""
    given = container.options(home, "/tmp/x", {}, gpus="0, GPU-1234", **common)
    (request,) = given["device_requests"]
    assert request["DeviceIDs"] == ["0", "GPU-1234"] and request["Capabilities"] == [["gpu"]]
    assert given["environment"]["CUDA_VISIBLE_DEVICES"] == "0,1"
    assert without["security_opt"][2:] == []
    named = container.options(home, "/tmp/x", {}, gpus="", security=["apparmor"], threads=2)
    assert named["security_opt"][2:] == ["apparmor=unconfined"]


def test_filter_leaves_only_what_the_zygote_needs():
    from kopt.sandbox.seccomp import DENIED

    (rule,) = container.FILTER["syscalls"]
    assert set(DENIED) - set(rule["names"]) == set(container.NEEDED) <= set(DENIED)


def test_without_a_daemon(monkeypatch, home, tmp_path):
    pytest.importorskip("docker")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nothing.sock")
    with pytest.raises(SandboxUnavailable, match="no Docker daemon answers"):
        open_sandbox("docker", settings=Settings(home=home))
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    with pytest.raises(SandboxUnavailable, match="no Docker daemon answers"):
        open_sandbox("docker", settings=Settings(home=home))


@NEEDS
def test_without_an_image(monkeypatch, home, client):
    monkeypatch.setattr(image, "tag", lambda: "kopt-sandbox:none")
    with pytest.raises(SandboxUnavailable, match="kopt sandbox build"):
        open_sandbox("docker", settings=Settings(home=home))


@NEEDS
def test_builds_only_once(client):
    known = image.find(client)
    started = time.monotonic()
    assert image.build(client, None) == known
    assert time.monotonic() - started < 1
    assert "g++" in known.compiler and known.digest.startswith("sha256:")


@NEEDS
def test_bases_that_do_not_do(monkeypatch, client):
    monkeypatch.setattr(image, "tag", lambda: "kopt-sandbox:broken")
    with pytest.raises(UsageError, match="--base IMAGE"):
        image.build(client, "127.0.0.1:1/no/such:image")
    empty = io.BytesIO()
    tarfile.open(fileobj=empty, mode="w").close()
    client.api.import_image_from_data(empty.getvalue(), repository="kopt-empty")
    try:
        with pytest.raises(UsageError, match="cannot be built from kopt-empty"):
            image.build(client, "kopt-empty")
    finally:
        client.images.remove("kopt-empty", force=True)


@CONTAINER
def test_container_that_cannot_start_says_why(monkeypatch, kind, home, client):
    known = {c.id for c in client.containers.list(all=True, ignore_removed=True)}
    before = folders()
    monkeypatch.setattr(
        container, "python_command", lambda *_: ["/bin/sh", "-c", "echo no such luck >&2; exit 3"]
    )
    with pytest.raises(SandboxUnavailable, match="no such luck"):
        open_sandbox(kind, settings=Settings(home=home))
    monkeypatch.setattr(container, "python_command", lambda *_: ["/no/such/python"])
    with pytest.raises(SandboxUnavailable, match="cannot be started"):
        open_sandbox(kind, settings=Settings(home=home))
    assert {c.id for c in client.containers.list(all=True, ignore_removed=True)} <= known  # others may go
    assert folders() == before


def test_base_of_this_system(monkeypatch):
    monkeypatch.setattr("platform.freedesktop_os_release", lambda: {"ID": "ubuntu", "VERSION_ID": "24.04"})
    assert image.default_base() == "ubuntu:24.04"
    monkeypatch.setattr("platform.freedesktop_os_release", lambda: {"ID": "gentoo", "PRETTY_NAME": "Gentoo"})
    with pytest.raises(UsageError, match="no image is known for Gentoo"):
        image.default_base()


def test_another_systems_judge_is_left_alone():
    assert not daemon._gone(f"{os.getpid()}.1.1")
    assert not daemon._gone(daemon.identity())
    assert daemon._gone(daemon.identity().replace(".", ".9", 1))
