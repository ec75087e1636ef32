# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""From the Hub to a folder of one's own, whole and examined, or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from radbundles.components.hub.bundles import read_bundle
from radbundles.components.hub.hub_id import find_commit, hub_call, is_hub_id
from radbundles.components.hub.packed_folder import whole_folder
from radbundles.components.hub.sound import require_sound


@dataclass(frozen=True)
class Downloaded:
    """A bundle that was downloaded.

    Args:
        folder: where it lies.
        commit: of the Hub.
        version: of its metadata.
        listed: whether it came with a manifest, so that every file is known to be the one that was published.
    """

    folder: Path
    commit: str
    version: str | None
    listed: bool


def download_bundle(
    repo_id: str,
    *,
    revision: str | None = None,
    out: str | os.PathLike[str],
    token: str | None = None,
    allow: Sequence[str] = (),
) -> Path:
    """Download a bundle from the Hugging Face Hub; see :func:`fetch_bundle`, which tells more than the folder."""
    return fetch_bundle(repo_id, revision=revision, out=out, token=token, allow=allow).folder


def fetch_bundle(
    repo_id: str,
    *,
    revision: str | None = None,
    out: str | os.PathLike[str],
    token: str | None = None,
    allow: Sequence[str] = (),
) -> Downloaded:
    """Download a bundle from the Hugging Face Hub into a hidden folder, examine it, and move it into place.

    Its files are compared with its manifest, where it has one, and it is audited. If anything is wrong, nothing is
    left. ``monai.bundle.download`` makes the same request, but neither takes a token nor settles on one commit, and it
    writes into the folder as files come in.

    Args:
        repo_id: ``ORG/NAME``.
        revision: tag or commit; without one the newest is taken and a warning names its commit.
        out: folder to make.
        token: of the Hub; by default that of ``HF_TOKEN`` or ``hf auth login``.
        allow: exact names that the audit shall let pass.

    Raises:
        FileExistsError: if ``out`` is there already.
        OSError: if it cannot be had from the Hub.
        ValueError: if it is no bundle, or its files are not those of its manifest.
        AuditError: if the audit refuses it.
    """
    out = Path(out)
    if not is_hub_id(repo_id):
        raise ValueError(f"{repo_id!r} is no ORG/NAME of the Hugging Face Hub")
    if out.exists():
        raise FileExistsError(f"{out} is there already: name another folder, or remove it")
    commit = find_commit(repo_id, revision=revision, token=token)
    with whole_folder(out) as partial:
        with hub_call(repo_id, revision, token):
            from huggingface_hub import snapshot_download

            snapshot_download(repo_id, revision=commit, local_dir=partial, token=token)
        shutil.rmtree(partial / ".cache", ignore_errors=True)  # what huggingface_hub remembers of each file
        bundle = read_bundle(partial, repo_id)
        if bundle.fault:
            raise ValueError(f"{repo_id} at {commit} is no bundle: {bundle.fault.replace(f'{partial}{os.sep}', '')}")
        listed = require_sound(partial, name=repo_id, allow=allow)
    return Downloaded(out, commit, bundle.version, listed)
