# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Lets ``python -m radbundles`` stand in for the console command."""

from __future__ import annotations

from radbundles.cli import main

main()
