# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The console command ``radbundles``."""

from __future__ import annotations

import importlib

# In the order of `radbundles --help`. Each module adds its command to the application when it is imported, and imports
# torch and MONAI inside the command alone, so that the help appears at once.
COMMANDS = (
    "demo",
    "doctor",
    "list",
    "download",
    "data",
    "distill",
    "sentences",
    "tokenizer",
    "windows",
    "run",
    "predict",
    "verify",
    "audit",
    "pack",
    "export",
    "vendor",
    "card",
    "publish",
    "convert",
)


def main() -> None:
    """Entry point of the console script."""
    from radbundles.cli.app import app

    for name in COMMANDS:
        importlib.import_module(f"radbundles.cli.{name}_command")
    app()
