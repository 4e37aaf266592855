"""Occupancy against NVIDIA's own calculator, the header that ships with Triton and the CUDA toolkit."""

from __future__ import annotations

import importlib.util
import itertools
import random
import subprocess
from pathlib import Path

import pytest

from kopt.sandbox.runner.toolchains.multiprocessor import LIMITS, warps_with
from kopt.verifiers.profile import occupancy

CALCULATOR = r"""
#include <climits>
#include <cstdio>
#include <cstring>
#include "cuda_occupancy.h"

int main() {
  int major, minor, warps, shared_sm, reserved, threads, registers, shared;
  while (scanf("%d %d %d %d %d %d %d %d", &major, &minor, &warps, &shared_sm, &reserved, &threads, &registers,
               &shared) == 8) {
    cudaOccDeviceProp device;
    memset(static_cast<void*>(&device), 0, sizeof device);
    device.computeMajor = major, device.computeMinor = minor;
    device.maxThreadsPerBlock = 1024, device.maxThreadsPerMultiprocessor = 32 * warps;
    device.regsPerBlock = device.regsPerMultiprocessor = 65536, device.warpSize = 32;
    device.sharedMemPerBlock = 48 << 10, device.sharedMemPerMultiprocessor = shared_sm, device.numSms = 1;
    device.sharedMemPerBlockOptin = shared_sm - reserved, device.reservedSharedMemPerBlock = reserved;
    cudaOccFuncAttributes kernel;
    memset(static_cast<void*>(&kernel), 0, sizeof kernel);
    kernel.maxThreadsPerBlock = 1024, kernel.numRegs = registers, kernel.sharedSizeBytes = shared;
    kernel.partitionedGCConfig = PARTITIONED_GC_OFF, kernel.shmemLimitConfig = FUNC_SHMEM_LIMIT_OPTIN;
    kernel.maxDynamicSharedSizeBytes = 0;
    cudaOccDeviceState state;
    memset(static_cast<void*>(&state), 0, sizeof state);
    state.carveoutConfig = SHAREDMEM_CARVEOUT_MAX_SHARED;
    cudaOccResult found;
    int status = cudaOccMaxActiveBlocksPerMultiprocessor(&found, &device, &kernel, &state, threads, 0);
    printf("%d\n", status ? -status : found.activeBlocksPerMultiprocessor);
  }
}
"""


@pytest.fixture(scope="module")
def calculator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    spec = importlib.util.find_spec("triton")
    if spec is None or spec.origin is None:
        pytest.skip("Triton, which brings the header, is not installed")
    include = Path(spec.origin).parent / "backends" / "nvidia" / "include"
    folder = tmp_path_factory.mktemp("occupancy")
    (folder / "main.cpp").write_text(CALCULATOR)
    command = ["g++", "-w", f"-I{include}", "-o", "calculator", "main.cpp"]
    subprocess.run(command, cwd=folder, check=True, timeout=120)
    return folder / "calculator"


@pytest.mark.needs("triton")
def test_occupancy_is_what_nvidias_calculator_says(calculator: Path) -> None:
    chance = random.Random(0)
    kernels = [
        *itertools.product(
            (32, 96, 128, 256, 512, 1024), (16, 32, 40, 64, 96, 128, 160, 168, 192, 255), (0, 16 << 10)
        ),
        *(
            (32 * chance.randint(1, 32), chance.randint(16, 255), chance.randint(0, 99 << 10))
            for _ in range(300)
        ),
    ]
    cases = [(arch, limits, *kernel) for arch, limits in LIMITS.items() for kernel in kernels]
    lines = "".join(
        f"{arch // 10} {arch % 10} {limits.warps} {limits.shared} {limits.reserved} {threads} {registers} {shared}\n"
        for arch, limits, threads, registers, shared in cases
    )
    done = subprocess.run([calculator], input=lines, capture_output=True, text=True, check=True, timeout=60)
    blocks = [int(line) for line in done.stdout.split()]
    assert len(blocks) == len(cases) and min(blocks) >= 0 and max(blocks) >= 16
    for (arch, limits, threads, registers, shared), expected in zip(cases, blocks, strict=True):
        share, _ = occupancy.occupancy(limits, threads, registers, shared)
        found = round(share * limits.warps / -(-threads // 32))
        assert found == expected, (arch, threads, registers, shared)


def test_registers_bound_the_threads_of_a_block() -> None:
    # 65536 registers in four partitions, a warp's rounded up to 256: 255 each leave eight warps, and 256 threads.
    assert [warps_with(count) for count in (255, 168, 128, 64, 32)] == [8, 12, 16, 32, 64]
    assert LIMITS[90].block_shared == 227 << 10 and LIMITS[86].block_shared == 99 << 10
