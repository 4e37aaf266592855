"""What the host watches while the sandbox is attacked: it must see what is done, or it proves nothing."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kopt.sandbox import Role
from kopt.verifiers import Effort, Evaluator
from kopt.verifiers.redteam import problem_of
from kopt.verifiers.redteam.aftermath import damage, honest
from kopt.verifiers.redteam.canaries import Canaries
from kopt.words import Evaluation, Verdict


def record(reason: str = "") -> Evaluation:
    return Evaluation(
        problem="p", problem_digest="", candidate="", verdict=Verdict.CRASHED, reason=reason, stages=(), speedup={},
        sandbox={}, environment={},
    )  # fmt: skip


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Canaries]:
    with Canaries(tmp_path) as canaries:
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


def test_nothing_stays_of_the_ground(tmp_path: Path) -> None:
    with Canaries(tmp_path):
        pass
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []
    assert "KOPT_REDTEAM_CANARY" not in os.environ


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
