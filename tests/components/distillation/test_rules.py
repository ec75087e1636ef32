# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Hand-written sentences, one for each thing the rules must get right."""

from __future__ import annotations

import pytest

from radbundles.components.distillation import RuleDistiller, record_faults

SIGN = {"present": "+", "uncertain": "?", "absent": "-"}


@pytest.fixture(scope="module")
def chest() -> RuleDistiller:
    return RuleDistiller("chest")


@pytest.fixture(scope="module")
def fundus() -> RuleDistiller:
    return RuleDistiller("fundus")


def read(distiller: RuleDistiller, report: str | dict[str, str]) -> str:
    """Short form of the result: ``+effusion -edema ?pneumonia`` in order."""
    found = distiller.distill({"text": report} if isinstance(report, str) else report)["entities"]
    return " ".join(SIGN[entity["certainty"]] + entity["entity"] for entity in found)


PLAIN = [
    ("There is a moderate left effusion.", "+effusion"),
    ("Bibasilar atelectasis.", "+atelectasis"),
    ("Two granulomata in the lingula.", "+granuloma"),
    ("Hyperexpanded lungs from chronic obstructive pulmonary disease.", "+hyperinflate +copd"),
    ("Signs of congestive heart failure.", "+chf"),
    ("Changes of PTB at the left apex.", "+tuberculosis"),
    ("Air-space disease in the right base.", "+opacity"),
    ("The PICC line ends in the atrium.", "+catheter"),
    ("Nodular opacities everywhere.", "+nodule +opacity"),
    ("Fracture-dislocation of the shoulder.", "+fracture"),
    ("Soft tissue emphysema of the neck.", ""),
    ("Prosthetic aortic valve.", ""),
    ("The patient is rotated.", ""),
    ("", ""),
]
NEGATION_BEFORE = [
    ("No pneumothorax.", "-pneumothorax"),
    ("There is no evidence of pneumonia.", "-pneumonia"),
    ("Without consolidation.", "-consolidation"),
    ("Negative for fracture.", "-fracture"),
    ("The lungs are free of infiltrates.", "-infiltrate"),
    ("Both bases are clear of consolidation.", "-consolidation"),
    ("Absence of edema.", "-edema"),
    ("Interval resolution of the effusion.", "-effusion"),
    ("The film does not show a nodule.", "-nodule"),
    ("Neither mass nor nodule.", "-mass -nodule"),
    ("Fluid overload rather than pneumonia.", "-pneumonia"),
    ("No XXXX effusion.", "-effusion"),
    ("Atelectasis w/o effusion.", "+atelectasis -effusion"),
]
NEGATION_AFTER = [
    ("Effusion is not seen.", "-effusion"),
    ("Pneumothorax has resolved.", "-pneumothorax"),
    ("Pneumonia ruled out.", "-pneumonia"),
    ("The previously described infiltrate is no longer visible.", "-infiltrate"),
    ("Effusion, edema and pneumothorax are not identified.", "-effusion -edema -pneumothorax"),
    ("The right chest catheter has been removed.", "-catheter"),
    ("Consolidation in the right base, pneumothorax is absent.", "+consolidation -pneumothorax"),
    ("Resolved effusion.", "-effusion"),
]
LISTS = [
    ("No effusion, pneumothorax or edema.", "-effusion -pneumothorax -edema"),
    ("No focal consolidation, mass, nodule, or fracture.", "-consolidation -mass -nodule -fracture"),
    ("No effusion or pneumothorax is seen and there is mild edema.", "-effusion -pneumothorax +edema"),
    ("No pneumothorax, small effusion.", "-pneumothorax +effusion"),
    ("No edema and stable cardiomegaly.", "-edema +cardiomegaly"),
    ("No effusion, possible nodule.", "-effusion ?nodule"),
]
TERMINATION = [
    ("No effusion but mild edema.", "-effusion +edema"),
    ("No consolidation; small effusion.", "-consolidation +effusion"),
    ("No pneumothorax, however a fracture is seen.", "-pneumothorax +fracture"),
    ("No pneumonia although atelectasis is present.", "-pneumonia +atelectasis"),
    ("No acute disease apart from a granuloma.", "-abnormality +granuloma"),
    ("No abnormality other than cardiomegaly.", "-abnormality +cardiomegaly"),
    ("Lungs without edema with a small effusion.", "-edema +effusion"),
    ("No effusion. Edema.", "-effusion +edema"),
    ("Possible pneumonia, but definite effusion.", "?pneumonia +effusion"),
    ("No effusion seen, apical calcification suggests a granuloma.", "-effusion +calcification ?granuloma"),
]
PSEUDO = [
    ("No change in the effusion.", "+effusion"),
    ("Effusion is unchanged.", "+effusion"),
    ("No increase in size of the nodule.", "+nodule"),
    ("No significant change of the opacity.", "+opacity"),
    ("The opacity was not seen on prior films.", "+opacity"),
    ("Not without effusion.", "+effusion"),
    ("The effusion has not resolved.", "+effusion"),
    ("Partially resolved pneumothorax.", "+pneumothorax"),
    ("No new nodules.", "-nodule"),
    ("Known nodule. No new nodules.", "+nodule"),
]
UNCERTAINTY = [
    ("This may represent pneumonia.", "?pneumonia"),
    ("Possible fracture.", "?fracture"),
    ("Opacity suspicious for mass.", "+opacity ?mass"),
    ("Findings suggestive of emphysema.", "?emphysema"),
    ("Opacity, likely atelectasis.", "+opacity ?atelectasis"),
    ("Effusion is likely.", "?effusion"),
    ("Effusion cannot be excluded.", "?effusion"),
    ("Cannot exclude pneumonia.", "?pneumonia"),
    ("A small effusion may be present.", "?effusion"),
    ("No opacities are seen to suggest pneumonia or edema.", "-opacity -pneumonia -edema"),
    ("Pneumonia is unlikely.", "?pneumonia"),
    ("?pneumonia at the right base", "?pneumonia"),
    ("Atelectasis versus pneumonia.", "?atelectasis ?pneumonia"),
    ("Nodular densities versus scars.", "?nodule ?opacity ?fibrosis"),
    ("Scarring or atelectasis at the base.", "?fibrosis ?atelectasis"),
    ("Atelectasis/infiltrate in the lingula.", "?atelectasis ?infiltrate"),
    ("No evidence suggestive of pneumonia.", "-pneumonia"),
    ("No opacity to suggest pneumonia.", "-opacity -pneumonia"),
    ("No definite pneumothorax, small effusion cannot be excluded.", "-pneumothorax ?effusion"),
    ("CT is advised to exclude embolism.", "?embolism"),
    ("Borderline cardiomegaly.", "?cardiomegaly"),
    ("Effusion probably representing pneumonia.", "+effusion ?pneumonia"),
    ("Apical mass, probably a goiter.", "+mass"),
    ("Small effusion, possibly.", "?effusion"),
    ("Opacity on the lateral view, probably within the lingula, and an effusion.", "+opacity +effusion"),
    ("Infiltrate is less likely but not excluded.", "?infiltrate"),
]
SKIPPED = [
    ("History of pneumonia.", ""),
    ("Evaluate for pneumothorax.", ""),
    ("History of tuberculosis, now with effusion.", "+effusion"),
    ("H/o COPD.", ""),
]
STRUCTURES = [
    ("Heart size is normal.", "-cardiomegaly"),
    ("The heart is enlarged.", "+cardiomegaly"),
    ("The heart is not enlarged.", "-cardiomegaly"),
    ("Heart size is not normal.", "+cardiomegaly"),
    ("Heart size at the upper limits of normal.", "?cardiomegaly"),
    ("Borderline enlarged heart.", "?cardiomegaly"),
    ("The heart is stable.", ""),
    ("The heart is normal in size and contour.", "-cardiomegaly -contour"),
    ("The radiograph shows a normal size and shape of the cardiac silhouette.", "-cardiomegaly -silhouette"),
    ("Cardiac and mediastinal silhouettes are normal.", "-cardiomegaly -cardiomediastinal -silhouette"),
    ("The heart size and mediastinum are within normal limits.", "-cardiomegaly -cardiomediastinal"),
    ("Normal heart size, mediastinum and hila.", "-cardiomegaly -cardiomediastinal -hilar"),
    ("The aorta is tortuous.", "+aorta"),
    ("Mild tortuosity of the descending thoracic aorta.", "+aorta"),
    ("No effusion, the heart is enlarged.", "-effusion +cardiomegaly"),
    ("No effusion, normal heart size.", "-effusion -cardiomegaly"),
    ("Heart size normal, aorta tortuous.", "-cardiomegaly +aorta"),
    ("Calcified aorta.", "+calcification +aorta"),
    ("There is elevation of the right hemidiaphragm.", "+hemidiaphragm"),
    ("The right hemidiaphragm is elevated.", "+hemidiaphragm"),
    ("Left hilar mass.", "+mass"),
    ("No hilar mass.", "-mass"),
    ("Prominent right hilum.", "+hilar"),
    ("Prominent perihilar opacity.", "+opacity"),
    ("Calcified hilar lymph nodes.", "+calcification"),
    ("Pulmonary vascular congestion.", "+congestion +vasculature"),
    ("Scar or pulmonary vascular congestion.", "?fibrosis ?congestion ?vasculature"),
    ("Enlarged pulmonary arteries.", "+vasculature"),
    ("Overinflated lungs, otherwise clear.", "+hyperinflate -consolidation -opacity"),
    ("Lungs clear and expanded.", "-consolidation -opacity -aerate"),
    ("The left lung is under expanded.", "+aerate"),
    ("Tortuous aorta, otherwise unremarkable exam.", "+aorta -abnormality"),
    ("Borderline heart size and abnormal lung bases.", "?cardiomegaly +abnormality"),
    ("Borderline heart size and aortic ectasia.", "?cardiomegaly +aorta"),
    ("The left hemidiaphragm is obscured.", "+obscure"),
    ("Lungs are clear.", "-consolidation -opacity"),
    ("The right lung is clear.", ""),
    ("The lungs are not clear.", ""),
    ("There may be a small effusion, and the heart is enlarged.", "?effusion +cardiomegaly"),
    ("The heart may be enlarged.", "?cardiomegaly"),
    ("The lungs are clear. Faint opacity at the apex.", "-consolidation +opacity"),
    ("The lungs are hyperinflated but clear.", "-consolidation -opacity +hyperinflate"),
    ("The lungs are well aerated.", "-aerate"),
    ("Poorly aerated left base.", "+aerate"),
    ("Normal chest.", "-abnormality"),
    ("normal", "-abnormality"),
    ("Nodule. Ribs. Effusion. Normal.", "+nodule +effusion"),
    ("Tortuous aorta, silhouette as before.", "+aorta"),
    ("No acute cardiopulmonary process.", "-abnormality"),
    ("Borderline position of the tube; normal valve.", ""),
]
LAYOUT = [
    ("Effusion of 3.5 cm. No edema.", "+effusion -edema"),
    ("No effusion per Dr. Example. Edema.", "-effusion +edema"),
    ("No effusion.Edema is seen.", "-effusion +edema"),
    ("1. No effusion. 2. Edema.", "-effusion +edema"),
    ("1) No effusion 2) Edema", "-effusion +edema"),
    ("- No effusion\n- Edema", "-effusion +edema"),
    ("No evidence of\neffusion or edema.", "-effusion -edema"),
    ("NO EVIDENCE OF\nEFFUSION. EDEMA IS PRESENT.", "-effusion +edema"),
    ("No effusion No edema Lungs show opacity", "-effusion -edema +opacity"),
    ("No effusion\n\nEdema", "-effusion +edema"),
    ("No effusion\nEdema of the bases", "-effusion +edema"),
    ("INDICATION: pneumonia. FINDINGS: No effusion. IMPRESSION: Edema.", "-effusion +edema"),
    ("Lungs: clear. Pleura: no effusion.", "-consolidation -opacity -effusion"),
]


@pytest.mark.parametrize(
    ("text", "expected"),
    PLAIN
    + NEGATION_BEFORE
    + NEGATION_AFTER
    + LISTS
    + TERMINATION
    + PSEUDO
    + UNCERTAINTY
    + SKIPPED
    + STRUCTURES
    + LAYOUT,
)
def test_chest_sentence(chest: RuleDistiller, text: str, expected: str) -> None:
    # The order is tested below; one phrase may name several entities at once.
    assert sorted(read(chest, text).split()) == sorted(expected.split())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Scattered microaneurysms and dot hemorrhages.", "+microaneurysm +hemorrhage"),
        ("No macular oedema.", "-macular edema"),
        ("Hard exudates, possible cotton wool spots.", "+exudate ?cotton wool spot"),
        ("Soft exudates in the arcades.", "+cotton wool spot"),
        ("No neovascularization or vitreous hemorrhage.", "-neovascularization -vitreous hemorrhage"),
        ("Moderate NPDR.", "+diabetic retinopathy"),
        ("No diabetic retinopathy.", "-diabetic retinopathy"),
        ("Drusen versus exudates.", "?drusen ?exudate"),
        ("The optic disc is normal.", "-optic disc"),
        ("Pale optic disc.", "+optic atrophy"),
        ("Disc margins are sharp.", "-disc edema"),
        ("Disc margins are blurred.", "+disc edema"),
        ("The macula is unremarkable, the retina is attached.", "-macula -retinal detachment"),
        ("Cupping suspicious for glaucoma.", "+cupping ?glaucoma"),
        ("Normal fundus.", "-abnormality"),
        ("No IRMA; venous beading in two quadrants.", "-intraretinal microvascular abnormality +venous beading"),
    ],
)
def test_fundus_sentence(fundus: RuleDistiller, text: str, expected: str) -> None:
    assert read(fundus, text) == expected


def test_text_uses_the_three_templates_in_order_of_first_mention(chest: RuleDistiller) -> None:
    result = chest.distill({"findings": "No pneumothorax. COPD. Possible effusion.", "impression": "Hyperinflation."})
    assert result["text"] == "There is no pneumothorax. There is COPD. There may be effusion. There is hyperinflation."


def test_impression_decides_over_findings(chest: RuleDistiller) -> None:
    assert read(chest, {"findings": "Possible effusion.", "impression": "No effusion."}) == "-effusion"
    assert read(chest, {"findings": "Effusion.", "impression": "Possible effusion."}) == "?effusion"
    assert read(chest, {"impression": "Possible effusion.", "findings": "Effusion."}) == "?effusion"


def test_limited_absence_in_the_impression_does_not_hide_a_finding(chest: RuleDistiller) -> None:
    assert read(chest, {"findings": "Small effusion.", "impression": "No large effusion."}) == "+effusion"


def test_present_beats_uncertain_beats_absent_within_a_section(chest: RuleDistiller) -> None:
    assert read(chest, "Possible effusion. No effusion on the right.") == "?effusion"
    assert read(chest, "Possible effusion. Effusion on the right. No effusion on the left.") == "+effusion"


def test_implied_absence_yields_to_explicit_mention(chest: RuleDistiller) -> None:
    assert read(chest, {"findings": "Cardiomegaly.", "impression": "Heart size normal."}) == "+cardiomegaly"


@pytest.mark.parametrize("section", ["indication", "Clinical_History", "COMPARISON", "technique"])
def test_sections_that_are_not_about_the_image_are_left_out(chest: RuleDistiller, section: str) -> None:
    assert read(chest, {section: "Pneumonia.", "findings": "Edema."}) == "+edema"


def test_evidence_points_at_the_first_mention_of_the_final_certainty(chest: RuleDistiller) -> None:
    report = {"findings": "Clear left base. Opacities on the right.", "impression": "Possible Pneumonia."}
    spans = {e["entity"]: e["evidence"] for e in chest.distill(report)["entities"]}
    opacity, pneumonia = spans["opacity"], spans["pneumonia"]
    assert report["findings"][opacity["start"] : opacity["end"]] == "Opacities"
    assert report["impression"][pneumonia["start"] : pneumonia["end"]] == "Pneumonia"
    assert (opacity["section"], pneumonia["section"]) == ("findings", "impression")


def test_evidence_of_a_structure_holds_term_and_state(chest: RuleDistiller) -> None:
    text = "\u0130 The heart size is within normal limits."  # a letter whose lower case is longer
    evidence = chest.distill({"text": text})["entities"][0]["evidence"]
    assert text[evidence["start"] : evidence["end"]] == "heart size is within normal limits"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Small left pleural effusion.", ["small", "left", "pleural"]),
        ("Tip at the small effusion.", ["small"]),
        ("Mild to moderate right-sided effusion.", ["mild", "moderate", "right", "sided"]),
        ("The effusion is small.", []),
        ("Small effusion. Left effusion. No right effusion.", ["small", "left"]),
    ],
)
def test_descriptors_left_of_the_finding_are_kept(chest: RuleDistiller, text: str, expected: list[str]) -> None:
    assert chest.distill({"text": text})["entities"][0]["descriptors"] == expected


def test_two_distillers_agree(chest: RuleDistiller) -> None:
    other = RuleDistiller("chest")
    report = {"findings": "Small effusion, likely atelectasis.", "impression": "No pneumonia."}
    assert other.version == chest.version
    assert other.distill(report) == chest.distill(report) == chest.distill(report)


def test_version_tells_lists_apart(chest: RuleDistiller, fundus: RuleDistiller) -> None:
    assert chest.version != fundus.version


def test_output_is_a_valid_record(chest: RuleDistiller) -> None:
    output = chest.distill({"findings": "Small effusion. Heart size normal."})
    record = {"id": "a", "report_sha256": "0" * 64, **output, "backend": chest.name, "version": chest.version}
    assert record_faults(record) == []


@pytest.mark.parametrize("report", ["No effusion.", {"findings": 3}, {"findings": None}, None])
def test_wrong_report_is_refused_without_quoting_it(chest: RuleDistiller, report: object) -> None:
    with pytest.raises(TypeError) as error:
        chest.distill(report)  # type: ignore[arg-type]
    assert "effusion" not in str(error.value)
