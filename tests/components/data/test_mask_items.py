# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import logging
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from radbundles.components.data import load_mask_sources, write_datalist

Item = dict[str, Any]
CLASSES = ["Nodule", "Effusion"]


@pytest.fixture
def datalist(tmp_path: Path) -> Callable[..., str]:
    """Writes training items, or sections of items, and returns the path."""

    def write(name: str, *items: Item, suffix: str = "json", **sections: Sequence[Item]) -> str:
        sections = {"training": items, **sections} if items else sections
        rows = [
            (section, {"id": f"{name}-{section}-{number}", "image": "image.png", **item})
            for section, held in sections.items()
            for number, item in enumerate(held)
        ]
        path = tmp_path / f"{name}.{suffix}"
        write_datalist(path, rows)
        return str(path)

    return write


NODULE = {"masks": {"Nodule": "n.png"}}
EFFUSION = {"boxes": {"Effusion": [[0, 0, 2, 2]]}}


def test_each_source_knows_its_own_classes(datalist: Callable[..., str]) -> None:
    items = load_mask_sources(
        [
            {"name": "a", "datalist": datalist("a", NODULE, {}), "classes": ["Nodule"], "weight": 3},
            {"name": "b", "datalist": datalist("b", {**NODULE, **EFFUSION}), "classes": ["Effusion"]},
        ],
        "training",
        CLASSES,
    )
    assert items.labels.tolist() == [[1, -1], [0, -1], [-1, 1]]
    assert [item["labels"] for item in items] == items.labels.tolist()
    assert [item["source"] for item in items] == ["a", "a", "b"]
    assert [list(item["targets"]) for item in items] == [["Nodule"], [], ["Effusion"]]
    assert items.counts == {"a": 2, "b": 1}
    assert items.weights == {"a": 3.0, "b": 1.0}


@pytest.mark.parametrize("suffix", ["json", "jsonl"])
def test_items_are_read_at_random_and_paths_are_joined(
    datalist: Callable[..., str], suffix: str, tmp_path: Path
) -> None:
    path = datalist("a", NODULE, {"view": "PA"}, {"labels": {"Nodule": 1}}, NODULE, suffix=suffix)
    items = load_mask_sources([{"name": "a", "datalist": path, "classes": ["Nodule"]}], "training", ["Nodule"])
    assert len(items) == 3
    assert items[-1]["id"] == "a-training-3"
    assert items[1] == {
        "id": "a-training-1",
        "image": str(tmp_path / "image.png"),
        "view": "PA",
        "source": "a",
        "targets": {},
        "labels": [0],
    }
    assert items[0]["targets"]["Nodule"]["masks"] == [str(tmp_path / "n.png")]
    assert [item["id"] for item in items[1:]] == ["a-training-1", "a-training-3"]
    with pytest.raises(IndexError):
        items[3]
    assert list(pickle.loads(pickle.dumps(items))) == list(items)


def test_items_of_which_nothing_is_known_are_left_out_and_counted(datalist: Callable[..., str]) -> None:
    path = datalist("a", {"labels": {"Nodule": 1}}, NODULE, {"labels": {"Nodule": -1}})
    items = load_mask_sources([{"name": "a", "datalist": path, "classes": ["Nodule"]}], "training", ["Nodule"])
    assert [item["id"] for item in items] == ["a-training-1"]
    assert items.report["a"].nothing_known == 2
    assert items.report["a"].images == items.counts["a"] == 1


def test_report_counts_images_by_class(datalist: Callable[..., str]) -> None:
    path = datalist("a", NODULE, {**NODULE, "labels": {"Effusion": 1}}, EFFUSION)
    items = load_mask_sources([{"name": "a", "datalist": path, "classes": CLASSES}], "training", CLASSES)
    report = items.report["a"]
    assert report.present == {"Nodule": 2, "Effusion": 1}
    assert report.absent == {"Effusion": 1, "Nodule": 1}
    assert report.unknown == {"Effusion": 1}


def test_masks_of_an_unknown_class_are_left_out_and_told_once(
    datalist: Callable[..., str], caplog: pytest.LogCaptureFixture
) -> None:
    odd = {"masks": {"Nodule": "n.png", "Rib": "r.png"}, "boxes": {"Heart": [[0, 0, 1, 1]]}}
    path = datalist("a", odd, {"masks": {"Rib": "r.png"}}, NODULE)
    with caplog.at_level(logging.WARNING):
        items = load_mask_sources([{"name": "a", "datalist": path, "classes": ["Nodule"]}], "training", ["Nodule"])
    assert items.report["a"].left_out == {"Rib": 2, "Heart": 1}
    assert items.labels.tolist() == [[1], [0], [1]]
    (record,) = caplog.records
    assert "'Rib' (2 images), 'Heart' (1 images)" in record.getMessage()


def test_a_datalist_may_serve_several_sources(datalist: Callable[..., str]) -> None:
    path = datalist("a", {**NODULE, "source": "x"}, {**NODULE, "source": "y"}, {**EFFUSION, "source": "z"})
    items = load_mask_sources(
        [
            {"name": "one", "datalist": path, "classes": ["Nodule"], "only": ["x", "y"]},
            {"name": "two", "datalist": path, "classes": ["Effusion"], "only": ["z"]},
        ],
        "training",
        CLASSES,
    )
    assert items.counts == {"one": 2, "two": 1}
    assert [item["id"][-1] for item in items] == ["0", "1", "2"]


def test_only_names_the_sources_that_there_are(datalist: Callable[..., str]) -> None:
    path = datalist("a", {**NODULE, "source": "x"})
    entry = {"name": "one", "datalist": path, "classes": ["Nodule"], "only": ["X"]}
    with pytest.raises(ValueError, match=r"\['X'\] in the section 'training', only of \['x'\]"):
        load_mask_sources([entry], "training", ["Nodule"])


def test_a_source_may_have_no_part_in_training_and_be_a_test_as_a_whole(datalist: Callable[..., str]) -> None:
    far = datalist("far", training=[NODULE, NODULE], test=[NODULE])
    sources = [
        {"name": "near", "datalist": datalist("near", NODULE), "classes": ["Nodule"], "sections": {"test": []}},
        {
            "name": "far",
            "datalist": far,
            "classes": ["Nodule"],
            "sections": {"training": [], "test": ["training", "test"]},
        },
    ]
    assert load_mask_sources(sources, "training", ["Nodule"]).counts == {"near": 1}
    tested = load_mask_sources(sources, "test", ["Nodule"])
    assert tested.counts == {"far": 3}
    assert [item["id"] for item in tested] == ["far-training-0", "far-training-1", "far-test-0"]


def test_an_empty_section_says_how_to_leave_it_out(datalist: Callable[..., str]) -> None:
    entry = {"name": "a", "datalist": datalist("a", NODULE), "classes": ["Nodule"]}
    with pytest.raises(ValueError, match=r"source 'a': .* no items .* sections=\{'validation': \[\]\}"):
        load_mask_sources([entry], "validation", ["Nodule"])
    with pytest.raises(ValueError, match="no source has a part in the section 'validation'"):
        load_mask_sources([{**entry, "sections": {"validation": []}}], "validation", ["Nodule"])


def test_a_source_without_positives_names_what_it_has_and_the_mend(datalist: Callable[..., str]) -> None:
    path = datalist("a", {"masks": {"Rib": "r.png"}}, {"masks": {"Nodule/Mass": "n.png"}}, {})
    entry = {"name": "a", "datalist": path, "classes": CLASSES}
    with pytest.raises(ValueError) as caught:
        load_mask_sources([entry], "training", CLASSES)
    message = str(caught.value)
    assert "none of its 3 images has a mask or a box" in message
    assert "'Nodule/Mass' (1 images)" in message
    assert "such as {'Nodule/Mass': 'Nodule'}" in message
    assert load_mask_sources([{**entry, "names": {"Nodule/Mass": "Nodule"}}], "training", CLASSES).labels.sum() == 1


def test_healthy_images_are_permitted_by_name(datalist: Callable[..., str]) -> None:
    entry = {"name": "healthy", "datalist": datalist("a", {}, {}), "classes": CLASSES}
    with pytest.raises(ValueError, match="negatives=true"):
        load_mask_sources([entry], "training", CLASSES)
    items = load_mask_sources([{**entry, "negatives": True}], "training", CLASSES)
    assert items.labels.tolist() == [[0, 0], [0, 0]]


def test_only_training_needs_positives(datalist: Callable[..., str]) -> None:
    entry = {"name": "a", "datalist": datalist("a", NODULE, validation=[{}]), "classes": ["Nodule"]}
    assert load_mask_sources([entry], "validation", ["Nodule"]).labels.tolist() == [[0]]


def test_a_source_of_which_nothing_is_known_is_refused(datalist: Callable[..., str]) -> None:
    entry = {"name": "a", "datalist": datalist("a", EFFUSION), "classes": ["Effusion"], "boxes": False}
    with pytest.raises(ValueError, match="nothing is known"):
        load_mask_sources([entry], "training", ["Effusion"])


def test_a_class_without_a_mask_of_its_source_is_told(
    datalist: Callable[..., str], caplog: pytest.LogCaptureFixture
) -> None:
    entry = {"name": "a", "datalist": datalist("a", NODULE), "classes": CLASSES, "names": {"effusion": "Effusion"}}
    with caplog.at_level(logging.WARNING):
        load_mask_sources([entry], "training", CLASSES)
    told = [record.getMessage() for record in caplog.records]
    assert any("no mask or box of ['Effusion']" in message for message in told)
    assert any("names maps ['effusion'], which no item has" in message for message in told)


@pytest.mark.parametrize(
    ("sources", "classes", "message"),
    [
        ([{"name": "a", "classes": ["Nodule", "Rib"]}], ["Nodule"], r"annotates \['Rib'\].*Add them to the run"),
        ([{"name": "a", "classes": ["Nodule"]}], CLASSES, r"no source annotates \['Effusion'\].*Add them to the"),
        ([{"name": "a", "classes": ["Nodule"]}] * 2, ["Nodule"], "two sources are named 'a'"),
        ([{"name": "a", "classes": ["Nodule"]}], ["Nodule", "Nodule"], "list of different names"),
        ([{"name": "a", "classes": ["Nodule"]}], "Nodule", "list of different names"),
        ([{"name": "a", "classes": ["Nodule"], "sections": {"training": []}}], ["Nodule"], "no source annotates"),
    ],
)
def test_sources_that_do_not_fit_the_classes(
    sources: list[dict[str, Any]], classes: list[str], message: str, datalist: Callable[..., str]
) -> None:
    path = datalist("a", NODULE)
    with pytest.raises(ValueError, match=message):
        load_mask_sources([{"datalist": path, **source} for source in sources], "training", classes)


def test_nothing_private_in_the_log(datalist: Callable[..., str], caplog: pytest.LogCaptureFixture) -> None:
    secret = {"patient": "Doe^Jane", "report": {"text": "secret words"}, "masks": {"Nodule": "n.png", "Rib": "r.png"}}
    with caplog.at_level(logging.DEBUG):
        load_mask_sources(
            [{"name": "a", "datalist": datalist("a", secret), "classes": ["Nodule"]}], "training", ["Nodule"]
        )
    assert caplog.records
    assert "Doe" not in caplog.text and "secret" not in caplog.text


def test_real_collection_in_one_datalist(shared_data: Path, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in (shared_data / "manifest.jsonl").read_text(encoding="utf-8").splitlines()]
    kept = ("id", "image", "masks", "source")
    wanted = {"montgomery", "covid_lungs", "idrid_segmentation"}
    write_datalist(
        tmp_path / "datalist.jsonl",
        [("training", {key: row[key] for key in kept}) for row in rows if row["source"] in wanted],
    )
    shared = {"datalist": tmp_path / "datalist.jsonl", "dataset_dir": shared_data}
    items = load_mask_sources(
        [
            {
                "name": "films",
                "classes": ["Lungs"],
                "names": {"lungs": "Lungs"},
                "only": ["montgomery", "covid_lungs"],
                **shared,
            },
            {"name": "eyes", "classes": ["soft exudates"], "only": ["idrid_segmentation"], **shared},
        ],
        "training",
        ["Lungs", "soft exudates"],
    )
    films = [row for row in rows if row["source"] in ("montgomery", "covid_lungs")]
    assert items.counts == {"films": len(films), "eyes": 48}
    assert items.report["films"].present["Lungs"] == sum("lungs" in row["masks"] for row in films)
    assert (items.report["eyes"].present["soft exudates"], items.report["eyes"].absent["soft exudates"]) == (24, 24)
    assert all(
        Path(path).is_file() for item in items for target in item["targets"].values() for path in target["masks"]
    )
