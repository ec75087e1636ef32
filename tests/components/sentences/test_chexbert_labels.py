# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from pathlib import Path

import pytest

from radbundles.components.sentences import ChexbertLabels
from radbundles.transforms import LabelTable, label_table

HEADER = "Report Impression,Edema,No Finding,Pleural Effusion,Knee"
SECRET = "smithson has an effusion"


@pytest.fixture(scope="module")
def table() -> LabelTable:
    return label_table("chexpert")


def write(folder: Path, *lines: str, header: str = HEADER) -> Path:
    path = folder / "labeled.csv"
    path.write_text("\n".join((header, *lines)) + "\n", encoding="utf-8")
    return path


def test_blank_is_not_mentioned(tmp_path: Path, table: LabelTable) -> None:
    path = write(
        tmp_path, "small effusion on the left,0,,1,1", '"no edema , no effusion",0.0,1.0,0,', "edema ?,-1.0,,,"
    )
    labels = ChexbertLabels(path, table)
    assert labels("small effusion on the left") == {"Edema": 0, "Pleural Effusion": 1}
    assert labels("no edema , no effusion") == {"Edema": 0, "No Finding": 1, "Pleural Effusion": 0}
    assert labels("edema ?") == {"Edema": -1}
    assert labels("large effusion on the left") is None
    assert len(labels) == 3


def test_first_of_equal_sentences_counts_and_a_final_stop_does_not(tmp_path: Path, table: LabelTable) -> None:
    labels = ChexbertLabels(write(tmp_path, "effusion .,,,1,", "Effusion,,,0,"), table)
    assert labels("effusion") == labels("effusion .") == {"Pleural Effusion": 1}
    assert len(labels) == 1


def test_classes_go_by_the_names_of_the_table(tmp_path: Path) -> None:
    labels = ChexbertLabels(write(tmp_path, "effusion,,,1,"), label_table("findings"))
    assert labels("effusion") == {"effusion": 1}


def test_empty_table_knows_no_sentence(tmp_path: Path, table: LabelTable) -> None:
    assert ChexbertLabels(write(tmp_path), table)("effusion") is None


@pytest.mark.parametrize(
    ("header", "line", "message"),
    [
        ("Sentence,Edema", f"{SECRET},1", "no column 'Report Impression'"),
        ("Report Impression,Knee", f"{SECRET},1", "no column of the label table 'chexpert'"),
        (HEADER, f"{SECRET},1,2,1,1", "row 2: No Finding is no CheXbert label"),
        (HEADER, f"{SECRET},and more,1,1,1", "row 2: Edema is no CheXbert label"),
        (HEADER, f"{SECRET},1", "row 2: the row has 2 cells"),
    ],
)
def test_faulty_table_is_refused_without_its_text(
    tmp_path: Path, table: LabelTable, header: str, line: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message) as error:
        ChexbertLabels(write(tmp_path, line, header=header), table)
    assert "labeled.csv" in str(error.value) and "smithson" not in str(error.value)


def test_missing_table_is_named(tmp_path: Path, table: LabelTable) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.csv"):
        ChexbertLabels(tmp_path / "none.csv", table)
