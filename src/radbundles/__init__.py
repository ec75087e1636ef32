# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""RadBundles: MONAI bundles for medical vision-language imaging. Research software, not a medical device."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from radbundles.components.hub.loaded_bundle import LoadedBundle

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


def load(
    source: str | os.PathLike[str],
    *,
    revision: str | None = None,
    weights: str | os.PathLike[str] | None = None,
    tokenizer: str | os.PathLike[str] | None = None,
    untrained: bool = False,
    device: str | torch.device = "cpu",
    allow: Sequence[str] = (),
) -> LoadedBundle:
    """Load the network of a bundle with its weights, every tensor of them, to use it in code of your own.

    Example::

        bundle = radbundles.load("org/lungs", revision="1.0.0")
        logits = bundle(["film.dcm", "film.png"])
        features = bundle.encoder(bundle.prepare("film.dcm")[None])

    What a bundle of others says is compared with its manifest, where it has one, and audited before anything of it
    runs; the bundles that come with this package are trusted.

    Args:
        source: name of a bundle (``radbundles list``), folder of one, or ``ORG/NAME`` on the Hugging Face Hub, which is
            downloaded into the cache of huggingface_hub and found there without a connection.
        revision: tag or commit of a bundle on the Hub; without one the newest is taken and a warning names its commit.
        weights: file in place of the bundle's own, of which safetensors comes before ``model.pt``.
        tokenizer: file in place of the bundle's own, for bundles that are asked in words.
        untrained: build the network with random weights.
        device: such as ``"cuda:0"``.
        allow: exact names that the audit shall let pass, see :func:`~radbundles.components.audit.audit_bundle`.

    Raises:
        LookupError: if there is no such bundle.
        OSError: if the bundle cannot be had from the Hub, or weights or tokenizer are missing; says how to get them.
        ValueError: if the bundle is not as it was published, or its weights do not fit its network.
        AuditError: if the audit refuses the bundle; a ValueError with the ``findings``.
        ImportError: if the bundle needs another version of this package.
    """
    from radbundles.components.hub.load import load_bundle

    return load_bundle(
        source,
        revision=revision,
        weights=weights,
        tokenizer=tokenizer,
        untrained=untrained,
        device=device,
        allow=allow,
    )
