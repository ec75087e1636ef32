# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Publishing a version of a bundle."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from radbundles.components.publish.hub_versions import HubVersions, PublishError
from radbundles.components.publish.patient_fields import find_patient_fields
from radbundles.components.publish.published import Published, list_files
from radbundles.components.publish.stage import has_weights, stage_bundle
from radbundles.components.verify.verdict import CHECKS

_STATIC = ("V1", "V2", "V3")
_SHOWN = 8


def publish_bundle(
    folder: Path,
    repo_id: str,
    *,
    token: str | None = None,
    dry_run: bool = True,
    endpoint: str | None = None,
    private: bool = False,
    have_permission: bool = False,
    checks: Collection[str] = tuple(CHECKS),
) -> Published:
    """Publish a version of a bundle on the Hugging Face Hub, whole or not at all.

    A clean copy is made (:func:`stage_bundle`), examined as those will who download it (:func:`audit_bundle`), and
    verified (:func:`verify_bundle`). Then all its files go up in one commit, and the tag, which is the version, comes
    last: an attempt that fails on the way leaves no version, and the next one goes on where it ended.

    MONAI's ``push_to_hf_hub`` is not used: it sends every file of the folder, writes a card with a second front matter
    into the bundle (quirk F-7), sets its tag on whatever is newest rather than on its own commit, and takes a tag that
    exists for its own.

    Args:
        folder: root of the bundle; nothing is written there.
        repo_id: ``ORG/NAME``. It is made if it is not there.
        token: with which one may write there; by default that of ``HF_TOKEN`` or ``hf auth login``.
        dry_run: do everything that needs no Hub, and send nothing.
        endpoint: address of another Hub.
        private: make a new repository private; one that is there stays as it is.
        have_permission: the owners of the data behind the weights allow you to publish these. Without, weights are
            refused if the terms of a data set that the metadata names do not clearly let them be public.
        checks: of the verification; V1 to V3 are made in any case.

    Returns:
        What was published, or would be.

    Raises:
        FileNotFoundError: if there is no bundle in ``folder``.
        PermissionError: if the terms of the data do not clearly let the weights be public.
        PublishError: if the Hub has the version already, or does not take it.
        ValueError: if the bundle must not be published as it is; says what is to be mended.
    """
    from radbundles.components.hub.hub_id import is_hub_id

    if not is_hub_id(repo_id):
        raise ValueError(f"{repo_id!r} is no name on the Hub: write ORG/NAME, such as my-group/ecamp_classification")
    hub = None if dry_run else HubVersions(repo_id, token=_token(token), endpoint=endpoint)
    with tempfile.TemporaryDirectory(prefix="radbundles-publish-") as temporary:
        staged = Path(temporary) / repo_id.split("/")[1]
        left_out = stage_bundle(Path(folder), staged)
        metadata = json.loads((staged / "configs" / "metadata.json").read_text(encoding="utf-8"))
        version, weights = metadata["version"], has_weights(staged)
        if weights and not have_permission:
            _require_open_data(metadata)
        _require_nothing_of_patients(staged)
        _require_passing_audit(staged)
        tags = hub.tags() if hub else None
        if tags and version in tags:
            raise PublishError(
                f"{repo_id} has version {version} already (commit {tags[version]}), and a version never changes: raise "
                "`version` in configs/metadata.json, and say in `changelog` what is new"
            )
        results = _verify(staged, checks)
        published = Published(repo_id, version, list_files(staged), left_out, weights, results)
        if hub is None:
            return published
        if tags is None:
            hub.create(private=private)
        commit = hub.commit(staged, f"{staged.name} {version}")
        hub.tag(version, commit)
    return replace(published, commit=commit)


def _token(token: str | None) -> str:
    from huggingface_hub import get_token

    found = token or get_token()
    if not found:
        raise PublishError(
            "publishing needs a token with write access to the Hub: log in with `hf auth login` (`huggingface-cli "
            "login` before huggingface_hub 1.0), or set HF_TOKEN"
        )
    return found


def _require_open_data(metadata: Mapping[str, Any]) -> None:
    from radbundles.components.cards import closed_data_sets

    mend = "if their owners allow it, say so with --have-permission"
    if "trained_on" not in (metadata.get("data_sets") or {}):
        raise PermissionError(
            "configs/metadata.json does not say what the weights were trained on: name the data sets in "
            f"`data_sets#trained_on`, by their ids in docs/licenses.md (an empty list for made data); {mend}"
        )
    if closed := closed_data_sets(metadata):
        reasons = "; ".join(f"{one.name}: {one.weights_why}" for one in closed)
        raise PermissionError(f"terms of data behind the weights do not clearly let them be public ({reasons}) {mend}")


def _require_nothing_of_patients(staged: Path) -> None:
    if found := list(find_patient_fields(staged)):
        raise ValueError(f"{_some(found)}. Remove it from the documents of the bundle, or the whole file")


def _require_passing_audit(staged: Path) -> None:
    from radbundles.components.audit import audit_bundle

    if refused := audit_bundle(staged).refused:
        raise ValueError(f"`radbundles download` would refuse this bundle: {_some([str(one) for one in refused])}")


def _verify(staged: Path, checks: Collection[str]) -> dict[str, str]:
    from radbundles.components.verify import verify_bundle

    verdict = verify_bundle(staged, checks=[check for check in CHECKS if check in (*_STATIC, *checks)])
    if not verdict.passed:
        raise ValueError(f"the bundle does not pass: {_some([str(finding) for finding in verdict.findings])}")
    return verdict.results


def _some(found: list[str]) -> str:
    rest = f"\n- and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return "".join(f"\n- {one}" for one in found[:_SHOWN]) + rest if len(found) > 1 else found[0]
