# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""A client of an OpenAI-compatible server that shows report text and key to that server and to no one else."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from radbundles.components.distillation.loopback import require_loopback

if TYPE_CHECKING:
    import openai

_CONNECT_SECONDS = 10.0


def open_client(
    base_url: str,
    *,
    allow_remote: bool,
    api_key_variable: str,
    timeout: float,
    retries: int,
    before_request: Callable[[object], None],
    after_response: Callable[[Any], None],
) -> openai.OpenAI:
    """Build the client.

    It follows no redirect, and uses proxies of the environment for remote ``https`` only, where they see no content.

    Args:
        base_url: address up to and including ``/v1``.
        allow_remote: whether reports may leave this machine, see :func:`require_loopback`.
        api_key_variable: environment variable with the key; a loopback server may do without.
        timeout: seconds to wait for an answer.
        retries: repetitions of a request that failed in transport.
        before_request: called before each request and repetition.
        after_response: called with the response to each, before it is read.

    Raises:
        ImportError: if the ``openai`` package is missing.
        ValueError: if the address is refused, or a remote server has no key.
    """
    loopback = require_loopback(base_url, allow_remote)
    key = _key(api_key_variable, loopback)
    try:
        import openai
    except ImportError:
        raise ImportError('language model servers need the openai package: pip install "radbundles[openai]"') from None
    _silence_transport()
    return openai.OpenAI(
        base_url=base_url,
        api_key=key,
        max_retries=retries,
        http_client=openai.DefaultHttpxClient(
            timeout=openai.Timeout(timeout, connect=min(timeout, _CONNECT_SECONDS)),
            follow_redirects=False,
            trust_env=not loopback and base_url.lower().startswith("https"),
            event_hooks={"request": [before_request], "response": [after_response]},
        ),
    )


def _key(variable: str, loopback: bool) -> str:
    key = os.environ.get(variable, "").strip()
    if not key and not loopback:
        raise ValueError(f"a remote server needs a key: put it into the environment variable {variable}")
    if not (key.isascii() and key.isprintable()) or " " in key:  # the client's own error would quote it
        raise ValueError(f"the environment variable {variable} holds something that cannot be a key")
    return key or "none"


def _silence_transport() -> None:
    """Keep debug logs of the client and of what it sends with from quoting requests and headers.

    ``OPENAI_LOG=debug`` and ``logging.basicConfig(level=DEBUG)`` switch them on, which takes no intent to log reports.
    What they say at INFO is one line for each request, in the middle of a progress bar. Called after ``openai`` was
    imported, since that sets its level.
    """
    for name in ("openai", "httpx", "httpcore", "httpx2", "httpcore2"):
        logger = logging.getLogger(name)
        logger.setLevel(max(logger.level, logging.WARNING))
