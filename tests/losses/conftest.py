# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Settings and fixtures of the tests of losses."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

BEGIN = """
import sys
import torch
import torch.distributed as dist
torch.set_num_threads(1)
rank, folder = int(sys.argv[1]), sys.argv[2]
dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
result = {}
"""
END = """
torch.save(result, f"{folder}/result{rank}.pt")
dist.destroy_process_group()
"""


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Networks of a few thousand weights lose time when their work is shared out."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def two_processes(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], list[dict[str, Any]]]:
    """Run a script in two gloo processes; it finds ``torch``, ``dist`` and ``rank`` and fills the dict ``result``."""

    def run(script: str) -> list[dict[str, Any]]:
        tmp_path = tmp_path_factory.mktemp("processes")
        command = [sys.executable, "-c", BEGIN + script + END]
        processes = [
            subprocess.Popen([*command, str(rank), str(tmp_path)], stderr=subprocess.PIPE, text=True)
            for rank in range(2)
        ]
        try:
            errors = [process.communicate(timeout=120)[1] for process in processes]
        finally:
            for process in processes:
                process.kill()  # one that waits in vain for the other
        assert [process.returncode for process in processes] == [0, 0], "\n".join(error[-2000:] for error in errors)
        return [torch.load(tmp_path / f"result{rank}.pt", weights_only=True) for rank in range(2)]

    return run
