"""Edits apply exactly, inside their scope, all or none; what does not apply is answered with the nearest match."""

from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kopt.agents.edits import (
    Edit,
    EditError,
    Scope,
    apply_edits,
    editable_lines,
    parse_edits,
    whole_file,
)

SOURCE = """import numpy as np

# EVOLVE-BLOCK-START
def total(values):
    result = 0
    for value in values:
        result += value
    return result
# EVOLVE-BLOCK-END

def main():
    result = 0
    return total([1, 2]) + result
"""


def block(search, replace, path="code.py"):
    return f"{path}\n<<<<<<< SEARCH\n{search}=======\n{replace}>>>>>>> REPLACE\n"


def edit(search, replace="x\n", path=None):
    return [Edit(path=path, search=search, replace=replace)]


def test_a_reply_with_several_edits():
    reply = (
        "First I make it fast.\n\n**code.py**\n```python\n<<<<<<< SEARCH\n    for value in values:\n"
        "        result += value\n=======\n    result = int(np.sum(values))\n>>>>>>> REPLACE\n```\n"
        "Then the name.\n" + block("    return result\n", "    return int(result)\n")
    )
    edits = parse_edits(reply)
    assert [e.path for e in edits] == ["code.py", "code.py"]
    changed = apply_edits({"code.py": SOURCE}, edits[:1], Scope())
    assert "    result = 0\n    result = int(np.sum(values))\n    return result\n" in changed["code.py"]
    assert changed["code.py"].count("\n") == SOURCE.count("\n") - 1


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        ("I would use SIMD.", "holds no edits"),
        ("a.py\n<<<<<<< SEARCH\nx\n", "no line `=======`"),
        ("a.py\n<<<<<<< SEARCH\nx\n=======\ny\n", "no line `>>>>>>> REPLACE`"),
    ],
)
def test_replies_without_usable_blocks(reply, says):
    with pytest.raises(EditError, match=says):
        parse_edits(reply)


def test_the_nearest_match_is_shown_with_line_numbers():
    text = "".join(f"int a{i} = {i};\n" for i in range(300))
    text += "for (int i = 0; i < n; ++i) {\n  sum += x[i];\n}\n"
    with pytest.raises(EditError) as raised:
        apply_edits({"k.cpp": text}, edit("for (int i = 0; i < n; ++i) {\n  sum += y[i];\n}\n"), Scope())
    says = str(raised.value)
    assert says.startswith("edit 1 of 1 does not apply to k.cpp: nearest match at lines 301-303 (")
    assert "  302|   sum += x[i];" in says
    assert says.endswith("line 302 is '  sum += x[i];', SEARCH has '  sum += y[i];'")


def test_the_nearest_match_is_quick_and_short():
    text = "".join(f"    value_{i % 97} = compute({i}) + value_{i % 31}\n" for i in range(20_000))
    search = "".join(f"  value_{i % 97} = computes({i}) + value_{i % 31}\n" for i in range(5000, 5040))
    started = time.monotonic()
    with pytest.raises(EditError) as raised:
        apply_edits({"big.py": text}, edit(search), Scope())
    assert time.monotonic() - started < 10
    assert "lines 5001-5040" in str(raised.value) and len(str(raised.value).splitlines()) < 20


@pytest.mark.parametrize(
    ("search", "replace", "says"),
    [
        ("    result = 0\n", "    result = 1\n", "matches code.py at lines 5, 12"),
        ("def main():\n", "def main(x):\n", "lines 11-11 of code.py may not be changed; lines 4-8 may"),
        ("    return result\n# EVOLVE-BLOCK-END\n", "", "markers stay"),
        ("    for value in values:\n", "# EVOLVE-BLOCK-END\n", "markers stay"),
        ("", "x = 1\n", "SEARCH must hold the lines"),
    ],
)
def test_what_may_not_be_done(search, replace, says):
    with pytest.raises(EditError, match=says):
        apply_edits({"code.py": SOURCE}, edit(search, replace), Scope())


def test_scope_by_paths():
    sources, scope = {"src/a.py": "a = 1\n", "tests/t.py": "assert a\n"}, Scope(paths=("src/*",))
    assert apply_edits(sources, edit("a = 1\n", "a = 2\n"), scope)["src/a.py"] == "a = 2\n"
    with pytest.raises(EditError, match=r"tests/t\.py may not be changed"):
        apply_edits(sources, edit("assert a\n", "", "tests/t.py"), scope)
    for path in ("../etc/passwd", "/etc/passwd", "src/../../x.py"):
        with pytest.raises(EditError, match="may not be changed"):
            apply_edits(sources, edit("", "x", path), scope)
    assert apply_edits(sources, edit("", "b = 1\n", "src/b.py"), scope)["src/b.py"] == "b = 1\n"
    with pytest.raises(EditError, match=r"no file src/c\.py"):
        apply_edits(sources, edit("c\n", "b\n", "src/c.py"), scope)


def test_all_or_none():
    sources = {"k.py": "a\nb\n"}
    with pytest.raises(EditError, match="edit 2 of 2"):
        apply_edits(sources, edit("a\n", "c\n") + edit("zzz\n"), Scope())
    assert sources == {"k.py": "a\nb\n"}


def test_markers_come_in_pairs():
    assert editable_lines("a\nb\n") is None
    for text in ("EVOLVE-BLOCK-START\n", "EVOLVE-BLOCK-END\n", "EVOLVE-BLOCK-START\nEVOLVE-BLOCK-START\n"):
        with pytest.raises(EditError, match="EVOLVE-BLOCK"):
            editable_lines(text)


LINES = st.lists(st.sampled_from(["a", "b", "  c", "", "d  "]), min_size=1, max_size=8)


@given(LINES, st.data())
def test_an_edit_changes_its_lines_and_no_others(lines, data):
    """Lines made unique by their number: any span can be replaced, and the rest stays to the byte."""
    lines = [f"{number} {line}\n" for number, line in enumerate(lines)]
    begin = data.draw(st.integers(0, len(lines) - 1))
    end = data.draw(st.integers(begin + 1, len(lines)))
    new = "".join(f"{line}\n" for line in data.draw(LINES))
    reply = block("".join(lines[begin:end]), new, "f.py")
    changed = apply_edits({"f.py": "".join(lines)}, parse_edits(reply), Scope())
    assert changed["f.py"] == "".join(lines[:begin]) + new + "".join(lines[end:])


@pytest.mark.parametrize(
    "reply",
    [
        "```cpp\n" * 30_000,
        "".join("`" * count + "x\n" for count in range(3, 630)),
        "```" + "a" * 200_000 + "`",
        "```" + " " * 200_000 + "`\n",
        "`" * 200_000,
        "```\n" * 50_001,
    ],
    ids=["opened", "opened longer", "a long word", "blanks", "backticks", "bare"],
)
def test_hostile_replies_take_no_time(reply):
    began = time.perf_counter()
    with contextlib.suppress(EditError):
        whole_file(reply)
    assert time.perf_counter() - began < 1


def test_blocks_within_blocks():
    assert whole_file("````md\n```cpp\nint x;\n```\n````\n") == ("md", "```cpp\nint x;\n```\n")
    assert whole_file("````open\n```cpp\nint x;\n```  \n") == ("cpp", "int x;\n")
    assert whole_file("```c++ of `mine`\n```py title\n```") == ("py", "")


def test_whole_files():
    reply = "Plan:\n```\nthink\n```\nso\n```cpp\nint x;\n// ``` inside\n```\nDone."
    assert whole_file(reply) == ("cpp", "int x;\n// ``` inside\n")
    with pytest.raises(EditError, match="ends inside its code block"):
        whole_file("```cpp\nint x;\n")
    with pytest.raises(EditError, match="holds no file"):
        whole_file("I cannot help with that.")
