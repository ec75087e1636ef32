# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Names of classes that a bundle can carry."""

from __future__ import annotations

from collections.abc import Sequence

# At the beginning of any text of a config, MONAI's parser takes them for code, a reference and a macro.
_BEGINNINGS = ("$", "@", "%")
# It turns these into "::" wherever they stand, and completes what follows the others.
_INSIDE = ("#", "@::", "%::")


def check_class_names(classes: Sequence[str]) -> list[str]:
    """Refuse names that would not come back from a bundle's metadata as they went in.

    Metadata and configs go through MONAI's parser, which gives some marks a meaning. Call it before a training run
    begins, since :func:`~radbundles.components.hub.pack_run` refuses the same at its end.

    Args:
        classes: names in the order of the network's channels.

    Returns:
        The names as a list.

    Raises:
        ValueError: if there are none, one is empty, stands twice, or has such a mark; says which.
    """
    names = list(classes)
    if isinstance(classes, str) or not names or not all(isinstance(name, str) and name.strip() for name in names):
        raise ValueError(f"classes must be a list of names, at least one and none empty, got {classes!r}")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"classes must differ, but {twice[0]!r} stands there more than once")
    for name in names:
        begins = next((mark for mark in _BEGINNINGS if name.startswith(mark)), None)
        inside = next((mark for mark in _INSIDE if mark in name), None)
        if begins or inside:
            how = f"begins with {begins!r}" if begins else f"holds {inside!r}"
            raise ValueError(
                f"the class {name!r} {how}, which means something else in MONAI's configs, and a bundle could not "
                "carry it: give the class another name in the datalist"
            )
    return names
