"""``kopt sandbox`` and ``--sandbox docker``, through the command."""

from __future__ import annotations

import json

import pytest
from cli_harness import CPP, kopt, one_line


def test_status_without_a_daemon(tmp_path):
    nowhere = {"DOCKER_HOST": f"unix://{tmp_path}/nothing.sock"}
    done = kopt("sandbox", "status", "--json", env=nowhere)
    found = json.loads(done.stdout)["backends"]
    assert set(found) == {"bubblewrap", "docker"} and found["docker"]["usable"] is False
    assert done.returncode == (0 if found["bubblewrap"]["usable"] else 1)
    text = kopt("sandbox", "status", env=nowhere).stdout
    assert "bubblewrap" in text and "docker" in text
    failed = kopt("sandbox", "build", env=nowhere)
    assert failed.returncode == 2 and "docker" in one_line(failed.stderr).lower()


@pytest.mark.needs("docker")
@pytest.mark.slow
def test_build_status_and_evaluate_in_docker(docker, problem):
    built = json.loads(kopt("sandbox", "build", "--json").stdout)
    assert built["image"]["digest"].startswith("sha256:") and built["isolation"]["backend"] == "docker"
    found = json.loads(kopt("sandbox", "status", "--json").stdout)["backends"]["docker"]
    assert found["usable"] and found["image"] == built["image"] and found["orphans"] == 0
    assert json.loads(kopt("doctor", "--json").stdout)["docker"]["usable"] is True
    (problem.parent / "k.cpp").write_text(CPP)
    (problem.parent / "wrong.cpp").write_text(CPP.replace("+ 1.0f", "+ 1.01f"))
    common = ("--set", "rows=32", "--sandbox", "docker", "--json")
    right = json.loads(kopt("evaluate", problem, problem.parent / "k.cpp", *common).stdout)
    assert right["sandbox"]["backend"] == "docker"
    assert right["sandbox"]["layers"]["image"].startswith(built["image"]["digest"])
    assert right["verdict"] in ("correct", "tampered"), right[
        "reason"
    ]  # the latter where the machine is loaded
    wrong = json.loads(kopt("evaluate", problem, problem.parent / "wrong.cpp", *common).stdout)
    assert wrong["verdict"] == "wrong"
