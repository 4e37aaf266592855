"""The command line of `kopt mcp`: what it refuses, and the skill file."""

from __future__ import annotations

import os
import re

import pytest
from cli_harness import kopt, one_line

from kopt.errors import UsageError


@pytest.mark.parametrize("args", [["--http", "nowhere"], ["--json"], ["--budget-seconds", "nan"]])
@pytest.mark.needs("mcp")
def test_unusable_options_are_one_line_and_status_2(args):
    done = kopt("mcp", *args)
    assert done.returncode == 2 and one_line(done.stderr).startswith("kopt: ")


@pytest.mark.needs("mcp")
def test_addresses_are_loopback_unless_told_otherwise():
    from kopt.cli.mcp.over_http import is_loopback, listen, parse_address, url_of

    assert parse_address("8765") == parse_address(":8765") == ("127.0.0.1", 8765)
    assert parse_address("0.0.0.0:1") == ("0.0.0.0", 1) and parse_address("[::1]:2") == ("::1", 2)
    for text in ("", "nowhere", "127.0.0.1:", "127.0.0.1:99999", "127.0.0.1:-1"):
        with pytest.raises(UsageError, match="HOST:PORT"):
            parse_address(text)
    with listen("127.0.0.1", 0) as here, pytest.raises(UsageError, match="cannot listen"):
        assert is_loopback(here) and url_of(here).endswith(f":{here.getsockname()[1]}/mcp")
        listen(*here.getsockname())
    with listen("0.0.0.0", 0) as everywhere:
        assert not is_loopback(everywhere)
    with pytest.raises(UsageError, match="cannot listen"):
        listen("203.0.113.1", 0)


@pytest.mark.needs("mcp")
def test_a_token_is_one_long_word(tmp_path):
    from kopt.cli.mcp.over_http import new_token, read_token

    file = tmp_path / "token"
    for text in (
        b"",
        b"short\n",
        b"a token with spaces in it\n",
        b"\xff" * 20,
        b"two-long-words-that\nare-on-two-lines",
    ):
        file.write_bytes(text)
        with pytest.raises(UsageError, match="token"):
            read_token(file)
    with pytest.raises(UsageError, match="cannot be read"):
        read_token(tmp_path / "missing")
    file.write_text("  sixteen-letters-\n")
    assert read_token(file) == "sixteen-letters-"
    assert new_token() != new_token() and len(new_token()) > 40


def test_the_skill_names_every_tool_an_agent_begins_with():
    text = kopt("mcp", "--skill").stdout
    assert text.startswith("---\nname: kopt\n") and len(text) < 6000
    named = set(re.findall(r"`(\w+)`", text))
    assert {"describe_problem", "evaluate", "library_search", "job_status", "job_cancel"} <= named
    for word in ("cannot be argued with", "destination-passing C++", "one thing", "Compare", "Submit"):
        assert word in text
    assert os.environ["KOPT_HOME"] not in text
