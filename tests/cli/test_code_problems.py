"""`kopt evaluate` and `kopt optimize` on the shipped code problems: all is real but the model, which is scripted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from cli_harness import kopt, one_line

sys.path.append(str(Path(__file__).parent.parent / "agents"))

from fake_openai import FakeOpenAI, say

from kopt.problems import load, suite_code
from kopt.problems.patches import make_patch

pytestmark = [pytest.mark.needs("bubblewrap", "git"), pytest.mark.slow]

ROLLING = (
    """    for end in range(window, len(values) + 1):
        part = values[end - window : end]
        deviation = np.std(part)
        if deviation > 1e-12:
            result[end - 1] = (values[end - 1] - np.mean(part)) / deviation
    return result
""",
    """    if len(values) >= window:
        parts = np.lib.stride_tricks.sliding_window_view(values, window)
        deviation = parts.std(axis=1)
        kept = deviation > 1e-12
        gap = values[window - 1 :] - parts.mean(axis=1)
        result[window - 1 :] = np.where(kept, gap / np.where(kept, deviation, 1.0), 0.0)
    return result
""",
)
INVERSIONS = (
    """  uint64_t count = 0;
  for (size_t i = 0; i < values.size(); ++i)
    for (size_t j = i + 1; j < values.size(); ++j)
      if (values[i] > values[j]) ++count;
  return count;
""",
    """  std::vector<uint32_t> sorted(values), room(values.size());
  uint64_t count = 0;
  const size_t n = sorted.size();
  for (size_t width = 1; width < n; width *= 2) {
    for (size_t low = 0; low < n; low += 2 * width) {
      const size_t middle = low + width < n ? low + width : n, high = low + 2 * width < n ? low + 2 * width : n;
      size_t i = low, j = middle, k = low;
      while (i < middle && j < high) {
        if (sorted[i] <= sorted[j]) {
          room[k++] = sorted[i++];
        } else {
          count += middle - i;
          room[k++] = sorted[j++];
        }
      }
      while (i < middle) room[k++] = sorted[i++];
      while (j < high) room[k++] = sorted[j++];
    }
    sorted.swap(room);
  }
  return count;
""",
)
COMPONENTS = (
    """    seen, sizes = [], []
    for start in range(nodes):
        if start in seen:
            continue
        queue, size = [start], 0
        seen.append(start)
        while queue:
            node = queue.pop(0)
            size += 1
            for other in neighbours(edges, node):
                if other not in seen:
                    seen.append(other)
                    queue.append(other)
        sizes.append(size)
    return sorted(sizes, reverse=True)
""",
    """    parent = list(range(nodes))
    for one, other in edges:
        while parent[one] != one:
            parent[one] = one = parent[parent[one]]
        while parent[other] != other:
            parent[other] = other = parent[parent[other]]
        parent[one] = other
    sizes = {}
    for node in range(nodes):
        while parent[node] != node:
            node = parent[node]
        sizes[node] = sizes.get(node, 0) + 1
    return sorted(sizes.values(), reverse=True)
""",
)
BETTER = {
    "rolling_zscore": ("routine.py", *ROLLING),
    "inversions": ("inversions.cpp", *INVERSIONS),
    "components": ("components/graph.py", *COMPONENTS),
}


def edit(path: str, search: str, replace: str) -> str:
    return f"{path}\n<<<<<<< SEARCH\n{search}=======\n{replace}>>>>>>> REPLACE\n"


def improved(name: str, folder: Path) -> Path:
    """A patch with the improvement."""
    path, search, replace = BETTER[name]
    before = load(suite_code()[name]).sources
    patch = folder / f"{name}.patch"
    patch.write_text(make_patch(before, {path: before[path].replace(search, replace)}))
    return patch


@pytest.mark.needs("litellm", "tree_sitter")
@pytest.mark.parametrize("name", BETTER)
def test_a_scripted_agent_improves_what_ships(name, tmp_path):
    """Its first edit does not apply and is answered with the nearest match; the second wins and becomes a patch."""
    path, search, replace = BETTER[name]
    original = load(suite_code()[name]).sources
    asked: list[str] = []

    def model(body: dict) -> object:
        asked.append("\n".join(str(message["content"]) for message in body["messages"]))
        if "nearest match" in asked[-1]:
            return say("A better algorithm.\n" + edit(path, search, replace))
        return say("A first try.\n" + edit(path, search.replace("    ", "  "), replace))

    home = {"KOPT_HOME": str(tmp_path / "home"), "KOPT_MODEL_KEY": "sk-test"}
    with FakeOpenAI(model) as server:
        options = [
            "--model",
            f"openai/toy@{server.url}",
            "--budget-evaluations",
            "2",
            "--budget-seconds",
            "250",
        ]
        done = kopt("optimize", name, *options, "--json", env=home, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout)
    assert result["won"] and result["kernel"] is None and result["best"]["verdict"] == "correct"
    assert result["best"]["speedup"]["before"]["low"] > 1.2
    assert {"before", "candidate"} == set(result["best"]["timing"])
    told = " ".join(asked)
    assert "The original files" in told
    for hidden in ("generate.py SIZE", "1000000007", "SIZE values that wander"):
        assert hidden not in told

    patch = Path(result["patch"])
    text = patch.read_text()
    assert "times as fast as before" in text and "before: " in text and "candidate: " in text
    for file, content in original.items():
        target = tmp_path / "tree" / file
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content)
    subprocess.run(["git", "init", "-q"], cwd=tmp_path / "tree", check=True)
    subprocess.run(["git", "apply", str(patch)], cwd=tmp_path / "tree", check=True)
    assert (tmp_path / "tree" / path).read_text() == original[path].replace(search, replace)


def test_evaluate_takes_a_patch_and_its_status_tells_the_verdict(tmp_path):
    done = kopt("evaluate", "inversions", improved("inversions", tmp_path), "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["verdict"] == "correct" and found["speedup"]["before"]["low"] > 1.2
    assert [stage["name"] for stage in found["stages"]] == ["static", "build", "verify", "measure"]

    folder = tmp_path / "changed"
    folder.mkdir()
    (folder / "main.py").write_text("print(1)\n")
    done = kopt("evaluate", "components", folder, "--json")
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert found["verdict"] == "rejected" and "main.py may not be changed" in found["reason"]
    assert found["speedup"] == {"before": None}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("evaluate", "inversions", "nothing.patch"), "no such file"),
        (("evaluate", "inversions", ".", "--sanitize"), "neither sanitized nor profiled"),
        (("evaluate", "inversions", ".", "--set", "a=1"), "no constants"),
        (("optimize", "inversions"), "needs a model"),
        (
            ("optimize", "inversions", "--model", "openai/x@http://127.0.0.1:9/v1", "--review", "1"),
            "leave --plan",
        ),
        (("lint", "inversions"), "kopt evaluate"),
        (("profile", "inversions"), "kopt evaluate"),
    ],
)
def test_what_makes_no_sense_for_code_is_said_in_one_line(words, told, tmp_path):
    done = kopt(*words, cwd=tmp_path)
    assert done.returncode == 2
    assert told in one_line(done.stderr)
