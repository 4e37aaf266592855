"""Code problems as text: the folder, its rules, and patches."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kopt.errors import ProblemError, UsageError
from kopt.problems import load, suite_code
from kopt.problems.code import rules_of, visible
from kopt.problems.patches import apply_patch, make_patch
from kopt.problems.scope import MarkerError, fixed_lines
from kopt.rl.code_candidate import read_change

RULES = 'editable = ["a.py"]\nrun = "python a.py"\npairs = "judge"\n'


def folder(at: Path, rules: str = RULES) -> Path:
    (at / "judge").mkdir(parents=True)
    for name, text in {
        "kopt.toml": rules,
        "a.py": "print(1)\n",
        "judge/x.in": "",
        "judge/x.out": "1\n",
    }.items():
        (at / name).write_text(text)
    return at


def test_what_is_the_judges_is_not_visible(tmp_path):
    (folder(tmp_path) / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.pyc").write_text("x")
    (tmp_path / "link").symlink_to("/etc/passwd")
    (tmp_path / "data.bin").write_bytes(b"\xff\x00")
    problem = load(tmp_path)
    assert set(problem.sources) == {"kopt.toml", "a.py", "judge/x.in", "judge/x.out"}
    assert set(visible(problem.sources)) == {"a.py"}
    assert load(tmp_path / "kopt.toml").digest == problem.digest


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        ("editable = [", "not TOML"),
        ('run = "x"\n', "editable: field required"),
        (RULES + "colour = 1\n", "colour: extra inputs are not permitted"),
        (RULES.replace('"a.py"', '"b.py"', 1), "'b.py' is no file"),
        (RULES.replace('"a.py"', '"judge/*"', 1), "matches no file"),
        (RULES.replace('pairs = "judge"\n', ""), "there is nothing to compare"),
        (RULES.replace('"judge"', '"."'), "nothing to compare"),
        (RULES + "sizes = [1]\n", "sizes are for generate"),
        (RULES + 'generate = "x"\n', "generate needs sizes"),
        (RULES + 'shown = ["y"]\n', "there is no pair 'y'"),
        (RULES + 'timed = ["y"]\n', "'y' is neither"),
        (RULES + 'compare = "loosely"\n', "compare"),
    ],
)
def test_rules_that_do_not_fit_are_named_in_one_line(tmp_path, rules, told):
    with pytest.raises(ProblemError) as caught:
        load(folder(tmp_path, rules))
    assert told in str(caught.value) and "kopt.toml" in str(caught.value) and "\n" not in str(caught.value)


def test_the_shipped_ones_load():
    assert set(suite_code()) == {"components", "inversions", "rolling_zscore"}
    for path in suite_code().values():
        assert rules_of(load(path)).about


def test_markers():
    text = "a\n# EVOLVE-BLOCK-START\nb\n# EVOLVE-BLOCK-END\nc\n"
    assert fixed_lines(text) == fixed_lines(text.replace("b\n", "d\ne\n"))
    assert fixed_lines(text) != fixed_lines(text.replace("c\n", "C\n"))
    assert fixed_lines("a\n") is None
    with pytest.raises(MarkerError, match="line 2"):
        fixed_lines("a\n# EVOLVE-BLOCK-START\n")


LINES = st.lists(st.sampled_from(["a", "b", "c", "", "--- a/x", "+++ b/x", "@@ -1 +1 @@"]), max_size=30)
TEXT = st.builds(lambda lines, end: "\n".join(lines) + ("\n" if lines and end else ""), LINES, st.booleans())


@given(TEXT, TEXT, TEXT)
def test_a_patch_applies_to_what_it_was_made_from(old, new, made):
    before = {"x/y.py": old, "z": "z\n"}
    after = {"x/y.py": new, "w.py": made}
    patch = make_patch(before, after, "so much faster: 2.0")
    expected = {name: text for name, text in after.items() if before.get(name, "") != text}
    if expected:
        assert apply_patch(before, patch) == expected


@pytest.mark.needs("git")
def test_git_applies_our_patches_and_we_apply_gits(tmp_path):
    before = {"a/b.py": "".join(f"line {n}\n" for n in range(60)), "c.txt": "no end"}
    after = {
        "a/b.py": before["a/b.py"].replace("line 7\n", "seven\n\n").replace("line 50\n", ""),
        "c.txt": "an end\n",
    }
    after["new/d.py"] = "made\n"
    for name, text in before.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)

    def git(*words: str, given: str | None = None) -> str:
        return subprocess.run(
            ["git", *words], cwd=tmp_path, input=given, capture_output=True, text=True, check=True
        ).stdout

    git("init", "-q")
    git("add", ".")
    git("apply", "-", given=make_patch(before, after, "before 2 s\nafter 1 s"))
    assert {name: (tmp_path / name).read_text() for name in after} == after
    git("add", "-N", ".")
    assert apply_patch(before, git("diff")) == after


@pytest.mark.parametrize(
    ("patch", "told"),
    [
        ("hello\n", "changes nothing"),
        ("--- a/a.py\n+++ b/a.py\n@@ -1 +1 @@\n-print(2)\n+print(3)\n", "hunk 1 for a.py does not apply"),
        ("--- a/no.py\n+++ b/no.py\n@@ -1 +1 @@\n-1\n+2\n", "which the problem does not have"),
        ("--- a/a.py\n+++ /dev/null\n@@ -1 +0,0 @@\n-print(1)\n", "deleting"),
        ("diff --git a/a.py b/b.py\nrename from a.py\nrename to b.py\n", "renaming"),
        ("--- a/a.py\n+++ b/a.py\n@@ -1 +1,5 @@\n-print(1)\n+2\n", "cut short"),
        ("--- /dev/null\n+++ b/a.py\n@@ -0,0 +1 @@\n+2\n", "which exists"),
    ],
)
def test_a_patch_that_cannot_be_used_is_refused(tmp_path, patch, told):
    problem = load(folder(tmp_path / "problem"))
    (tmp_path / "change.patch").write_text(patch)
    with pytest.raises(UsageError, match=told):
        read_change(problem, tmp_path / "change.patch")


def test_a_change_is_read_from_a_patch_a_folder_or_a_file(tmp_path):
    problem = load(folder(tmp_path / "problem"))
    other = folder(tmp_path / "other")
    (other / "a.py").write_text("print(1 )\n")
    (tmp_path / "c.patch").write_text("--- a/a.py\n+++ b/a.py\n@@ -1 +1 @@\n-print(1)\n+print(1 )\n")
    read = [read_change(problem, path) for path in (other, tmp_path / "c.patch", other / "a.py")]
    assert [candidate.sources for candidate in read] == [{"a.py": "print(1 )\n"}] * 3
    assert len({candidate.digest for candidate in read}) == 1
    assert read_change(problem, tmp_path / "problem").sources == {"a.py": "print(1)\n"}
    with pytest.raises(UsageError, match="one file named like"):
        read_change(problem, other / "judge" / "x.in")
