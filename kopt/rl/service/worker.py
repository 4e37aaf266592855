"""The process that does the service's jobs: requests as JSON lines on stdin, replies as JSON lines on stdout.

It ends, with everything below it, when its stdin does: whoever asked is gone, however it went. ``kill -9`` of this
process ends its sandboxes as well (they die with their parent).
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from typing import IO, Any

from kopt.errors import KoptError
from kopt.rl.service import answers
from kopt.rl.service.desk import Desk
from kopt.rl.service.menu import Menu
from kopt.rl.service.requests import Request
from kopt.rl.service.turn import turn
from kopt.settings import settings
from kopt.words import from_json

IDLE_SECONDS = 300.0
"""How long a judge is kept warm while nobody asks."""
GRACE_SECONDS = 3.0
"""For ending in good order when whoever asked is gone."""


class _Wire:
    """The only writer of the real stdout; stray prints go to stderr."""

    def __init__(self) -> None:
        self._out: IO[str] = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)

    def send(self, reply: Mapping[str, Any]) -> None:
        self._out.write(json.dumps(reply, allow_nan=False) + "\n")
        self._out.flush()


def main() -> None:
    """Serve until stdin ends or a signal comes."""
    sandbox, policy, added = sys.argv[1:4]
    wire = _Wire()
    inbox: queue.SimpleQueue[str] = queue.SimpleQueue()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _stop)
    threading.Thread(target=_read, args=(inbox,), name="kopt-requests", daemon=True).start()
    desk = Desk(settings(), sandbox, policy, wire.send, Menu(json.loads(added)))
    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError), contextlib.closing(desk):
        while True:
            try:
                text = inbox.get(timeout=IDLE_SECONDS)
            except queue.Empty:
                desk.close()
                continue
            wire.send(_answer(desk, text, wire))


def _stop(_number: int, _frame: object) -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # cleaning up is not disturbed by a second request
    raise KeyboardInterrupt


def _read(inbox: queue.SimpleQueue[str]) -> None:
    for text in sys.stdin:
        inbox.put(text)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os._exit(1)  # whatever it waits for: nobody wants the answer, and the sandboxes die with this process


def _answer(desk: Desk, text: str, wire: _Wire) -> dict[str, Any]:
    try:
        request = from_json(Request, json.loads(text))
        wire.send({"stage": "waiting for this machine"})
        with turn(settings().home):
            wire.send({"begun": True})
            return {"result": desk.answer(request)}
    except KoptError as error:
        return {"error": answers.line(str(error))}
    except Exception as error:
        traceback.print_exc()
        return {
            "error": f"a defect of kopt ({type(error).__name__}): the server's log says where, please report it"
        }


if __name__ == "__main__":
    main()
