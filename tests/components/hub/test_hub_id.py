# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Names on the Hub, its cache, and what its client says when something fails."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from huggingface_hub.utils import are_progress_bars_disabled
from tests.hub_server import LocalHub

from radbundles.components.hub.hub_id import cached_snapshot, find_commit, hub_call, is_hub_id, real_files


@pytest.mark.parametrize(
    ("text", "whether"),
    [
        ("org/name", True),
        ("Org-1/chest_x.ray-2", True),
        ("name", False),
        ("./name", False),
        ("../name", False),
        ("/org/name", False),
        ("org/name/more", False),
        ("org/..", False),
        ("org/na..me", False),
        ("org/", False),
        ("~/name", False),
        ("org/name\n", False),
        ("örg/name", False),
    ],
)
def test_only_two_plain_names_are_one_on_the_hub(text: str, whether: bool) -> None:
    assert is_hub_id(text) is whether


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    """A snapshot as the cache of huggingface_hub has it."""
    root = tmp_path / "models--org--name"
    (root / "blobs").mkdir(parents=True)
    (root / "blobs" / "abc").write_text("content", encoding="utf-8")
    folder = root / "snapshots" / ("0" * 40)
    (folder / "configs").mkdir(parents=True)
    (folder / "configs" / "metadata.json").symlink_to("../../../blobs/abc")
    return folder


def test_a_snapshot_is_shown_as_files_and_nothing_is_left(snapshot: Path) -> None:
    with real_files(snapshot) as folder:
        file = folder / "configs" / "metadata.json"
        assert not file.is_symlink() and file.read_text(encoding="utf-8") == "content"
        assert [path.name for path in folder.rglob("*") if path.is_file()] == ["metadata.json"]
    assert not folder.exists()
    assert sorted(path.name for path in snapshot.parents[1].iterdir()) == ["blobs", "snapshots"]
    assert (snapshot / "configs" / "metadata.json").read_text(encoding="utf-8") == "content"


def test_a_cache_on_a_file_system_without_second_names_is_copied(
    snapshot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*names: object) -> None:
        raise OSError("read only")

    monkeypatch.setattr(os, "link", refuse)
    with real_files(snapshot) as folder:
        assert (folder / "configs" / "metadata.json").read_text(encoding="utf-8") == "content"


@pytest.mark.parametrize("target", ["../../secret", "../blobs/none", "../snapshots"])
def test_a_link_that_leads_out_of_the_cache_is_refused(snapshot: Path, target: str) -> None:
    (snapshot.parents[1] / "secret").write_text("secret", encoding="utf-8")
    (snapshot / "LICENSE").symlink_to(f"../{target}")
    with pytest.raises(ValueError, match="LICENSE leads out of the cache of the Hub"), real_files(snapshot):
        pass


def test_a_tag_is_a_commit_and_the_newest_is_named(local_hub: LocalHub, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "README.md").write_text("first", encoding="utf-8")
    first = local_hub.put("org/name", tmp_path / "folder", tag="1.0.0")
    (tmp_path / "folder" / "README.md").write_text("second", encoding="utf-8")
    second = local_hub.put("org/name", tmp_path / "folder")
    assert find_commit("org/name", revision="1.0.0") == first
    with pytest.warns(UserWarning, match=f"commit {second} is taken, the newest.*pin it with revision='{second}'"):
        assert find_commit("org/name") == second
    folder, commit = cached_snapshot("org/name", revision="1.0.0")
    assert commit == first and (folder / "README.md").read_text(encoding="utf-8") == "first"


def test_each_failure_is_told_with_its_mend(local_hub: LocalHub, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    local_hub.put("org/name", tmp_path / "folder")
    with pytest.raises(FileNotFoundError, match="no bundle org/other on the Hub, or it is private: .* log in"):
        find_commit("org/other", revision="1.0")
    with pytest.raises(FileNotFoundError, match=r"org/name has no revision '1\.0' on the Hub: name one of its tags"):
        find_commit("org/name", revision="1.0")
    local_hub.refuse("GET", "/api/models/org/name", 500, "out of order", times=None)
    with pytest.raises(OSError, match="org/name at 1.0 cannot be had from the Hub: .*500"):
        find_commit("org/name", revision="1.0")


@pytest.mark.parametrize("token", ["hf_secretvalue\nx", "hf_sécretvalue", "unusual secretvalue\nx"])
def test_no_error_holds_a_token(local_hub: LocalHub, token: str) -> None:
    with pytest.raises(OSError, match="cannot be had from the Hub") as error:
        find_commit("org/name", revision="1.0", token=token)
    shown = "".join(map(str, [error.value, error.value.__cause__, repr(error.value)]))
    assert "cretvalue" not in shown and error.value.__suppress_context__


def test_progress_bars_stay_off_where_there_is_no_terminal_and_come_back(capfd: pytest.CaptureFixture[str]) -> None:
    before = are_progress_bars_disabled()
    with hub_call("org/name"):
        assert are_progress_bars_disabled()
    assert are_progress_bars_disabled() == before
