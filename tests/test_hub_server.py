# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The local Hub against the Hugging Face client: what is sent comes back, and the faults happen."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from tests.hub_server import LocalHub, Reply

REPO = "someone/some_bundle"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "folder"
    for path, content in {
        "README.md": b"---\nlicense: apache-2.0\n---\nText.\n",
        "models/model.pt": bytes(range(256)) * 40,
        "docs/a b.txt": b"spaces",
        "configs/metadata.json": b"{}",
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    return root


def content(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and path.name != ".gitattributes" and ".cache" not in path.parts
    }


def test_upload_and_download_by_tag_return_every_byte(local_hub: LocalHub, folder: Path, tmp_path: Path) -> None:
    api = HfApi()
    api.create_repo(REPO)
    api.create_repo(REPO, exist_ok=True)
    first = api.upload_folder(repo_id=REPO, folder_path=folder).oid
    api.create_tag(REPO, tag="1.0.0")
    (folder / "models" / "model.pt").write_bytes(b"changed")
    api.upload_folder(repo_id=REPO, folder_path=folder, delete_patterns=["docs/*"])

    assert local_hub.tags(REPO) == {"1.0.0": first}
    assert local_hub.files(REPO)["models/model.pt"] == b"changed"
    assert local_hub.files(REPO, "1.0.0")["models/model.pt"] == bytes(range(256)) * 40
    assert len(local_hub.commits(REPO)) == 3
    got = Path(snapshot_download(REPO, revision="1.0.0", local_dir=tmp_path / "got"))
    assert content(got) == local_hub.files(REPO, "1.0.0")
    assert api.model_info(REPO, revision="1.0.0").sha == first
    assert sorted(api.list_repo_files(REPO, revision="1.0.0")) == sorted([".gitattributes", *content(got)])
    assert [ref.name for ref in api.list_repo_refs(REPO).tags] == ["1.0.0"]


def test_same_content_makes_no_new_commit(local_hub: LocalHub, folder: Path) -> None:
    api = HfApi()
    api.create_repo(REPO)
    first = api.upload_folder(repo_id=REPO, folder_path=folder).oid
    assert api.upload_folder(repo_id=REPO, folder_path=folder).oid == first


def test_other_process_finds_the_hub_by_its_environment(local_hub: LocalHub, folder: Path, tmp_path: Path) -> None:
    local_hub.put(REPO, folder, tag="1.0.0")
    code = f"from huggingface_hub import snapshot_download as get; print(get({REPO!r}, revision='1.0.0'))"
    environment = os.environ | local_hub.environment(tmp_path / "other")
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert content(Path(run.stdout.strip())) == content(folder)
    assert Path(run.stdout.strip()).is_relative_to(tmp_path / "other")


def test_upload_that_breaks_off_leaves_no_commit(local_hub: LocalHub, folder: Path) -> None:
    api = HfApi()
    api.create_repo(REPO)
    local_hub.drop("PUT", "/blobs/", times=None)
    with pytest.raises(RuntimeError, match="models/model.pt"):
        api.upload_folder(repo_id=REPO, folder_path=folder)
    assert local_hub.files(REPO) == {}


def test_upload_goes_on_after_one_broken_connection(local_hub: LocalHub, folder: Path) -> None:
    HfApi().create_repo(REPO)
    local_hub.drop("PUT", "/blobs/")
    HfApi().upload_folder(repo_id=REPO, folder_path=folder)
    assert local_hub.files(REPO) == content(folder)


def test_changed_blob_arrives_unseen_by_the_client(local_hub: LocalHub, folder: Path, tmp_path: Path) -> None:
    local_hub.put(REPO, folder)
    local_hub.serve_instead(REPO, "models/model.pt", b"x" * (256 * 40))
    local_hub.serve_instead(REPO, "configs/metadata.json", b"[]")
    got = content(Path(snapshot_download(REPO, local_dir=tmp_path / "got")))
    assert got["models/model.pt"] == b"x" * (256 * 40) and got["configs/metadata.json"] == b"[]"


def test_writing_needs_the_token(local_hub: LocalHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(HfHubHTTPError, match="401"):
        HfApi().create_repo(REPO)
    assert not local_hub.repositories


def test_private_repository_hides_from_those_without_token(
    local_hub: LocalHub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    HfApi().create_repo(REPO, private=True)
    HfApi().upload_folder(repo_id=REPO, folder_path=folder)
    assert Path(snapshot_download(REPO)).is_dir()
    with pytest.raises(RepositoryNotFoundError):
        HfApi(token=False).model_info(REPO)


def test_what_is_not_there_is_named_as_the_hub_names_it(local_hub: LocalHub, folder: Path) -> None:
    local_hub.put(REPO, folder)
    with pytest.raises(RepositoryNotFoundError):
        HfApi().model_info("someone/nothing")
    with pytest.raises(RevisionNotFoundError):
        HfApi().model_info(REPO, revision="9.9.9")
    with pytest.raises(EntryNotFoundError):
        HfApi().hf_hub_download(REPO, "nothing.txt")


def test_tag_is_refused_once_it_exists_or_by_order(local_hub: LocalHub, folder: Path) -> None:
    commit = local_hub.put(REPO, folder)

    def rival(hub: LocalHub) -> Reply | None:
        hub.repositories[REPO].tags["2.0.0"] = commit
        return None

    local_hub.refuse("POST", "/tag/", 409, "busy")
    local_hub.order("POST", "/tag/", rival)
    for attempt in ("busy", "exists"):
        with pytest.raises(HfHubHTTPError, match=attempt):
            HfApi().create_tag(REPO, tag="2.0.0")
    assert local_hub.tags(REPO) == {"2.0.0": commit}


def test_commit_on_an_outdated_parent_is_refused(local_hub: LocalHub, folder: Path) -> None:
    old = local_hub.put(REPO, folder)
    (folder / "docs" / "a b.txt").write_bytes(b"newer")
    local_hub.put(REPO, folder)
    with pytest.raises(HfHubHTTPError, match="412"):
        HfApi().upload_file(repo_id=REPO, path_in_repo="x.txt", path_or_fileobj=b"x", parent_commit=old)


def test_download_goes_on_in_the_middle(local_hub: LocalHub, folder: Path) -> None:
    import urllib.request

    local_hub.put(REPO, folder)
    url = f"{local_hub.endpoint}/{REPO}/resolve/main/models/model.pt"
    with urllib.request.urlopen(urllib.request.Request(url, headers={"Range": "bytes=10-19"})) as answer:
        assert answer.status == 206 and answer.read() == bytes(range(10, 20))
