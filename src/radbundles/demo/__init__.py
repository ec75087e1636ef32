# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""``radbundles demo``: from radiographs and reports to a page that shows what a small ECAMP has learned."""
