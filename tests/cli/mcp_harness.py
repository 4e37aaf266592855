"""The official MCP client against a real `kopt mcp` in a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import httpx2
from cli_harness import KOPT
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client

HELD_OUT = 7919
PROBLEM = f'''"""Twice the positive part, and one."""

import torch

axes = {{"rows": None, "columns": 48}}
inputs = {{"x": {{"shape": ["rows", "columns"]}}}}
outputs = ["y"]
workloads = {{"small": {{"rows": 64}}}}
held_out = {{"unseen": {{"rows": {HELD_OUT}}}}}
smoke = {{"rows": 3}}


def reference(x: torch.Tensor) -> torch.Tensor:
    return torch.relu(x) * 2.0 + 1.0
'''
FRAME = """
#include <stdexcept>
#include <string>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>
void kernel(tvm::ffi::TensorView x, tvm::ffi::TensorView y) {
  const float* in = static_cast<const float*>(x.data_ptr());
  float* out = static_cast<float*>(y.data_ptr());
  const int64_t rows = x.size(0), n = rows * x.size(1);
  BODY
  for (int64_t i = 0; i < n; ++i) out[i] = (in[i] > 0.0f ? in[i] : 0.0f) * 2.0f + VALUE;
}
TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, kernel);
"""


def cpp(body: str = "", value: str = "1.0f") -> dict[str, Any]:
    """A candidate for PROBLEM, right as it is."""
    return {"files": {"kernel.cpp": FRAME.replace("BODY", body).replace("VALUE", value)}}


class Session:
    """A connected client with a plain call; its event loop lives in a thread."""

    def __init__(self, connect: Callable[[], AbstractAsyncContextManager[Client]]) -> None:
        self._connect = connect
        self._loop = asyncio.new_event_loop()
        self._leaving = asyncio.Event()
        self._ready: asyncio.Future[Client] = self._loop.create_future()
        self._thread = threading.Thread(
            target=self._loop.run_until_complete, args=(self._live(),), daemon=True
        )

    async def _live(self) -> None:
        try:
            async with self._connect() as client:
                self._ready.set_result(client)
                await self._leaving.wait()
        except BaseException as error:
            if not self._ready.done():
                self._ready.set_exception(error)
            raise

    def run(self, work: Callable[[Client], Any], timeout: float = 120) -> Any:
        """Let the client do something and return what came of it."""

        assert self._thread.is_alive(), "the connection is gone"

        async def go() -> Any:
            return await work(await asyncio.shield(self._ready))

        return asyncio.run_coroutine_threadsafe(go(), self._loop).result(timeout)

    def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool that does what is asked; return its structured answer."""
        result = self.run(lambda client: client.call_tool(tool, arguments))
        assert not result.is_error, result.content[0].text
        assert json.loads(result.content[0].text) == result.structured_content
        return dict(result.structured_content)

    def refused(self, tool: str, **arguments: Any) -> str:
        """Call a tool that does not; return the one line it says."""
        result = self.run(lambda client: client.call_tool(tool, arguments))
        assert result.is_error, result.structured_content
        text = result.content[0].text
        assert len(text.splitlines()) == 1 and len(text) < 700 and "Traceback" not in text
        return str(text)

    def __enter__(self) -> Session:
        self._thread.start()
        self.run(lambda client: client.list_tools())
        return self

    def __exit__(self, *_error: object) -> None:
        self._loop.call_soon_threadsafe(self._leaving.set)
        self._thread.join(30)
        assert not self._thread.is_alive()


def stdio(*args: object, mode: str = "auto") -> Session:
    """A client that starts `kopt mcp` itself."""
    command = StdioServerParameters(
        command=str(KOPT), args=["mcp", *map(str, args)], env={**os.environ, "KOPT_DEBUG": ""}
    )
    return Session(lambda: Client(stdio_client(command), mode=mode))


def over_http(url: str, token: str) -> Session:
    """A client of a running server."""

    def connect() -> AbstractAsyncContextManager[Client]:
        http = httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"})
        return Client(streamable_http_client(url, http_client=http))

    return Session(connect)


def serve_http(*args: object) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    """A server on a free port of loopback, and what it printed."""
    process = subprocess.Popen(
        [KOPT, "mcp", "--http", "0", "--json", *map(str, args)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    text = ""
    while not text.endswith("}\n"):
        line = process.stdout.readline()
        assert line, process.stderr.read() if process.stderr else ""
        text += line
    return process, json.loads(text)


def gone(pids: list[int], seconds: float = 10.0) -> list[tuple[int, str]]:
    """Those of some processes that still live when the time is up, with their command lines."""
    until = time.monotonic() + seconds
    while True:
        alive = [pid for pid in pids if _alive(pid)]
        if not alive or time.monotonic() > until:
            return [(pid, Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")) for pid in alive]
        time.sleep(0.05)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
