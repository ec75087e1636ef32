# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The parts of a collection, in the names of the contract."""

from __future__ import annotations

DEVELOPMENT = ("training", "validation")
"""``split`` of an item that the publisher does not test on: parted by patient into training and validation."""
TEST = "test"
