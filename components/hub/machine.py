# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Cores, memory and accelerator of this machine, found without torch, whose import takes seconds."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Machine:
    """The machine that runs this process.

    Args:
        python: version of the interpreter.
        system: operating system and processor architecture.
        cores: processor cores that this process may use.
        memory: bytes of memory that it may use, or None where the system does not tell.
        gpus: name and memory of each accelerator that torch could use.
    """

    python: str
    system: str
    cores: int
    memory: int | None
    gpus: tuple[str, ...]


def describe_machine() -> Machine:
    """Look at the machine."""
    return Machine(
        python=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}",
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory=_memory(),
        gpus=_gpus(),
    )


def _memory(control_group: Path = Path("/sys/fs/cgroup/memory.max")) -> int | None:
    if not hasattr(os, "sysconf"):  # Windows
        return None
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        # A container is killed at its own limit, however much the host has; without a limit the file says "max".
        return min(physical, int(control_group.read_text(encoding="ascii")))
    except (OSError, ValueError):
        return physical


def _gpus(driver: Path = Path("/proc/driver/nvidia/gpus")) -> tuple[str, ...]:
    if platform.system() == "Darwin" and platform.machine() == "arm64":
        return ("Apple GPU",)
    if tool := shutil.which("nvidia-smi"):
        query = [tool, "--query-gpu=name,memory.total", "--format=csv,noheader"]
        try:
            answer = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True)
            return tuple(line.strip() for line in answer.stdout.splitlines() if line.strip())
        except (OSError, subprocess.SubprocessError):
            pass  # a broken tool says nothing about the driver, which is asked next
    models = []
    for information in sorted(driver.glob("*/information")):
        fields = dict(line.split(":", 1) for line in information.read_text().splitlines() if ":" in line)
        models.append(fields.get("Model", "NVIDIA GPU").strip())
    return tuple(models)
