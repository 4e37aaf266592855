"""The command line of `kopt mcp`: what it refuses, and the skill file."""

from __future__ import annotations

import os
import re

import pytest
from cli_harness import kopt, one_line


@pytest.mark.needs("mcp")
def test_unusable_options_are_one_line_and_status_2(tmp_path):
    (tmp_path / "short").write_text("abc\n")
    (tmp_path / "spaced").write_text("a token with spaces in it\n")
    for args in (
        ["--http", "nowhere"],
        ["--http", "127.0.0.1:99999"],
        ["--http", "203.0.113.1:8765"],
        ["--http", "0", "--token-file", tmp_path / "missing"],
        ["--http", "0", "--token-file", tmp_path / "short"],
        ["--http", "0", "--token-file", tmp_path / "spaced"],
        ["--token-file", tmp_path / "spaced"],
        ["--json"],
        ["--budget-seconds", "nan"],
        ["--budget-evaluations", "0"],
    ):
        done = kopt("mcp", *args)
        assert done.returncode == 2 and one_line(done.stderr).startswith("kopt: "), args


def test_the_skill_names_every_tool_an_agent_begins_with():
    text = kopt("mcp", "--skill").stdout
    assert text.startswith("---\nname: kopt\n") and len(text) < 6000
    named = set(re.findall(r"`(\w+)`", text))
    assert {"describe_problem", "evaluate", "library_search", "job_status", "job_cancel"} <= named
    for word in ("cannot be argued with", "destination-passing C++", "one thing", "Compare", "Submit"):
        assert word in text
    assert os.environ["KOPT_HOME"] not in text
