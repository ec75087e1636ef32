# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""A version is published whole, comes back byte for byte, and no fault on the way leaves half of one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.components.publish.conftest import content_of, edit_json
from tests.hub_server import TOKEN, LocalHub, Reply

from radbundles.components.hub import ManifestError, check_manifest, download_bundle
from radbundles.components.publish import Published, PublishError, publish_bundle

REPO = "someone/edema_classification"
OWN = "dcxfm_dense dcxfm_pretrain ecamp_classification ecamp_detection ecamp_pretrain ecamp_segmentation".split()


def upload(folder: Path, repo: str = REPO, **options: Any) -> Published:
    """Publish with the checks alone that run nothing; tests of the verification run the others."""
    return publish_bundle(folder, repo, dry_run=False, checks=(), **options)


def writes(hub: LocalHub) -> list[str]:
    """What was asked of the Hub that changes something, or may."""
    return [path for method, path in hub.requests if method != "GET" and method != "HEAD"]


@pytest.mark.parametrize("name", [*OWN, "trained"])
def test_a_version_comes_back_byte_for_byte(
    name: str, repository: Path, packed: Path, local_hub: LocalHub, tmp_path: Path
) -> None:
    from monai.bundle import download

    repo = f"someone/{name}"
    published = upload(packed if name == "trained" else repository / "bundles" / name, repo)
    sent = local_hub.files(repo, "0.1.0")
    assert {file.path: file.bytes for file in published.files} == {path: len(file) for path, file in sent.items()}
    assert local_hub.tags(repo) == {"0.1.0": published.commit}
    assert local_hub.commits(repo) == [f"{name} 0.1.0", "initial commit"]
    assert published.weights == ("models/model.safetensors" in sent) == (name == "trained")

    download(name, source="huggingface_hub", repo=repo, version="0.1.0", bundle_dir=tmp_path / "monai", progress=False)
    assert content_of(tmp_path / "monai" / name) == sent
    assert check_manifest(tmp_path / "monai" / name) == []
    ours = download_bundle(repo, revision="0.1.0", out=tmp_path / "ours" / name)
    assert content_of(ours) == sent


def test_a_dry_run_sends_nothing_and_lists_every_file(trained: Path, local_hub: LocalHub, tmp_path: Path) -> None:
    planned = publish_bundle(trained, REPO, checks=())
    assert not local_hub.requests and planned.commit is None
    done = upload(trained)
    assert planned.files == done.files and planned.bytes == sum(map(len, local_hub.files(REPO).values()))
    assert json.loads(json.dumps(done.as_dict()))["commit"] == done.commit


@pytest.mark.parametrize(("method", "part"), [("PUT", "/blobs/"), ("POST", "/commit/"), ("POST", "/preupload/")])
def test_an_upload_that_breaks_off_publishes_nothing_and_can_be_repeated(
    trained: Path, local_hub: LocalHub, method: str, part: str
) -> None:
    local_hub.drop(method, part, times=None)
    with pytest.raises(PublishError, match=f"nothing was published on {REPO}, since the upload failed: publish again"):
        upload(trained)
    assert local_hub.files(REPO) == {} and local_hub.tags(REPO) == {}
    local_hub.orders.clear()
    assert local_hub.tags(REPO) == {} and upload(trained).commit == local_hub.tags(REPO)["0.1.0"]


def test_an_upload_that_breaks_off_leaves_the_version_before(trained: Path, local_hub: LocalHub) -> None:
    first = upload(trained).commit
    before = local_hub.files(REPO)
    edit_json(trained / "configs" / "metadata.json", version="0.2.0", changelog={"0.2.0": "b", "0.1.0": "a"})
    local_hub.drop("POST", "/commit/")
    with pytest.raises(PublishError, match="nothing was published"):
        upload(trained)
    assert local_hub.files(REPO) == before and local_hub.tags(REPO) == {"0.1.0": first}


def test_a_commit_whose_answer_is_lost_is_taken_up(trained: Path, local_hub: LocalHub) -> None:
    local_hub.drop("POST", "/commit/", after=True)
    with pytest.raises(PublishError, match="nothing was published"):
        upload(trained)
    assert local_hub.files(REPO) and local_hub.tags(REPO) == {}
    published = upload(trained)
    assert local_hub.commits(REPO) == ["edema_classification 0.1.0", "initial commit"]
    assert local_hub.tags(REPO) == {"0.1.0": published.commit}


@pytest.mark.parametrize("status", [409, 500])
def test_a_tag_that_fails_is_set_by_publishing_again(trained: Path, local_hub: LocalHub, status: int) -> None:
    local_hub.refuse("POST", "/tag/", status, "busy", times=None)
    with pytest.raises(PublishError, match="tag 0.1.0 could not be set.* not published: publish again"):
        upload(trained)
    assert local_hub.tags(REPO) == {}
    local_hub.orders.clear()
    local_hub.requests.clear()
    published = upload(trained)
    assert local_hub.tags(REPO) == {"0.1.0": published.commit}
    assert writes(local_hub) == [f"/api/models/{REPO}/tag/{published.commit}"]
    assert len(local_hub.commits(REPO)) == 2


def test_a_lost_answer_to_the_tag_is_no_fault(trained: Path, local_hub: LocalHub) -> None:
    def set_it(hub: LocalHub) -> Reply | None:
        hub.repositories[REPO].tags["0.1.0"] = hub.repositories[REPO].branches["main"]
        return None

    local_hub.order("POST", "/tag/", set_it)
    assert upload(trained).commit == local_hub.tags(REPO)["0.1.0"]


def test_a_rival_who_sets_the_tag_first_wins(trained: Path, local_hub: LocalHub) -> None:
    def rival(hub: LocalHub) -> Reply | None:
        repository = hub.repositories[REPO]
        repository.tags["0.1.0"] = next(iter(repository.commits))
        return None

    local_hub.order("POST", "/tag/", rival)
    with pytest.raises(PublishError, match="somebody else published 0.1.0 .* raise `version` in configs/metadata.json"):
        upload(trained)
    assert local_hub.files(REPO, "0.1.0") == {}


def test_a_rival_who_commits_meanwhile_stays(trained: Path, local_hub: LocalHub, repository: Path) -> None:
    upload(repository / "bundles" / "ecamp_pretrain")

    def rival(hub: LocalHub) -> Reply | None:
        hub.put(REPO, repository / "bundles" / "ecamp_pretrain" / "docs")
        return None

    local_hub.order("POST", "/commit/", rival)
    edit_json(trained / "configs" / "metadata.json", version="0.2.0", changelog={"0.2.0": "b", "0.1.0": "a"})
    with pytest.raises(PublishError, match="somebody else changed .* nothing of yours was added"):
        upload(trained)
    assert local_hub.files(REPO) == content_of(repository / "bundles" / "ecamp_pretrain" / "docs")
    assert list(local_hub.tags(REPO)) == ["0.1.0"]


def test_a_version_is_never_used_again(trained: Path, local_hub: LocalHub) -> None:
    published = upload(trained)
    (trained / "docs" / "more.md").write_text("More.\n")
    local_hub.requests.clear()
    with pytest.raises(PublishError, match="has version 0.1.0 already .*never changes: raise `version`"):
        upload(trained)
    assert not writes(local_hub) and local_hub.tags(REPO) == {"0.1.0": published.commit}


def test_the_next_version_drops_files_and_the_one_before_keeps_them(trained: Path, local_hub: LocalHub) -> None:
    (trained / "docs" / "more.md").write_text("More.\n")
    upload(trained)
    (trained / "docs" / "more.md").unlink()
    edit_json(trained / "configs" / "metadata.json", version="0.2.0", changelog={"0.2.0": "b", "0.1.0": "a"})
    upload(trained)
    assert "docs/more.md" in local_hub.files(REPO, "0.1.0")
    assert "docs/more.md" not in local_hub.files(REPO, "0.2.0")


def test_without_a_token_nothing_is_asked(trained: Path, local_hub: LocalHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(PublishError, match="needs a token with write access.* `hf auth login`.* or set HF_TOKEN"):
        upload(trained)
    assert not local_hub.requests


def test_a_wrong_token_is_told_without_showing_it(trained: Path, local_hub: LocalHub) -> None:
    with pytest.raises(PublishError, match="401: the token may not write there") as caught:
        upload(trained, token="hf_wrongtoken")
    assert "hf_wrongtoken" not in str(caught.value) and TOKEN not in str(caught.value)
    assert not local_hub.repositories


def test_a_changed_file_on_the_hub_is_found_by_the_download(trained: Path, local_hub: LocalHub, tmp_path: Path) -> None:
    upload(trained)
    weights = local_hub.files(REPO)["models/model.pt"]
    local_hub.serve_instead(REPO, "models/model.pt", weights[:-1] + b"x")
    with pytest.raises(ManifestError, match="models/model.pt has the sha256"):
        download_bundle(REPO, revision="0.1.0", out=tmp_path / "got")
    assert not (tmp_path / "got").exists()


def test_a_private_repository_is_made_so(trained: Path, local_hub: LocalHub) -> None:
    upload(trained, private=True)
    assert local_hub.repositories[REPO].private


def test_weights_need_open_data_or_permission(trained: Path, local_hub: LocalHub) -> None:
    metadata = trained / "configs" / "metadata.json"
    edit_json(metadata, data_sets={"made_for": ["mimic-cxr"]})
    with pytest.raises(PermissionError, match=r"does not say what the weights were trained on.*--have-permission"):
        upload(trained)
    edit_json(metadata, data_sets={"trained_on": ["montgomery", "mimic-cxr"]})
    with pytest.raises(PermissionError, match=r"\(MIMIC-CXR.*\) if their owners allow it.*--have-permission") as caught:
        upload(trained)
    assert "Montgomery" not in str(caught.value)
    assert not local_hub.requests
    upload(trained, have_permission=True)
    assert list(local_hub.tags(REPO)) == ["0.1.0"]


def test_weights_that_lie_elsewhere_are_weights(trained: Path, local_hub: LocalHub) -> None:
    (trained / "models" / "model.pt").unlink()
    entry = "path: models/model.pt\n  url: https://example.org/model.pt\n  hash_type: sha256\n  hash_val: " + "a" * 64
    (trained / "large_files.yml").write_text(f"large_files:\n- {entry}\n")
    assert publish_bundle(trained, REPO, checks=()).weights
    edit_json(trained / "configs" / "metadata.json", data_sets={"trained_on": ["mimic-cxr"]})
    with pytest.raises(PermissionError, match="MIMIC-CXR"):
        publish_bundle(trained, REPO, checks=())


def spoil_documents(folder: Path) -> None:
    (folder / "docs" / "rows.csv").write_text("patient_id,score\nq-1,0.5\n")


def spoil_imports(folder: Path) -> None:
    edit_json(folder / "configs" / "inference.json", imports=["$import os", "$import torch", "$import subprocess"])


HOME = "/ho" + "me/someone"  # spelt so that this file holds no path of a machine


def spoil_path(folder: Path) -> None:
    with (folder / "docs" / "sections.md").open("a", encoding="utf-8") as stream:
        stream.write(f"\nThe images are in {HOME}/images.\n")


def spoil_version(folder: Path) -> None:
    edit_json(folder / "configs" / "metadata.json", version="0.1.1")


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (spoil_documents, "docs/rows.csv: the field 'patient_id' may tell of patients.*Remove it"),
        (spoil_imports, "`radbundles download` would refuse this bundle.*imports"),
        (spoil_path, rf"the bundle does not pass.*V1 docs/sections.md: line \d+ \({HOME}/images"),
        (spoil_version, "the bundle does not pass.*V2 configs/metadata.json.*changelog"),
    ],
)
def test_a_faulty_bundle_is_refused_before_anything_is_sent(
    trained: Path, local_hub: LocalHub, spoil: Any, told: str
) -> None:
    spoil(trained)
    with pytest.raises(ValueError, match=f"(?s){told}"):
        upload(trained)
    assert not writes(local_hub) and not local_hub.repositories


@pytest.mark.parametrize("repo", ["edema", "a/b/c", "../x", "me/ x", "me/.."])
def test_a_name_that_is_none_is_refused(trained: Path, repo: str) -> None:
    with pytest.raises(ValueError, match="is no name on the Hub: write ORG/NAME"):
        publish_bundle(trained, repo)
