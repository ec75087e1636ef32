# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Tests of the guard of splits."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from radbundles.components.data import SplitLeakError, guard, guard_sources, guard_splits, write_datalist


def _files(folder: Path, contents: dict[str, bytes]) -> None:
    for name, content in contents.items():
        (folder / name).write_bytes(content)


def _write(path: Path, rows: list[tuple[str, str, str]]) -> Path:
    """Write a datalist of (split, patient, image); the id is the running number."""
    items = [
        (split, {"id": f"item{n}", "image": image} | ({"patient": patient} if patient else {}))
        for n, (split, patient, image) in enumerate(rows)
    ]
    write_datalist(path, items)
    return path


@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
def test_clean_splits_pass(tmp_path: Path, suffix: str) -> None:
    """Different patients and files pass, even of one size and with a common middle or common ends."""
    big = bytes(1 << 16)
    _files(tmp_path, {"a": big + b"1", "b": big + b"2", "c": b"1" + big, "d": b"same", "e": b"same"})
    rows = [("training", "p1", "a"), ("validation", "p2", "b"), ("test", "p3", "c"), ("test", "p4", "absent")]
    rows += [("training", "p5", "d"), ("training", "p5", "e")]  # of one split
    found = guard_splits(_write(tmp_path / f"d{suffix}", rows))
    expected = {"items": {"training": 3, "validation": 1, "test": 2}, "patients": 0, "images": 0, "files": 6}
    assert found == expected


def test_patient_in_two_splits_is_refused_without_a_name(tmp_path: Path) -> None:
    """The error has count, rows, ids, splits and mends, but no patient."""
    rows = [("training", "Doe^Jane", "a"), ("training", "Doe^Jane", "b"), ("test", "Doe^Jane", "c"), ("test", "x", "d")]
    path = _write(tmp_path / "d.jsonl", rows)
    with pytest.raises(SplitLeakError) as error:
        guard_splits(path)
    text = str(error.value)
    assert "d.jsonl: 1 patient stands in two splits" in text
    assert "row 1 (id 'item0', training) and row 3 (id 'item2', test)" in text
    assert "--fractions" in text and "--allow_leaks true" in text and "Doe" not in text
    assert isinstance(error.value, ValueError)


def test_same_file_under_another_name_is_refused(tmp_path: Path) -> None:
    """A copy is found in another split, by content; the folder of the images may be another."""
    images = tmp_path / "images"
    images.mkdir()
    generator = np.random.default_rng(0)
    content = [generator.bytes(40_000) for _ in range(2)]
    changed = bytearray(content[0])
    changed[-1] ^= 1  # neither size nor middle tells it from the first
    _files(images, {"a": content[0], "b": content[1], "c": bytes(changed), "copy": content[1]})
    rows = [("training", "1", "a"), ("training", "2", "b"), ("test", "3", "c"), ("validation", "4", "copy")]
    path = _write(tmp_path / "d.json", rows)
    with pytest.raises(SplitLeakError, match="1 image stands in two splits.*'item1', training.*'item3', validation"):
        guard_splits(path, images)
    assert guard_splits(path, images, images=False)["images"] == 0
    assert guard_splits(path)["images"] == 0  # no files there


def test_leak_may_be_allowed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Then it is a warning with the counts."""
    _files(tmp_path, {"a": b"1", "b": b"1"})
    path = _write(tmp_path / "d.json", [("training", "1", "a"), ("test", "1", "b")])
    with caplog.at_level(logging.WARNING):
        found = guard_splits(path, allow=True)
    assert (found["patients"], found["images"]) == (1, 1)
    assert "1 patient stands" in caplog.text and "1 image stands" in caplog.text


def test_items_without_a_patient_count_by_study(tmp_path: Path) -> None:
    """A study in two splits is refused; a study and a patient of one name are different."""
    path = tmp_path / "d.json"
    rows = [("training", {"id": "a", "image": "a", "study": "7"}), ("test", {"id": "b", "image": "b", "patient": "7"})]
    write_datalist(path, rows)
    assert guard_splits(path)["patients"] == 0
    write_datalist(path, [*rows, ("test", {"id": "c", "image": "c", "study": "7"})])
    with pytest.raises(SplitLeakError, match="1 patient stands"):
        guard_splits(path)


def test_one_split_alone_reads_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test set by itself shares nothing."""
    monkeypatch.setattr(guard, "_size", lambda path: pytest.fail("looked at a file"))
    assert guard_splits(_write(tmp_path / "d.json", [("test", "1", "a"), ("test", "1", "a")]))["files"] == 0


def test_few_files_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only files that agree in size are opened, only those that agree in the middle are read whole."""
    opened: dict[str, list[str]] = {"_part": [], "_content": []}
    for name, seen in opened.items():
        function = getattr(guard, name)
        monkeypatch.setattr(guard, name, lambda path, f=function, s=seen: (s.append(Path(path).name), f(path))[1])
    _files(tmp_path, {f"{n}": bytes(n + 1) for n in range(50)})
    _files(tmp_path, {"x": b"x" * 200, "y": b"y" * 200, "u": b"u" * 300, "v": b"u" * 300})
    rows = [("training" if n % 2 else "test", str(n), str(n)) for n in range(50)]
    rows += [(split, name, name) for name, split in zip("xyuv", ("training", "test") * 2, strict=True)]
    with pytest.raises(SplitLeakError):
        guard_splits(_write(tmp_path / "d.json", rows))
    assert sorted(opened["_part"]) == ["u", "v", "x", "y"] and sorted(opened["_content"]) == ["u", "v"]


def test_a_copied_collection_is_not_read_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After enough copies the count is a least count, and batches keep copies together."""
    monkeypatch.setattr(guard, "_BATCH", 8)
    _files(tmp_path, {f"{side}{n}": n.to_bytes(4, "little") for n in range(40) for side in "ab"})
    rows = [("training" if side == "a" else "test", f"{side}{n}", f"{side}{n}") for n in range(40) for side in "ab"]
    with pytest.raises(SplitLeakError, match="at least 8 images stand"):
        guard_splits(_write(tmp_path / "d.json", rows))


def test_each_datalist_of_several_sources_is_guarded_once(tmp_path: Path) -> None:
    """Two sources of one datalist are one; the datalist with a fault is named."""
    good = _write(tmp_path / "good.json", [("training", "1", "a"), ("test", "2", "b")])
    sources = [{"name": name, "datalist": good, "classes": ["x"]} for name in "ab"]
    assert len(guard_sources(sources)) == 1
    bad = _write(tmp_path / "bad.json", [("training", "1", "a"), ("test", "1", "b")])
    with pytest.raises(SplitLeakError, match="bad.json: 1 patient"):
        guard_sources([*sources, {"name": "c", "datalist": str(bad), "classes": ["x"]}])
