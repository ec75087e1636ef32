# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Each layout is read from a small tree of its published form."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from radbundles.components.data.fault import Fault
from radbundles.components.data.layouts import LAYOUTS
from radbundles.components.data.layouts.cells import parse_age, parse_boxes, parse_label, parse_sex
from radbundles.components.data.layouts.nlm_tuberculosis import parse_reading
from radbundles.components.data.layouts.report_text import parse_report
from radbundles.components.data.schema import item_faults

REPORT = """                                 FINAL REPORT
 EXAMINATION:  CHEST (PA AND LAT)

 INDICATION:  ___F with new onset ascites  // eval for infection

 TECHNIQUE:  Chest PA and lateral

 COMPARISON:  None.

 FINDINGS:

 There is no focal consolidation, pleural effusion or
 pneumothorax.  Ratio 2:1.

 IMPRESSION:

 No acute cardiopulmonary process.
"""


def read(layout: str, source: Path, **options: Any) -> tuple[dict[str, dict[str, Any]], list[Fault]]:
    found = [item for _, item in LAYOUTS[layout].read(source, **options)]
    items = {item["id"]: item for item in found if not isinstance(item, Fault)}
    for item in items.values():
        assert item_faults({key: value for key, value in item.items() if key != "split"}) == []
    return items, [item for item in found if isinstance(item, Fault)]


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def write_gz(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode()))


def test_sections_of_a_report() -> None:
    assert parse_report(REPORT) == {
        "examination": "CHEST (PA AND LAT)",
        "indication": "___F with new onset ascites // eval for infection",
        "technique": "Chest PA and lateral",
        "comparison": "None.",
        "findings": "There is no focal consolidation, pleural effusion or pneumothorax. Ratio 2:1.",
        "impression": "No acute cardiopulmonary process.",
    }
    assert parse_report(
        " FINAL REPORT\n HISTORY: Cough.\n\n PA AND LATERAL CHEST RADIOGRAPHS:  Clear.\n CONCLUSION: Normal."
    ) == {
        "indication": "Cough.",
        "findings": "Clear.",
        "impression": "Normal.",
    }
    assert parse_report("Lungs are clear.") == {"text": "Lungs are clear."}
    assert parse_report(" \n") == {}


@pytest.mark.parametrize(("layout", "suffix"), [("mimic-cxr-jpg", ".jpg"), ("mimic-cxr", ".dcm")])
def test_mimic_cxr(tmp_path: Path, layout: str, suffix: str) -> None:
    write_gz(
        tmp_path / "mimic-cxr-2.0.0-metadata.csv.gz",
        "dicom_id,subject_id,study_id,ViewPosition\naa-1,10000032,50414267,PA\nbb-2,10000032,50414267,LATERAL\ncc-3,10000764,57375967,\n",
    )
    write(
        tmp_path / "mimic-cxr-2.0.0-split.csv",
        "dicom_id,study_id,subject_id,split\naa-1,1,1,train\nbb-2,1,1,validate\ncc-3,2,2,test\n",
    )
    write_gz(
        tmp_path / "mimic-cxr-2.0.0-chexpert.csv.gz",
        "subject_id,study_id,Atelectasis,Edema,Fracture,No Finding\n10000032,50414267,1.0,0.0,-1.0,\n",
    )
    write(tmp_path / "files/p10/p10000032/s50414267.txt", REPORT)
    items, faults = read(layout, tmp_path)
    assert faults == []
    assert items["aa-1"]["image"] == f"files/p10/p10000032/s50414267/aa-1{suffix}"
    assert items["aa-1"]["patient"] == "10000032" and items["aa-1"]["study"] == "50414267"
    assert [items[name].get("view") for name in ("aa-1", "bb-2", "cc-3")] == ["PA", "LATERAL", None]
    assert [items[name]["split"] for name in ("aa-1", "bb-2", "cc-3")] == ["training", "validation", "test"]
    # Uncertain is -1; not mentioned (blank) is left out.
    assert items["bb-2"]["labels"] == {"Atelectasis": 1, "Edema": 0, "Fracture": -1}
    assert items["aa-1"]["report"]["impression"] == "No acute cardiopulmonary process."
    assert "labels" not in items["cc-3"] and "report" not in items["cc-3"]


def test_mimic_cxr_without_tables_reads_the_record_list_and_reports_elsewhere(tmp_path: Path) -> None:
    write(tmp_path / "a/cxr-record-list.csv", "subject_id,study_id,dicom_id,path\n10000032,5,aa,files/x.dcm\n")
    write(tmp_path / "b/files/p10/p10000032/s5.txt", REPORT)
    items, _ = read("mimic-cxr", tmp_path / "a", reports=tmp_path / "b")
    assert items["aa"]["report"]["comparison"] == "None."
    assert "split" not in items["aa"] and "labels" not in items["aa"]
    with pytest.raises(FileNotFoundError, match="has no mimic-cxr-2.0.0-metadata.csv.gz"):
        read("mimic-cxr-jpg", tmp_path / "a")


def test_mimic_cxr_refuses_an_unknown_label_and_records_blank_identifiers(tmp_path: Path) -> None:
    write(tmp_path / "mimic-cxr-2.0.0-metadata.csv", "dicom_id,subject_id,study_id\naa,,5\n")
    assert [fault.code for fault in read("mimic-cxr", tmp_path)[1]] == ["missing_field"]
    write(tmp_path / "mimic-cxr-2.0.0-chexpert.csv", "subject_id,study_id,Edema\n1,5,maybe\n")
    with pytest.raises(ValueError, match="row 2: 'maybe' is no CheXpert label"):
        read("mimic-cxr", tmp_path)


def test_open_i(tmp_path: Path) -> None:
    xml = """<eCitation><MeSH><major>Cardiomegaly/borderline</major><major>normal</major>
    <automatic>sternotomy</automatic></MeSH>
    <uId id="CXR2"/><MedlineCitation><Article><Abstract><AbstractText Label="COMPARISON"/>
    <AbstractText Label="FINDINGS">Borderline <b>cardiomegaly</b>.
    Clear lungs.</AbstractText><AbstractText Label="IMPRESSION">No XXXX findings.</AbstractText>
    </Abstract></Article></MedlineCitation>
    <parentImage id="CXR2_IM-0652-1001"><caption>Chest, 2 views</caption></parentImage>
    <parentImage id="CXR2_IM-0652-2001"/></eCitation>"""
    write(tmp_path / "ecgen-radiology/10.xml", "<eCitation>")
    write(tmp_path / "ecgen-radiology/2.xml", xml)
    items, faults = read("open-i", tmp_path)
    assert list(items) == ["CXR2_IM-0652-1001", "CXR2_IM-0652-2001"]
    first = items["CXR2_IM-0652-1001"]
    assert first["image"] == "NLMCXR_png/CXR2_IM-0652-1001.png"
    assert first["patient"] == first["study"] == "CXR2"
    assert first["report"] == {"findings": "Borderline cardiomegaly. Clear lungs.", "impression": "No XXXX findings."}
    assert first["metadata"]["mesh_major"] == "Cardiomegaly/borderline; normal"
    assert first["metadata"]["caption"] == "Chest, 2 views"
    (fault,) = faults
    assert fault.row == 3 and "10.xml is not XML" in fault.message
    with pytest.raises(FileNotFoundError, match="no folder ecgen-radiology"):
        read("open-i", tmp_path / "ecgen-radiology")


def test_montgomery_and_shenzhen(tmp_path: Path) -> None:
    for name in ("MCUCXR_0001_0", "MCUCXR_0104_1", "odd"):
        write(tmp_path / f"m/CXR_png/{name}.png", "")
    write(tmp_path / "m/ClinicalReadings/MCUCXR_0001_0.txt", "Patient's Sex: F\nPatient's Age: 027Y\nnormal\n")
    for side in ("leftMask", "rightMask"):
        write(tmp_path / f"m/ManualMask/{side}/MCUCXR_0001_0.png", "")
    items, faults = read("montgomery", tmp_path / "m")
    normal = items["MCUCXR_0001_0"]
    assert (normal["sex"], normal["age"], normal["report"]) == ("F", 27, {"text": "normal"})
    assert normal["masks"]["left lung"] == "ManualMask/leftMask/MCUCXR_0001_0.png"
    assert normal["patient"] == "MCUCXR_0001" and normal["labels"] == {"tuberculosis": 0}
    assert items["MCUCXR_0104_1"]["labels"] == {"tuberculosis": 1} and "masks" not in items["MCUCXR_0104_1"]
    assert [fault.id for fault in faults] == ["odd"]

    write(tmp_path / "s/CXR_png/CHNCXR_0327_1.png", "")
    write(tmp_path / "s/ClinicalReadings/CHNCXR_0327_1.txt", "male 60yrs\nbilateral PTB, right upper atelectasis\n")
    write(tmp_path / "s/mask/CHNCXR_0327_1_mask.png", "")
    items, _ = read("shenzhen", tmp_path / "s")
    assert items["CHNCXR_0327_1"]["masks"] == {"lungs": "mask/CHNCXR_0327_1_mask.png"}
    with pytest.raises(FileNotFoundError, match="no folder CXR_png"):
        read("shenzhen", tmp_path)


def test_readings_as_the_two_sets_write_them() -> None:
    assert parse_reading("Male, 45yrs\nSTB") == {"sex": "M", "age": 45, "report": {"text": "STB"}}
    assert parse_reading("female  6 months \nnormal") == {"sex": "F", "age": 0.5, "report": {"text": "normal"}}
    assert parse_reading("Patient's Sex: M\nPatient's Age: 031Y\nImproved.  Infiltrate\nin RUL") == {
        "sex": "M",
        "age": 31,
        "report": {"text": "Improved. Infiltrate in RUL"},
    }
    assert parse_reading("") == {}


def test_open_collection(tmp_path: Path) -> None:
    rows: list[Any] = [
        {
            "id": "n1",
            "source": "nih",
            "patient": "p1",
            "image": "a.png",
            "size": [64, 64],
            "orig_size": [1024, 1024],
            "view": "PA",
            "modality": "CXR",
            "sex": "m",
            "age": "77",
            "text": [{"kind": "radiologist_reading", "text": "Clear."}, {"kind": "clinical_notes", "text": "Cough."}],
            "labels": {"findings": ["Mass", "Nodule"], "rotated_ccw_90": True, "adjudicated": {"Fracture": "NO"}},
            "masks": {"lungs": "m.png"},
            "boxes": [{"label": "Infiltrate", "xywh": [1, 2, 10, 20], "source": "list"}],
            "licence": "CC BY 4.0",
            "tier": "open",
        },
        {"id": "n2", "image": "b.png", "sex": None, "age": None, "labels": {"findings": ["No Finding"]}},
        {
            "id": "g1",
            "image": "c.png",
            "labels": {"dr_grade_0_4": 1, "dme_risk_0_2": 0, "tuberculosis": 1, "x": float("inf")},
        },
        {"id": "bad", "image": "c.png", "labels": {"findings": ["Gout"]}},
        {"id": "box", "image": "c.png", "boxes": [{"label": "a", "xywh": [1, 2, 3]}]},
        ["list"],
    ]
    write(tmp_path / "manifest.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    items, faults = read("open-collection", tmp_path)
    nih = items["n1"]
    assert nih["boxes"] == {"Infiltration": [[1, 2, 11, 22]]}
    assert nih["report"] == {"text": "Clear.\nCough."}
    assert len(nih["labels"]) == 14 and {k for k, v in nih["labels"].items() if v} == {"Mass", "Nodule"}
    assert (nih["sex"], nih["age"], nih["license"]) == ("M", 77, "CC BY 4.0")
    assert nih["metadata"]["tier"] == "open" and nih["metadata"]["rotated_ccw_90"] is True
    assert nih["metadata"]["adjudicated.Fracture"] == "NO" and nih["metadata"]["orig_size"] == "1024, 1024"
    assert set(items["n2"]["labels"].values()) == {0} and "sex" not in items["n2"]
    # A grade of 0 or 1 is no label of absent or present.
    assert items["g1"]["labels"] == {"tuberculosis": 1}
    assert items["g1"]["metadata"] == {"dr_grade_0_4": 1, "dme_risk_0_2": 0, "x": "inf"}
    assert [(fault.row, fault.id) for fault in faults] == [(4, "bad"), (5, "box"), (6, None)]


def test_csv_export(tmp_path: Path) -> None:
    table = tmp_path / "export.csv"
    text = (
        "Datei;PID;Befund;Beurteilung;sex;age;Edema;Mass;Maske;Kasten;x0;y0;x1;y1;split\n"
        'img\\1.png;7;"Keine ""Stauung"";\nfrei.";unauffällig;w;045Y;1;;m\\1.png;[[1,2,3,4]];5;6;7.5;8;train\n'
        "img/2.png;8;;;;;0.0;-1;;;;;;;\n"
        "img/3.png;9;;;;;maybe;0;;;;;;;\n"
        "img/4.png;9;;;;;1;0;;30,2,3,4;;;;;\n"
        "img/5.png;9;;;x;;1;0;;;;;;;\n"
        ";9;;;;;1;0;;;;;;;\n"
        "img/6.png;9;zu;viele;;;;1;0;;;;;;;;;\n"
    )
    table.write_text(text, encoding="utf-8-sig")
    mapping = {"image": "Datei", "patient": "PID", "report.findings": "Befund", "report.impression": "Beurteilung"}
    mapping |= {"label.Edema": "Edema", "mask.lungs": "Maske", "box.a": "Kasten", "box.b": "x0,y0,x1,y1"}
    items, faults = read("csv", table, mapping=mapping, labels=["Mass"])
    assert items["img/1"] == {
        "id": "img/1",
        "image": "img/1.png",
        "patient": "7",
        "report": {"findings": 'Keine "Stauung";\nfrei.', "impression": "unauffällig"},
        "labels": {"Edema": 1},
        "masks": {"lungs": "m/1.png"},
        "boxes": {"a": [[1, 2, 3, 4]], "b": [[5, 6, 7.5, 8]]},
        "sex": "F",
        "age": 45,
        "split": "training",
    }
    assert items["img/2"] == {"id": "img/2", "image": "img/2.png", "patient": "8", "labels": {"Edema": 0, "Mass": -1}}
    assert [(fault.row, fault.code) for fault in faults] == [
        (4, "label_value"),
        (5, "box_inverted"),
        (6, "wrong_value"),
        (7, "missing_field"),
        (8, "wrong_value"),
    ]


def test_category_gives_one_of_several_classes(tmp_path: Path) -> None:
    """Classes in natural order, of any spelling, with the decimal point of pandas; unknown says nothing."""
    table = tmp_path / "t.csv"
    values = ["Grade  10", "grade 2", " GRADE 2 ", "", "unknown", "Grade 1"]
    table.write_text("image,Befund\n" + "".join(f"{n}.png,{value}\n" for n, value in enumerate(values)))
    items, faults = read("csv", table, mapping={"category": "Befund"})
    assert not faults and list(items["0"]["labels"].items()) == [("Grade 1", 0), ("grade 2", 0), ("Grade 10", 1)]
    assert [[name for name, value in item.get("labels", {}).items() if value] for item in items.values()] == [
        ["Grade 10"],
        ["grade 2"],
        ["grade 2"],
        [],
        [],
        ["Grade 1"],
    ]
    table.write_text("image,category\na.png,2.0\nb.png,0.0\n")  # a column named like the field needs no entry
    assert read("csv", table)[0]["a"]["labels"] == {"0": 0, "2": 1}


def test_classes_restrict_and_order_categories(tmp_path: Path) -> None:
    """Other values are faults that name the nearest class; "unknown" may be a class."""
    table = tmp_path / "t.csv"
    values = ["severe", "Mild", "sever", "unknown", "none"]
    table.write_text("image,category\n" + "".join(f"{n}.png,{value}\n" for n, value in enumerate(values)))
    items, faults = read("csv", table, classes=["none", "mild", "severe", "Unknown"])
    assert items["0"]["labels"] == {"none": 0, "mild": 0, "severe": 1, "Unknown": 0}
    assert list(items["1"]["labels"]) == ["none", "mild", "severe", "Unknown"] and items["1"]["labels"]["mild"] == 1
    assert items["3"]["labels"]["Unknown"] == 1 and items["4"]["labels"]["none"] == 1
    assert [(fault.row, fault.code, fault.field) for fault in faults] == [(4, "label_value", "category")]
    assert "'sever' is none of the classes none, mild, severe, Unknown; is it 'severe'?" in faults[0].message
    table.write_text("image,x\n" + "".join(f"{n}.png,{n}\n" for n in range(1001)))
    with pytest.raises(ValueError, match="more than 1000 different values"):
        read("csv", table, mapping={"category": "x"})
    with pytest.raises(ValueError, match="classes 0, 1 need a column for 'category'"):
        read("csv", table, classes=["0", "1"])
    with pytest.raises(ValueError, match="must be different names"):
        read("csv", table, mapping={"category": "x"}, classes=["A", "a"])


def test_messy_table(tmp_path: Path) -> None:
    """Byte order mark, spaces around and in names, Windows paths, words as labels, metadata."""
    table = tmp_path / "t.csv"
    text = (
        " File Name ;Patient ID; Pleural Effusion;Scanner Model\n"
        "site A\\film 1.png ; P 1;Yes;Model X 2\n"
        ".\\site A\\film 2.dcm;P 1;absent;\n"
        '"site A/film 3.png";P 2;"  not sure  ";\n'
    )
    table.write_text(text, encoding="utf-8-sig")
    mapping = {"image": "File Name", "patient": "Patient ID", "metadata.scanner model": "Scanner Model"}
    items, faults = read("csv", table, mapping=mapping, labels=["Pleural Effusion"])
    assert items == {
        "site A/film 1": {
            "id": "site A/film 1",
            "image": "site A/film 1.png",
            "patient": "P 1",
            "labels": {"Pleural Effusion": 1},
            "metadata": {"scanner model": "Model X 2"},
        },
        "site A/film 2": {
            "id": "site A/film 2",
            "image": "./site A/film 2.dcm",
            "patient": "P 1",
            "labels": {"Pleural Effusion": 0},
        },
    }
    assert [(fault.row, fault.field, fault.code) for fault in faults] == [(4, "label.Pleural Effusion", "label_value")]


@pytest.mark.parametrize(
    ("content", "options", "told"),
    [
        (b"", {}, "is empty"),
        (b"PK\x03\x04rest", {}, "Excel workbook; save it as 'CSV UTF-8'"),
        (b"a,a\n", {}, "more than once"),
        (b"a,b\n1,2\n", {}, "no column is mapped to 'image'; .* a, b"),
        (b"a,b\n1,2\n", {"mapping": {"image": "c"}}, "no column 'c'; it has a, b"),
        (b"a,b\n1,2\n", {"mapping": {"picture": "a"}}, "names the field 'picture'; fields are id, image"),
        (b"a,b\n1,2\n", {"mapping": {"image": "a"}, "labels": ["edema"]}, "no column 'edema'"),
        (b"image\n\xe4.png\n", {}, "not utf-8 text; .* --encoding cp1252"),
        (b"image\na.png\n", {"encoding": "klingon"}, "encoding 'klingon' is unknown"),
    ],
)
def test_tables_that_cannot_be_read_are_refused(
    tmp_path: Path, content: bytes, options: dict[str, Any], told: str
) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=told):
        read("csv", path, **options)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_tables_of_every_unicode_encoding_are_read(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes("image\treport\nä.png\t胸片正常\n".encode(encoding))
    assert read("csv", path)[0] == {"ä": {"id": "ä", "image": "ä.png", "report": {"text": "胸片正常"}}}
    path.write_bytes("image,report\nx.png,胸片正常\n".encode("gb18030"))
    assert read("csv", path, encoding="gb18030")[0]["x"]["report"] == {"text": "胸片正常"}


def test_cells() -> None:
    assert [parse_sex(cell) for cell in ("F", " male ", "W", "", "NA", "O")] == ["F", "M", "F", None, None, "O"]
    assert [parse_age(cell) for cell in ("45", "045Y", "6.5", "006M", "nan", "")] == [45, 45, 6.5, 0.5, None, None]
    assert [parse_label(cell) for cell in ("1", "0.0", "-1.00", " ")] == [1, 0, -1, -1]
    assert [parse_label(cell) for cell in ("Yes", " POSITIVE ", "present", "true", "y")] == [1] * 5
    assert [parse_label(cell) for cell in ("no", "Negative", "absent", "False", "N")] == [0] * 5
    assert [parse_label(cell) for cell in ("uncertain", "NaN", "n/a", "unknown", "?")] == [-1] * 5
    assert parse_boxes("1,2,3,4; 5 6 7.5 8") == [[1, 2, 3, 4], [5, 6, 7.5, 8]]
    assert parse_boxes("[]") == parse_boxes("") == []
    for parse, cell in (
        (parse_sex, "x"),
        (parse_age, "old"),
        (parse_age, "200"),
        (parse_label, "maybe"),
        (parse_label, "-"),
        (parse_label, "2"),
        (parse_boxes, "1,2,3"),
    ):
        with pytest.raises(ValueError, match=cell):
            parse(cell)


def test_empty_trailing_columns_are_left_out(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("image,sex,,\na.png,F,,\nb.png,M\nc.png,F,x,\n,,,\n")
    items, faults = read("csv", table)
    assert [item["sex"] for item in items.values()] == ["F", "M"]
    assert [(fault.row, fault.code) for fault in faults] == [(4, "wrong_value")]
