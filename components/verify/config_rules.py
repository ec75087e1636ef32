# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""V3: every target resolves, every expression compiles, every reference leads somewhere; nothing is run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from radbundles.components.verify.contract_rules import check_contract
from radbundles.components.verify.cycles import check_cycles
from radbundles.components.verify.expression_rules import check_expressions
from radbundles.components.verify.finding import Finding
from radbundles.components.verify.overlay_rules import check_overlay
from radbundles.components.verify.reference_rules import check_references
from radbundles.components.verify.stacks import read_stacks
from radbundles.components.verify.target_rules import check_targets


def check_configs(folder: Path) -> Iterator[Finding]:
    """Yield what is wrong with the configs of a bundle, each alone or laid over those that its command names."""
    stacks, unread = read_stacks(folder)
    yield from unread
    for stack in stacks:
        yield from check_overlay(stack)
        yield from check_references(stack, folder)
        yield from check_cycles(stack)
        yield from check_expressions(stack)
        yield from check_contract(stack)
        yield from check_targets(stack)
