"""Kernels from a real library on disk: the alike ones, only those whose bytes are right, the same for a whole run."""

from __future__ import annotations

import pytest

from kopt.kernels.library import admit, find, remove
from kopt.problems import load, suite_problems
from kopt.rl.looking import lookups
from kopt.rl.retrieval import similar_kernels
from kopt.settings import Settings


def problem(name):
    return load(suite_problems()[name])


@pytest.fixture
def settings(tmp_path):
    return Settings(home=tmp_path)


def put(settings, name, of, gain=1.5, source=None):
    given = problem(of)
    certificate = {
        "problem": {"name": of, "entry": given.entry},
        "candidate": {"language": "cpp"},
        "evaluation": {"speedup": {"eager": {"ratio": gain + 1}, "compile": {"ratio": gain}, "other": None}},
    }
    files = {"candidate/kernel.cpp": (source or f"int {name};").encode()}
    files |= {f"reference/{path}": text.encode() for path, text in given.sources.items()}
    admit(name, certificate, files, settings.library)


def names(settings, of, most=2, run=""):
    return [kernel.name for kernel in similar_kernels(problem(of), most, settings, run)]


def test_the_most_alike_come_first_and_the_unlike_not_at_all(settings):
    assert names(settings, "rms_norm") == []
    for name, of, gain in (
        ("soft", "softmax", 9.0),
        ("added", "add_rms_norm", 1.2),
        ("rms", "rms_norm", 1.7),
    ):
        put(settings, name, of, gain)
    assert names(settings, "rms_norm") == ["rms", "added"] and names(settings, "rms_norm", most=1) == ["rms"]
    assert names(settings, "log_softmax") == ["soft"] and names(settings, "max_pool2d") == []
    (kernel,) = similar_kernels(problem("log_softmax"), 2, settings)
    assert (kernel.language, kernel.gain, kernel.source) == ("cpp", 9.0, "int soft;")


def test_a_kernel_whose_bytes_have_changed_is_not_shown(settings):
    put(settings, "soft", "softmax")
    put(settings, "more", "softmax")
    file = find("soft", settings.library).path / "candidate/kernel.cpp"
    file.chmod(0o600)
    file.write_text("int forged;")
    (settings.library / "odd").mkdir()
    assert names(settings, "softmax") == ["more"]


def test_a_run_is_shown_the_same_to_its_end(settings):
    put(settings, "soft", "softmax")
    assert names(settings, "softmax", run="r1") == ["soft"]
    remove("soft", settings.library)
    put(settings, "newer", "softmax")
    assert names(settings, "softmax", run="r1") == ["soft"] and names(settings, "softmax", run="r2") == [
        "newer"
    ]
    for file in (settings.home / "retrieved").rglob("*.json"):
        file.write_text('{"reply": {"kernels": [1]}}')
    assert names(settings, "softmax", run="r1") == ["newer"]  # what cannot be read is looked up anew


def test_models_look_up_kernels_and_notes_and_a_run_is_told_the_same_again(settings):
    put(settings, "soft", "softmax", 3.0)
    library, notes = (tool.call for tool in lookups(settings, "run1"))
    assert "soft (cpp, 3 times" in library({"words": "softmax  of rows"}) and "int soft;" in library(
        {"words": "softmax"}
    )
    assert "exp" in notes({"words": "softmax exp"})
    remove("soft", settings.library)
    assert "int soft;" in library({"words": "softmax of rows"})
    other, _ = (tool.call for tool in lookups(settings, "run2"))
    assert other({"words": "softmax"}) == "nothing is known of that"
    for bad in ({}, {"words": 7}, {"words": "  "}):
        with pytest.raises(ValueError, match='"words"'):
            library(bad)
