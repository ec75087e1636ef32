# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Measurements of speed, each a module to run with ``python -m``."""
