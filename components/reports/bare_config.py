# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""A config without the folders of the machine it ran on, fit to be published, compared and hashed."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import PurePath, PureWindowsPath
from typing import Any

__all__ = ["bare_config", "config_sha256"]

# Folder part of an absolute path inside a longer text, such as the expression $torch.load('/data/run/model.pt').
# A path begins where no name, dot or slash stands before it, so that neither a division nor a web address is one.
# Between quotes it may hold blanks.
_ROOT = r"(?:file://)?(?:~|[A-Za-z]:)?[/\\]"
_FOLDER = re.compile(
    rf"""(?<=')({_ROOT})[^']*[/\\]"""
    rf"""|(?<=")({_ROOT})[^"]*[/\\]"""
    rf"""|(?<![\w.:/\\)\]])({_ROOT})(?:[^\s'"/\\,;()]+[/\\])+"""
)


def bare_config(config: Any) -> Any:
    """Copy a config as plain JSON values in which absolute paths are cut down to their last part.

    Args:
        config: mappings, lists, strings, numbers, booleans, None and paths, nested at will.

    Raises:
        TypeError: a value is of another type; such a config has no lasting text.
    """
    if isinstance(config, Mapping):
        return {str(key): bare_config(value) for key, value in config.items()}
    if isinstance(config, (list, tuple)):
        return [bare_config(value) for value in config]
    if isinstance(config, (str, PurePath)):
        return _bare_text(str(config))
    if config is None or isinstance(config, (bool, int, float)):
        return config
    raise TypeError(f"a config holds JSON values and paths, not {type(config).__name__}")


def config_sha256(config: Any) -> str:
    """SHA-256 of the bare config, whatever the order of its keys: two machines get the same for the same run."""
    text = json.dumps(bare_config(config), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _bare_text(text: str) -> str:
    if "\n" not in text and (text.startswith(("/", "~", "file:///")) or PureWindowsPath(text).drive):
        return PureWindowsPath(text).name or text  # reads both kinds of slash
    return _FOLDER.sub("", text)
