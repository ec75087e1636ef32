# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Sends the Hugging Face client of the running process to a local Hub."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.hub_server import LocalHub


@contextmanager
def send_client_to(hub: LocalHub, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let this process and its children use ``hub``, with caches in ``home``, while the context lasts.

    The client makes constants of its environment when it is imported, so these are set as well. It repeats a failed
    request up to five times, here without a pause.
    """
    import huggingface_hub
    from huggingface_hub import constants, file_download, hf_api
    from huggingface_hub.utils import _http

    environment = hub.environment(home)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    cache = str(home / "hub")
    for name, setting in {
        "ENDPOINT": hub.endpoint,
        "HUGGINGFACE_CO_URL_TEMPLATE": hub.endpoint + "/{repo_id}/resolve/{revision}/{filename}",
        "HF_HOME": str(home),
        "HF_HUB_CACHE": cache,
        "HUGGINGFACE_HUB_CACHE": cache,
        "HF_TOKEN_PATH": environment["HF_TOKEN_PATH"],
        "HF_STORED_TOKENS_PATH": str(home / "stored_tokens"),
        "AGENT_HARNESSES_PATH": str(home / ".agent_harnesses.json"),
        "HF_HUB_DISABLE_XET": True,
        "HF_HUB_DISABLE_TELEMETRY": True,
        "HF_HUB_OFFLINE": False,
    }.items():
        monkeypatch.setattr(constants, name, setting, raising=False)
    # The functions of the package, such as `huggingface_hub.list_repo_refs`, are methods of this one object.
    monkeypatch.setattr(hf_api.api, "endpoint", hub.endpoint)
    for module in (_http, file_download):
        monkeypatch.setattr(module, "time", _Hasty(module.time))
    try:
        yield
    finally:
        close = getattr(huggingface_hub, "close_session", None) or getattr(_http, "reset_sessions", None)
        if close is not None:
            close()


class _Hasty:
    """The module ``time`` of which nobody sleeps."""

    def __init__(self, time: object) -> None:
        self._time = time

    def sleep(self, seconds: float) -> None:
        """Go on at once."""

    def __getattr__(self, name: str) -> object:
        return getattr(self._time, name)
