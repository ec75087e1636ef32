# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
import torch.distributed as dist

from radbundles.components.engines import SyncGradients, join_processes, leave_processes


def test_process_without_launcher_is_told_how_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(RuntimeError, match="torchrun --standalone"):
        join_processes("cpu")
    assert not dist.is_initialized()


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(RuntimeError, match="cuda:1, but there are 1 GPUs: set --nproc_per_node"):
        join_processes("cuda:1")


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment that torchrun gives to the only process of a group."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    for name, value in {"RANK": 0, "WORLD_SIZE": 1, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}.items():
        monkeypatch.setenv(name, str(value))


@pytest.mark.usefixtures("alone")
def test_processes_meet_and_part() -> None:
    join_processes("cpu")
    assert dist.get_backend() == "gloo" and logging.getLogger().isEnabledFor(logging.ERROR)
    leave_processes()
    assert not dist.is_initialized()


@pytest.mark.usefixtures("alone")
def test_all_but_the_first_keep_to_warnings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dist, "get_rank", lambda *_: 1)
    logger = logging.getLogger("radbundles.test")
    logger.setLevel(logging.INFO)
    join_processes("cpu")
    assert not logger.isEnabledFor(logging.INFO) and logger.isEnabledFor(logging.WARNING)
    leave_processes()
    assert logger.isEnabledFor(logging.INFO)


# An epoch of five iterations: its end is a step in any case.
@pytest.mark.parametrize(("steps", "synced"), [(1, [True] * 5), (2, [False, True, False, True, True])])
def test_gradients_travel_when_the_optimizer_steps(steps: int, synced: list[bool]) -> None:
    network = SimpleNamespace(require_backward_grad_sync=True)
    handler: Callable[[object], None] = SyncGradients(network)  # type: ignore[arg-type]
    for epoch in range(2):
        found = []
        for place in range(1, 6):
            state = SimpleNamespace(iteration=epoch * 5 + place, epoch_length=5)
            handler(SimpleNamespace(state=state, accumulation_steps=steps))
            found.append(network.require_backward_grad_sync)
        assert found == synced
