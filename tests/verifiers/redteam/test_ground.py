"""What the host watches while the sandbox is attacked: it must see what is done, or it proves nothing."""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from kopt.sandbox import Role, remains
from kopt.settings import Settings
from kopt.verifiers import Effort, Evaluator
from kopt.verifiers.redteam import problem_of
from kopt.verifiers.redteam.aftermath import damage, honest, watched
from kopt.verifiers.redteam.canaries import Canaries
from kopt.words import Evaluation, Verdict


def record(reason: str = "") -> Evaluation:
    return Evaluation(
        problem="p", problem_digest="", candidate="", verdict=Verdict.CRASHED, reason=reason, stages=(), speedup={},
        sandbox={}, environment={},
    )  # fmt: skip


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """kopt's home and the user's, both in a folder of this test."""
    (tmp_path / "user").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    return Settings(home=tmp_path / "kopt")


@pytest.fixture
def ground(own: Settings) -> Iterator[Canaries]:
    with Canaries(own) as canaries:
        yield canaries


def test_untouched_ground(ground: Canaries) -> None:
    assert ground.harm(record("raises RuntimeError")) == ""


def test_a_secret_that_is_told(ground: Canaries) -> None:
    assert "secret" in ground.harm(record(Path(ground.names["@SECRET_FILE@"]).read_text()))
    assert "secret" in ground.harm(record(os.environ[ground.names["@SECRET_VARIABLE@"]]))


def test_an_attack_that_says_it_got_through(ground: Canaries) -> None:
    assert "got through" in ground.harm(record(f"got through: {ground.names['@TOKEN@']}"))


def test_a_changed_file(ground: Canaries) -> None:
    Path(ground.names["@SECRET_FILE@"]).write_text("x")
    assert "changed" in ground.harm(record())


def test_every_place_holds_the_secret(ground: Canaries, own: Settings) -> None:
    files = [Path(name) for name in ground.names["@SECRET_FILES@"].split(":")]
    assert {file.parent for file in files} == {
        own.home, own.library, own.build_cache, Path.home(), Path.home() / ".ssh",
    }  # fmt: skip
    assert len({file.read_text() for file in files}) == 1
    assert files[0].read_text().encode() in Path(ground.names["@DATABASE@"]).read_bytes()


def test_a_key_that_is_removed(ground: Canaries) -> None:
    (key,) = (Path.home() / ".ssh").iterdir()
    key.unlink()
    assert "changed" in ground.harm(record())


@pytest.mark.parametrize("change", ["UPDATE {} SET secret = 'x'", "DELETE FROM {}", "DROP TABLE {}"])
def test_a_changed_row(ground: Canaries, change: str) -> None:
    with closing(sqlite3.connect(ground.names["@DATABASE@"])) as connection, connection:
        (table,) = connection.execute("SELECT name FROM sqlite_master").fetchone()
        connection.execute(change.format(table))
    assert "the database" in ground.harm(record())


def tcp(names: dict[str, str]) -> None:
    socket.create_connection(("127.0.0.1", int(names["@TCP_PORT@"]))).close()


def udp(names: dict[str, str]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.sendto(b"x", ("127.0.0.1", int(names["@UDP_PORT@"])))


def abstract(names: dict[str, str]) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.connect("\0" + names["@ABSTRACT@"])


def path(names: dict[str, str]) -> None:
    with socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0] as one:
        one.sendto(b"x", names["@SOCKET@"])


@pytest.mark.parametrize("knock", [tcp, udp, abstract, path])
def test_a_door_that_is_reached(ground: Canaries, knock: Callable[[dict[str, str]], None]) -> None:
    knock(ground.names)
    assert "socket" in ground.harm(record())
    assert ground.harm(record()) == ""


@pytest.mark.parametrize("place", ["/dev/shm", "/tmp"])
def test_a_file_that_is_left(ground: Canaries, place: str) -> None:
    left = Path(place, f"x{ground.names['@TOKEN@']}")
    left.touch()
    try:
        assert str(left) in ground.harm(record())
    finally:
        left.unlink()


def test_a_file_that_is_left_deep_down(ground: Canaries, own: Settings) -> None:
    left = own.home / "builds" / "one" / "two" / f"x{ground.names['@TOKEN@']}"
    left.parent.mkdir(parents=True)
    left.touch()
    assert ground.left() == ""  # what is looked at after every attack is the top
    assert str(left) in ground.left(deep=True)


def test_nothing_stays_of_the_ground_and_nothing_else_goes(own: Settings) -> None:
    keys = Path.home() / ".ssh"
    with Canaries(own):
        assert keys.stat().st_mode & 0o777 == 0o700
    assert [p for p in Path.home().parent.rglob("*") if p.is_file() or p == keys] == []
    assert "KOPT_REDTEAM_CANARY" not in os.environ
    keys.mkdir()
    (keys / "id_ed25519").write_text("mine")
    with closing(sqlite3.connect(own.home / "kopt.db")) as connection, connection:
        connection.execute("CREATE TABLE runs (name TEXT)")
    with Canaries(own) as canaries:
        secret = Path(canaries.names["@SECRET_FILE@"]).read_bytes()
    assert [p.name for p in keys.iterdir()] == ["id_ed25519"]
    with closing(sqlite3.connect(own.home / "kopt.db")) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("runs",)]
    assert secret not in (own.home / "kopt.db").read_bytes()


def test_mounts_are_seen() -> None:
    if os.geteuid():
        pytest.skip("only root may mount")
    words = ["unshare", "--mount", "sh", "-c", "mount -t tmpfs left /mnt && echo && exec sleep 20"]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as other:
        try:
            assert other.stdout and other.stdout.readline()
            more = remains.mounts(other.pid) - remains.mounts("self")
            assert any(line.startswith("tmpfs left/ on /mnt (") for line in more), more
        finally:
            other.kill()
    assert remains.mounts_of_machine() <= remains.mounts("self")


@pytest.mark.needs("bubblewrap")
def test_what_is_left_in_the_sandbox(open_evaluator: Callable[[str], Evaluator]) -> None:
    evaluator = open_evaluator(Path(problem_of("silu").path).read_text())
    assert damage(evaluator, "silu") == ""
    evaluator.evaluate(honest("silu"), effort=Effort.QUICK)
    assert evaluator.sandbox.remains() == []
    stray = evaluator.sandbox.spawn(Role.CANDIDATE)
    try:
        evaluator.sandbox._handles.discard(stray)  # as if the judge had lost it
        left = evaluator.sandbox.remains()
        assert f"process {stray.pid}" in left
    finally:
        stray.kill()
    assert evaluator.sandbox.remains() == []


@pytest.mark.needs("bubblewrap")
def test_what_is_done_to_a_living_sibling(
    open_evaluator: Callable[[str], Evaluator], ground: Canaries, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluator = open_evaluator(Path(problem_of("silu").path).read_text())
    sandbox = evaluator.sandbox
    with ground.sibling(sandbox) as sibling:
        assert [file.name for file in sibling.files()] == [ground.names["@SIBLING_NAME@"]] * 2
        assert sibling.harm() == ""
        sibling.files()[0].write_text("x")
        assert "changed" in sibling.harm()
        sibling.files()[0].unlink()
        assert "took" in sibling.harm()
    with ground.sibling(sandbox) as sibling:
        sibling.runner.kill()
        assert "ended" in sibling.harm()
    with watched(evaluator, "silu", ground) as harm:
        assert harm() == ""
        real = remains.mounts_of_machine
        monkeypatch.setattr(remains, "mounts_of_machine", lambda: real() + Counter(["tmpfs left on /mnt"]))
        assert "mounted: tmpfs left on /mnt" in harm()
