# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""RadBundles: MONAI bundles for medical vision-language imaging. Research software, not a medical device."""

from __future__ import annotations

__version__ = "0.1.0"


def require(spec: str) -> None:
    """Stop with a clear message when a bundle needs another version of radbundles.

    Bundles hold no Python, so their configs only run with a package whose public names they know. Each config calls
    this first::

        "initialize": ["$__import__('radbundles').require('>=0.1,<0.2')"]

    Args:
        spec: the versions that fit, as a PEP 440 specifier set such as ``">=0.1,<0.2"``.

    Raises:
        ValueError: ``spec`` is not a specifier set.
        ImportError: the installed version does not fit.
    """
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        wanted = SpecifierSet(spec)
    except InvalidSpecifier as error:
        raise ValueError(f"not a version specifier such as '>=0.1,<0.2': {spec!r}") from error
    if not wanted.contains(__version__, prereleases=True):
        raise ImportError(
            f"this bundle needs radbundles {spec}, but {__version__} is installed. "
            f"Mend it with: pip install 'radbundles{spec}'"
        )
