"""The protocol: the tools as an MCP server (the official `mcp` package), and that server over stdio."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from typing import Any

from mcp import types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.shared.exceptions import MCPError

from kopt import __version__
from kopt.cli.common import INTERRUPTED
from kopt.cli.mcp.tools import TOOLS, Toolbox
from kopt.rl.service.jobs import Service

INSTRUCTIONS = (
    "kopt judges faster implementations of PyTorch operators. Call describe_problem first; write "
    "destination-passing C++; evaluate with effort quick; read the reason and mend one thing at a time; compare "
    "variants; submit the winner. "
    "A verdict is the judge's: it is measured, on inputs that you cannot see, and cannot be argued with."
)
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def build(service: Service) -> Server[Any]:
    """The MCP server over a service."""
    toolbox = Toolbox(service)

    async def list_tools(
        _context: ServerRequestContext[Any], _asked: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        return types.ListToolsResult(tools=_tools())

    async def call_tool(
        _context: ServerRequestContext[Any], asked: types.CallToolRequestParams
    ) -> types.CallToolResult:
        if asked.name not in TOOLS:
            message = f"no tool {asked.name[:40]!r}; there are {', '.join(TOOLS)}"
            raise MCPError(code=types.INVALID_PARAMS, message=message)
        answer = await toolbox.call(asked.name, asked.arguments or {})
        return types.CallToolResult(
            content=[types.TextContent(type="text", text=answer.text)],
            structured_content=dict(answer.content) or None,
            is_error=bool(answer.error),
        )

    return Server(
        "kopt",
        version=__version__,
        instructions=INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


def _tools() -> list[types.Tool]:
    return [
        types.Tool(
            name=tool.name,
            description=tool.description,
            input_schema=_without_titles(tool.arguments.model_json_schema()),
            annotations=types.ToolAnnotations(
                read_only_hint=tool.reads, destructive_hint=False, open_world_hint=False
            ),
        )
        for tool in TOOLS.values()
    ]


def _without_titles(schema: Any) -> Any:
    """A JSON schema without pydantic's titles, which tell a model nothing and cost it tokens."""
    if isinstance(schema, dict):
        return {key: _without_titles(value) for key, value in schema.items() if key != "title"}
    return schema


def on_signals(end: Callable[[], None]) -> None:
    """Call ``end`` in the running loop when this process is asked to end; a second request is ignored."""
    loop = asyncio.get_running_loop()

    def once() -> None:
        for number in _SIGNALS:
            loop.add_signal_handler(number, lambda: None)
        end()

    for number in _SIGNALS:
        loop.add_signal_handler(number, once)


async def serve_stdio(service: Service) -> None:
    """Serve one client on stdin and stdout until it goes away; then nothing is left running."""

    async def leave() -> None:
        await service.close()
        os._exit(INTERRUPTED)  # a thread waits for the next line of stdin and cannot be told otherwise

    ending: list[asyncio.Task[None]] = []
    async with service:
        on_signals(lambda: ending.append(_started(leave)))
        server = build(service)
        async with stdio_server() as (read, write):
            await server.run(read, write, server.create_initialization_options())


def _started(work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
    async def run() -> None:
        await work()

    return asyncio.create_task(run())
