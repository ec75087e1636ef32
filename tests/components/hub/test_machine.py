# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""What is said about the machine, tried on made driver and control group files."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import pytest

from radbundles.components.hub import machine


@pytest.fixture(autouse=True)
def linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Linux")


def without_tool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)


def tool(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "nvidia-smi"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def driver(folder: Path) -> Path:
    (folder / "gpus" / "0000:01:00.0").mkdir(parents=True)
    (folder / "gpus" / "0000:01:00.0" / "information").write_text("Model: \t\t NVIDIA Z9\nIRQ:   16\n")
    return folder / "gpus"


def test_tool_tells_name_and_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool(tmp_path, "echo 'NVIDIA Z9, 81920 MiB'; echo 'NVIDIA Z8, 40960 MiB'", monkeypatch)
    assert machine._gpus(tmp_path / "none") == ("NVIDIA Z9, 81920 MiB", "NVIDIA Z8, 40960 MiB")


def test_driver_is_asked_when_the_tool_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool(tmp_path, "exit 9", monkeypatch)
    assert machine._gpus(driver(tmp_path)) == ("NVIDIA Z9",)


def test_no_tool_and_no_driver_is_no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_tool(monkeypatch)
    assert machine._gpus(tmp_path / "none") == ()


def test_apple_silicon_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    assert machine._gpus() == ("Apple GPU",)


@pytest.mark.skipif(not hasattr(os, "sysconf"), reason="this system does not tell its memory")
def test_memory_is_bounded_by_the_control_group(tmp_path: Path) -> None:
    physical = machine._memory(tmp_path / "absent")
    assert physical is not None and physical > 2**28
    (tmp_path / "unlimited").write_text("max\n")
    assert machine._memory(tmp_path / "unlimited") == physical
    (tmp_path / "limited").write_text("1048576\n")
    assert machine._memory(tmp_path / "limited") == 2**20


def test_description_is_of_this_process() -> None:
    described = machine.describe_machine()
    assert described.python == platform.python_version()
    assert 1 <= described.cores <= (os.cpu_count() or 1)
