# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Settings of the tests of losses."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Networks of a few thousand weights lose time when their work is shared out."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
