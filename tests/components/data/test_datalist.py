# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Datalists survive a round trip, are read at random from any process, and are written whole or not at all."""

from __future__ import annotations

import json
import multiprocessing
import operator
import pickle
import threading
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from radbundles.components.data import iter_datalist, load_datalist, write_datalist
from radbundles.components.data.lines import IdIndex

Rows = list[tuple[str, dict[str, Any]]]


def rows(count: int) -> Rows:
    splits = ("training", "training", "test", "validation")
    return [
        (
            splits[i % 4],
            {"id": f"id{i}", "image": f"images/{i}.png", "report": {"findings": f'Nr. {i}.\n“split”: "test"'}},
        )
        for i in range(count)
    ]


def sorted_rows(found: Rows) -> Rows:
    return sorted(found, key=lambda row: row[1]["id"])


TEXT = st.text(max_size=8)
NAME = TEXT.filter(lambda text: text.strip() and "\0" not in text)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    entries=st.lists(
        st.tuples(
            st.sampled_from(["training", "validation", "test"]),
            st.fixed_dictionaries(
                {"id": NAME, "image": NAME, "view": st.just("split") | NAME},
                optional={
                    "report": st.dictionaries(NAME, TEXT),
                    "metadata": st.dictionaries(st.just("split") | NAME, TEXT),
                },
            ),
        ),
        min_size=1,
        max_size=5,
        unique_by=lambda row: str(row[1]["id"]),
    ),
    suffix=st.sampled_from([".json", ".jsonl"]),
)
def test_any_items_survive_a_round_trip(tmp_path: Path, entries: Rows, suffix: str) -> None:
    path = tmp_path / f"list{suffix}"
    write_datalist(path, entries)
    assert sorted_rows([(split, item) for _, split, item in iter_datalist(path)]) == sorted_rows(entries)
    for section in {split for split, _ in entries}:
        loaded = load_datalist(path, section, base_dir="")
        assert [item["id"] for item in loaded] == [item["id"] for split, item in entries if split == section]
        assert [item.get("report") for item in loaded] == [i.get("report") for s, i in entries if s == section]


@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
def test_paths_are_joined_with_the_folder(tmp_path: Path, suffix: str) -> None:
    absolute = str(tmp_path / "x.png")
    path = tmp_path / f"list{suffix}"
    write_datalist(path, [("test", {"id": "a", "image": "a.png", "masks": {"lungs": "m/a.png", "heart": absolute}})])
    (item,) = load_datalist(path, "test")
    assert item["image"] == str(tmp_path / "a.png")
    assert item["masks"] == {"lungs": str(tmp_path / "m/a.png"), "heart": absolute}
    assert load_datalist(path, "test", base_dir="/data")[0]["image"] == "/data/a.png"


def test_json_lines_are_a_sequence(tmp_path: Path) -> None:
    path = tmp_path / "list.jsonl"
    write_datalist(path, rows(40))
    section = load_datalist(path, "training")
    expected = [item["id"] for split, item in rows(40) if split == "training"]
    assert len(section) == 20
    assert [item["id"] for item in section] == expected
    assert section[-1]["id"] == expected[-1]
    assert [item["id"] for item in section[3:9:2]] == expected[3:9:2]
    with pytest.raises(IndexError, match="section of 20 items"):
        section[20]


def _ids(section: Any, places: list[int]) -> list[str]:
    return [section[place]["id"] for place in places]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_json_lines_are_read_in_worker_processes(tmp_path: Path, method: str) -> None:
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} on this system")
    path = tmp_path / "list.jsonl"
    write_datalist(path, rows(400))
    section = load_datalist(path, "training")
    assert section[5]["id"]  # the parent's handle is open and somewhere in the file
    # Workers of spawn cannot import a test module, so they run a function of the standard library.
    readers = [operator.itemgetter(*range(start, 200, 2)) for start in range(2)]
    with multiprocessing.get_context(method).Pool(2) as pool:
        found = [pool.apply_async(reader, (section,)) for reader in readers]
        assert [result.get(timeout=60) for result in found] == [reader(section) for reader in readers]


def test_json_lines_are_read_in_threads(tmp_path: Path) -> None:
    path = tmp_path / "list.jsonl"
    write_datalist(path, rows(800))
    section = load_datalist(path, "training")
    expected = _ids(section, list(range(400)))
    wrong: list[int] = []

    def read(seed: int) -> None:
        wrong.extend(p for p in ((i * seed) % 400 for i in range(400)) if section[p]["id"] != expected[p])

    threads = [threading.Thread(target=read, args=(seed,)) for seed in (1, 3, 7, 11)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "list.jsonl"
    write_datalist(path, rows(8))
    copy = pickle.dumps(load_datalist(path, "training"))
    write_datalist(path, rows(12))
    with pytest.raises(RuntimeError, match="was changed"):
        pickle.loads(copy)[0]


def test_memory_of_an_open_section_does_not_grow_with_the_text(tmp_path: Path) -> None:
    path = tmp_path / "list.jsonl"
    write_datalist(
        path, (("training", {"id": f"{i}", "image": "a.png", "report": {"text": "x" * 1000}}) for i in range(20000))
    )
    tracemalloc.start()
    section = load_datalist(path, "training")
    assert section[19999]["id"] == "19999"
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert path.stat().st_size > 20e6
    assert peak < 2e6


@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
def test_distilled_text_is_joined_by_id(tmp_path: Path, suffix: str) -> None:
    path, distilled = tmp_path / f"list{suffix}", tmp_path / "distilled.jsonl"
    write_datalist(path, rows(12))
    texts = {item["id"]: f"There is no {item['id']}." for _, item in reversed(rows(12))}
    distilled.write_text("".join(json.dumps({"id": name, "text": text}) + "\n" for name, text in texts.items()))
    section = load_datalist(path, "training", distilled=distilled)
    assert [item["distilled"] for item in section] == [texts[item["id"]] for item in section]
    assert pickle.loads(pickle.dumps(section))[2]["distilled"] == texts[section[2]["id"]]

    short = [line for line in distilled.read_text().splitlines() if '"id0"' not in line and '"id5"' not in line]
    distilled.write_text("\n".join(short))
    with pytest.raises(ValueError, match=r"no text for 2 of 6 items \(first ids: 'id0', 'id5'\)"):
        load_datalist(path, "training", distilled=distilled)


def test_a_distilled_id_that_repeats_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "distilled.jsonl"
    path.write_text('{"id": "a", "text": "1"}\n{"text": "2", "id": "a"}\n')
    with pytest.raises(ValueError, match="'a' is on more than one line"):
        IdIndex(path)


def test_ids_that_share_a_hash_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("radbundles.components.data.lines.hash64", lambda text: 5)
    path = tmp_path / "distilled.jsonl"
    path.write_text("".join(json.dumps({"id": name, "text": name}) + "\n" for name in "abc"))
    index = IdIndex(path)
    assert [index.find(name) for name in "cab"] == [{"id": name, "text": name} for name in "cab"]
    assert index.find("d") is None


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "list.jsonl"
    write_datalist(path, rows(4))
    before = path.read_bytes()
    with pytest.raises(ValueError, match="row 2.*sex"):
        write_datalist(path, [("test", {"id": "a", "image": "a"}), ("test", {"id": "b", "image": "b", "sex": "x"})])
    with pytest.raises(ValueError, match="'split' must be one of"):
        write_datalist(path, [("train", {"id": "a", "image": "a"})])
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_header_is_written_and_only_where_it_has_a_place(tmp_path: Path) -> None:
    write_datalist(tmp_path / "a.json", rows(4), name="mine", label_names=["Edema"])
    document = json.loads((tmp_path / "a.json").read_text())
    assert (document["name"], document["label_names"]) == ("mine", ["Edema"])
    assert [len(document[split]) for split in ("training", "validation", "test")] == [2, 1, 1]
    with pytest.raises(ValueError, match="no header"):
        write_datalist(tmp_path / "a.jsonl", rows(4), name="mine")
    with pytest.raises(ValueError, match=r"ends with .json or .jsonl"):
        write_datalist(tmp_path / "a.txt", rows(4))


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.json", "", "is empty"),
        ("a.json", '{"id": "a"}\n{"id": "b"}', "name it .jsonl"),
        ("a.json", "[]", "must be an object with sections"),
        ("a.json", '{"training": {}}', "'training' must be a list"),
        ("a.json", '{"id": "a", "image": "b"}', "single item"),
        ("a.json", '{"training": [{"id": "a", "image": "b", "age": NaN}]}', "NaN is not JSON"),
        ("a.json", '{"test": [], "training": [{"id": "a"}]}', "row 1, id 'a', image: is missing"),
        ("a.jsonl", '{"id": "a", "split": "training", "image": ""}\n', "row 1, id 'a', image"),
        ("a.jsonl", '{"id": "a", "split": "train"}\n', "'train'"),
        ("a.jsonl", '\n{"id": "a", "split": "training"\n', "row 2 is not JSON"),
        ("a.jsonl", '{"id": "a", "split": "test"}\n', r"no items in the section 'training' \(training: 0"),
        ("a.jsonl", '{"id": "a", "image": "b", "metadata": {"split": "training"}}\n', "'split' must be one of"),
    ],
)
def test_files_against_the_contract_are_refused(tmp_path: Path, name: str, content: str, told: str) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(ValueError, match=told):
        load_datalist(path, "training")[0]


def test_missing_files_and_unknown_sections_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="does not exist"):
        load_datalist(tmp_path / "no.json", "training")
    with pytest.raises(FileNotFoundError, match="is a folder"):
        list(iter_datalist(tmp_path))
    write_datalist(tmp_path / "a.json", rows(4))
    with pytest.raises(ValueError, match="must be one of training, validation, test, not 'train'"):
        load_datalist(tmp_path / "a.json", "train")


def test_byte_order_mark_and_windows_line_ends_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(
        b'\xef\xbb\xbf{"id": "a", "image": "a.png", "split": "test"}\r\n\r\n{"id":"b","image":"b","split" : "test"}'
    )
    assert [(row, item["id"]) for row, _, item in iter_datalist(path)] == [(1, "a"), (3, "b")]
    assert [item["id"] for item in load_datalist(path, "test")] == ["a", "b"]
