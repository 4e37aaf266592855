"""``kopt mcp``: the service as an MCP server for coding agents.

It lives beside the other commands and not among the agents: it needs the loop (`kopt.rl`), which agents may not
import, and like every command it only gives a face to what the rooms below can do.
"""
