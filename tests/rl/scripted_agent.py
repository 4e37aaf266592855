"""A test double: a coding agent that plays a script, named in its command line, instead of thinking."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

WRONG = """#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>
void kernel(tvm::ffi::TensorView a, tvm::ffi::TensorView c) {
  const float* x = static_cast<const float*>(a.data_ptr());
  float* y = static_cast<float*>(c.data_ptr());
#pragma omp parallel for simd
  for (int64_t i = 0; i < a.numel(); ++i) y[i] = x[i] < 0 ? FORBELOW : x[i] * x[i] + x[i];
}
TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, kernel);
"""
RIGHT = WRONG.replace("FORBELOW", "0 - x[i]")


def judge(*words):
    done = subprocess.run(["./judge", *words], capture_output=True, text=True, check=False)
    return {"status": done.returncode, "said": done.stdout + done.stderr}


def write(name, text):
    Path(name).write_text(text)
    return name


def below(place):
    try:
        return sorted(path.name for path in Path(place).iterdir())
    except OSError as error:
        return [type(error).__name__]


def can_write(place):
    try:
        Path(place, "kopt-was-here").write_text("x")
    except OSError:
        return False
    return True


def improve():
    found = {"task": Path("TASK.md").exists(), "reference": Path("reference.py").read_text()}
    found["call"] = json.loads(Path("problem.json").read_text())["call"]["order"]
    found["wrong"] = judge(write("kernel.cpp", WRONG.replace("FORBELOW", "1")))
    found["right"] = judge(write("kernel.cpp", RIGHT))
    found["again"] = judge("kernel.cpp", "--json")
    found["none"] = judge()
    found["results"] = Path("judged/results.tsv").read_text()
    write("found.json", json.dumps(found))


def look():
    """What an agent that is not content with its workspace gets to see."""
    home, package, environment = sys.argv[2:]
    found = {
        "home": below(home),
        "package": below(package),
        "writes": [can_write(place) for place in (home, environment, "/usr", "/etc")],
        "processes": sum(name.isdigit() for name in below("/proc")),
        "environment": [name for name in os.environ if name.startswith("KOPT_")],
        "run": below("/run"),
        "tmp": below("/tmp"),
    }
    Path("found.json").write_text(json.dumps(found))


def babble():
    """Whatever is said at the door, the run goes on."""
    for said in (
        b"",
        b"{",
        b"[]",
        b"\xff" * 100,
        b'{"op": "judge"}',
        b'{"files": {"a.cpp": 3}}',
        b"x" * (3 << 20),
    ):
        link = socket.socket(socket.AF_UNIX)
        link.connect(".door")
        try:
            link.sendall(said)
            link.shutdown(socket.SHUT_WR)
            link.recv(1 << 16)
        except OSError:
            pass
        link.close()
    judge(write("kernel.cpp", RIGHT))


def stay():
    judge(write("kernel.cpp", RIGHT))
    subprocess.Popen(["sleep", "7071"], start_new_session=True)
    time.sleep(7071)


def more():
    """A second session: other candidates than before."""
    seen = Path("judged/results.tsv").read_text()
    judge(write("kernel.cpp", RIGHT + f"// {time.time_ns()}\n"))
    write("found.json", json.dumps({"before": seen}))


def code():
    path = Path("project/squares.py")
    text = path.read_text()
    found = {"shown": below("project"), "unchanged": judge()}
    path.write_text(text.replace("    time.sleep(0.12)\n", ""))
    write("project/junk.txt", "of no interest")
    found["changed"] = judge()
    write("found.json", json.dumps(found))


{"improve": improve, "look": look, "babble": babble, "stay": stay, "more": more, "code": code}[sys.argv[1]]()
