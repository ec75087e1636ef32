# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""ODIR-5K: what labels of a patient say of each eye."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

HEADER = (
    "ID,Patient Age,Patient Sex,Left-Fundus,Right-Fundus,Left-Diagnostic Keywords,Right-Diagnostic Keywords,"
    "N,D,G,C,A,H,M,O"
)
CODES = "NDGCAHMO"
NAMES = ("Normal", "Diabetes", "Glaucoma", "Cataract", "AMD", "Hypertension", "Pathological Myopia", "Other")


def row(number: int, left: str, right: str, positive: str, own: tuple[str, str] | None = None) -> str:
    flags = ",".join(str(int(code in positive)) for code in CODES)
    start = f"{number},69,Female,{number}_left.jpg,{number}_right.jpg,{left},{right},{flags}"
    if own is None:
        return start + "\n"
    return "".join(
        f"{start},../x/{number}_{side}.jpg,['{code}'],\"[0]\",{number}_{side}.jpg\n"
        for side, code in zip(("right", "left"), own, strict=True)
    )


def known(labels: dict[str, int]) -> tuple[set[str], set[str]]:
    present = {name for name, value in labels.items() if value == 1}
    return present, {name for name, value in labels.items() if value == -1}


@pytest.fixture
def challenge(tmp_path: Path, write: Any) -> Path:
    text = row(1, "normal fundus", "moderate non proliferative retinopathy，glaucoma", "DG")
    text += row(2, "cataract", "lens dust，cataract", "C")
    text += row(3, "drusen", "glaucoma", "GO")
    text += row(4, "lens dust，normal fundus", "low image quality", "N")
    write(tmp_path / "annotations.csv", f"{HEADER}\n{text}")
    return tmp_path


def test_labels_of_an_eye_from_those_of_the_patient(challenge: Path, read: Any, picture: Any) -> None:
    picture(challenge / "ODIR-5K/Training Images/1_left.jpg")
    picture(challenge / "preprocessed_images/1_left.jpg")
    picture(challenge / "preprocessed_images/1_right.jpg")
    items, faults = read("odir-5k", challenge)
    assert faults == [] and list(items) == [f"{n}_{side}" for n in (1, 2, 3, 4) for side in ("left", "right")]
    assert tuple(items["1_left"]["labels"]) == NAMES
    # A normal eye has none of the patient's diseases, so the other one has them all.
    assert known(items["1_left"]["labels"]) == ({"Normal"}, set())
    assert known(items["1_right"]["labels"]) == ({"Diabetes", "Glaucoma"}, set())
    # The only disease of the patient is in each eye that is not normal.
    assert known(items["2_left"]["labels"]) == known(items["2_right"]["labels"]) == ({"Cataract"}, set())
    # Nobody says which eye has which of two.
    assert known(items["3_left"]["labels"]) == (set(), {"Glaucoma", "Other"})
    assert items["3_left"]["labels"]["Normal"] == 0
    assert known(items["4_left"]["labels"]) == ({"Normal"}, set())
    assert known(items["4_right"]["labels"]) == (set(), set(NAMES))  # nothing is said of the eye
    assert items["1_left"]["image"] == "ODIR-5K/Training Images/1_left.jpg"
    assert items["1_right"]["image"] == "preprocessed_images/1_right.jpg"
    assert items["1_right"]["report"] == {"text": "moderate non proliferative retinopathy, glaucoma"}
    person = [items["1_left"][field] for field in ("patient", "sex", "age", "metadata")]
    assert person == ["odir-1", "F", 69, {"eye": "left"}]


def test_the_kaggle_table_names_one_finding_of_each_eye(tmp_path: Path, read: Any, write: Any) -> None:
    text = f"{HEADER},filepath,labels,target,filename\n" + row(3, "drusen", "glaucoma", "GO", ("G", "O"))
    write(tmp_path / "full_df.csv", text)
    items, _ = read("odir-5k", tmp_path)
    assert list(items) == ["3_right", "3_left"]  # a row for each eye
    assert known(items["3_right"]["labels"]) == ({"Glaucoma"}, {"Other"})
    items, _ = read("odir-5k", tmp_path, labels="one_hot")
    assert known(items["3_right"]["labels"]) == ({"Glaucoma"}, set())
    assert known(items["3_left"]["labels"]) == ({"Other"}, set())


def test_faults_and_missing_tables(challenge: Path, read: Any, write: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="labels=one_hot needs full_df.csv"):
        read("odir-5k", challenge, labels="one_hot")
    write(challenge / "annotations.csv", f"{HEADER}\n{row(1, 'a', 'b', 'N').replace('1,0', 'x,0', 1)}")
    assert [fault.code for fault in read("odir-5k", challenge)[1]] == ["wrong_value", "wrong_value"]
    (challenge / "annotations.csv").unlink()
    with pytest.raises(FileNotFoundError, match="saved as CSV in UTF-8"):
        read("odir-5k", challenge)
