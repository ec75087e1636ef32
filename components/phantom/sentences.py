# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Sentences of the phantom's reports: by finding and certainty, with ``{side}``, ``{zone}``, ``{size}``, ``{mm}``.

Every sentence uses the word of its finding and of no other finding, so that what a report says is known word by word.
"""

from __future__ import annotations

PRESENT: dict[str, tuple[str, ...]] = {
    "atelectasis": (
        "There is linear atelectasis at the {side} lung base.",
        "Band-like atelectasis in the {side} lower lung.",
        "{Side} basilar atelectasis is present.",
        "Plate-like atelectasis is seen at the {side} base.",
        "There is subsegmental atelectasis in the {side} lung base.",
        "Streaky bands at the {side} base are consistent with atelectasis.",
    ),
    "cardiomegaly": (
        "There is cardiomegaly.",
        "The heart is enlarged, consistent with cardiomegaly.",
        "Cardiomegaly is present.",
        "The heart shows cardiomegaly with an increased cardiothoracic ratio.",
        "Moderate cardiomegaly.",
        "Cardiomegaly is noted.",
    ),
    "catheter": (
        "A {side} central venous catheter terminates in the superior vena cava.",
        "{Side}-sided central venous catheter is in place with its tip in the low SVC.",
        "There is a {side} central catheter with the tip near the cavoatrial junction.",
        "The {side} venous catheter ends over the SVC.",
        "A {side} approach central venous catheter is seen in standard position.",
        "Central venous catheter from the {side}, tip projecting over the superior vena cava.",
    ),
    "consolidation": (
        "There is consolidation in the {side} {zone} zone with air bronchograms.",
        "Dense consolidation in the {side} {zone} lung zone.",
        "{Side} {zone} zone consolidation is present.",
        "A focal consolidation is seen in the {zone} zone of the {side} lung.",
        "The {side} {zone} lung shows airspace consolidation.",
        "Consolidation involves the {side} {zone} zone.",
    ),
    "edema": (
        "There is pulmonary edema.",
        "Bilateral perihilar haze is consistent with pulmonary edema.",
        "Interstitial edema with septal lines is present.",
        "Findings of moderate pulmonary edema are seen.",
        "Pulmonary edema is present in a perihilar distribution.",
        "Prominent interstitial markings reflect pulmonary edema.",
    ),
    "effusion": (
        "There is a {size} {side} pleural effusion.",
        "{Size} {side} pleural effusion is present.",
        "A {size} effusion is seen on the {side} with blunting of the costophrenic angle.",
        "The {side} costophrenic angle is blunted by a {size} pleural effusion.",
        "{Size} {side}-sided effusion with a meniscus.",
        "A {size} effusion layers at the {side} base.",
        "{Side} pleural effusion, {size} in size.",
    ),
    "nodule": (
        "There is a nodule in the {side} {zone} zone measuring {mm} mm.",
        "A {side} {zone} zone pulmonary nodule measures {mm} mm.",
        "Solitary {mm} mm nodule projects over the {side} {zone} lung.",
        "A well-defined nodule of {mm} mm is seen in the {side} {zone} lung zone.",
        "{Side} {zone} zone nodule, approximately {mm} mm in diameter.",
        "A rounded nodule is present in the {zone} zone of the {side} lung, {mm} mm in size.",
    ),
    "opacity": (
        "There is a hazy opacity in the {side} {zone} zone.",
        "Ill-defined opacity is seen in the {side} {zone} lung zone.",
        "{Side} {zone} zone opacity is present.",
        "A patchy opacity projects over the {zone} zone of the {side} lung.",
        "The {side} {zone} lung shows a ground-glass opacity.",
        "Faint hazy opacity involves the {side} {zone} zone.",
    ),
    "pacemaker": (
        "A {side} chest wall pacemaker is in place.",
        "{Side}-sided pacemaker with leads in expected position.",
        "There is a pacemaker with its generator over the {side} upper chest.",
        "A pacemaker projects over the {side} chest; the leads are intact.",
        "{Side} subclavian pacemaker is noted.",
        "Pacemaker generator on the {side} with leads toward the heart.",
    ),
    "pneumothorax": (
        "There is a {size} {side} apical pneumothorax.",
        "{Size} {side} pneumothorax is present.",
        "A {size} pneumothorax is seen at the {side} apex with a visible pleural line.",
        "{Side}-sided pneumothorax, {size} in size.",
        "The visceral pleural line is visible at the {side} apex, indicating a {size} pneumothorax.",
        "A {size} {side} pneumothorax is identified.",
    ),
    "tube": (
        "The endotracheal tube terminates above the carina.",
        "An endotracheal tube is in place.",
        "Endotracheal tube in standard position.",
        "There is an endotracheal tube with its tip above the carina.",
        "The tip of the endotracheal tube projects over the mid trachea.",
        "An endotracheal tube is present, ending in the trachea.",
    ),
}

UNCERTAIN: dict[str, tuple[str, ...]] = {
    "atelectasis": (
        "There may be minimal atelectasis at the {side} base.",
        "Faint streaks at the {side} base may represent atelectasis.",
        "Possible atelectasis in the {side} lower lung.",
        "Subtle {side} basilar shadow, possibly atelectasis.",
        "Questionable linear atelectasis at the {side} base.",
        "{Side} basilar atelectasis cannot be excluded.",
    ),
    "cardiomegaly": (
        "There may be mild cardiomegaly.",
        "Possible cardiomegaly.",
        "The heart is at the upper limit of normal in size, possibly mild cardiomegaly.",
        "Mild cardiomegaly cannot be excluded.",
        "Questionable cardiomegaly.",
        "The heart size may represent borderline cardiomegaly.",
    ),
    "consolidation": (
        "There may be early consolidation in the {side} {zone} zone.",
        "Possible consolidation in the {side} {zone} lung zone.",
        "Questionable {side} {zone} zone consolidation.",
        "Increased shadowing in the {side} {zone} zone may represent consolidation.",
        "Developing consolidation in the {side} {zone} zone cannot be excluded.",
        "Subtle {side} {zone} zone shadow, possibly consolidation.",
    ),
    "edema": (
        "There may be mild pulmonary edema.",
        "Possible mild interstitial edema.",
        "Slightly prominent markings may represent mild edema.",
        "Mild pulmonary edema cannot be excluded.",
        "Questionable interstitial edema.",
        "Perihilar haze, possibly mild edema.",
    ),
    "effusion": (
        "There may be a trace {side} pleural effusion.",
        "Possible small {side} pleural effusion.",
        "Slight blunting of the {side} costophrenic angle may represent a small effusion.",
        "A small {side} pleural effusion cannot be excluded.",
        "Questionable trace {side} effusion.",
        "The {side} costophrenic angle is indistinct, possibly a small effusion.",
    ),
    "nodule": (
        "There may be a small nodule in the {side} {zone} zone.",
        "Possible {mm} mm nodule in the {side} {zone} lung zone.",
        "Questionable {side} {zone} zone nodule.",
        "A faint focus in the {side} {zone} zone may represent a nodule.",
        "A small {side} {zone} zone nodule cannot be excluded.",
        "Tiny spot over the {side} {zone} lung, possibly a nodule.",
    ),
    "opacity": (
        "There may be a faint opacity in the {side} {zone} zone.",
        "Possible subtle opacity in the {side} {zone} lung zone.",
        "Questionable {side} {zone} zone opacity.",
        "A vague opacity may be present in the {side} {zone} zone.",
        "A subtle {side} {zone} zone opacity cannot be excluded.",
        "Minimal haze over the {side} {zone} lung, possibly an early opacity.",
    ),
    "pneumothorax": (
        "There may be a tiny {side} apical pneumothorax.",
        "Possible small {side} pneumothorax.",
        "A faint line at the {side} apex may represent a small pneumothorax.",
        "A small {side} apical pneumothorax cannot be excluded.",
        "Questionable {side} apical pneumothorax.",
        "Subtle lucency at the {side} apex, possibly a tiny pneumothorax.",
    ),
}

BOTH_SIDES: dict[str, tuple[str, ...]] = {
    "present": (
        "There are {size} bilateral pleural effusions.",
        "{Size} bilateral effusions are present.",
        "Both costophrenic angles are blunted by {size} pleural effusions.",
        "{Size} pleural effusions are seen on both sides.",
        "Bilateral pleural effusions, {size} in size.",
        "Bilateral {size} effusions with menisci.",
    ),
    "uncertain": (
        "There may be trace bilateral pleural effusions.",
        "Possible small bilateral pleural effusions.",
        "Slight blunting of both costophrenic angles may represent small effusions.",
        "Small bilateral pleural effusions cannot be excluded.",
        "Questionable trace bilateral effusions.",
        "Both costophrenic angles are indistinct, possibly small effusions.",
    ),
}

# what stands in a negation for each finding
NOUNS: dict[str, tuple[str, ...]] = {
    "atelectasis": ("atelectasis", "basilar atelectasis"),
    "cardiomegaly": ("cardiomegaly",),
    "catheter": ("central venous catheter",),
    "consolidation": ("focal consolidation", "consolidation", "lobar consolidation"),
    "edema": ("pulmonary edema", "edema", "overt edema"),
    "effusion": ("pleural effusion", "effusion", "pleural effusions", "sizeable pleural effusion"),
    "nodule": ("pulmonary nodule", "suspicious nodule", "nodule"),
    "opacity": ("focal opacity", "opacity", "airspace opacity"),
    "pacemaker": ("pacemaker",),
    "pneumothorax": ("pneumothorax", "evidence of pneumothorax", "visible pneumothorax"),
    "tube": ("endotracheal tube",),
}
ABSENT: tuple[str, ...] = (
    "There is no {list}.",
    "No {list}.",
    "No {list} is seen.",
    "No {list} is identified.",
    "There is no evidence of {list}.",
    "Negative for {list}.",
    "The chest is without {list}.",
)

INDICATIONS: tuple[str, ...] = (
    "{age}-year-old {person} with cough.",
    "{age}-year-old {person} with shortness of breath.",
    "Fever and chills.",
    "Chest pain.",
    "Preoperative evaluation.",
    "Dyspnea on exertion.",
    "Evaluate for pneumonia.",
    "Follow-up.",
    "{Person}, {age} years, routine examination.",
    "Hypoxia.",
)
NO_ACUTE: tuple[str, ...] = (
    "No acute cardiopulmonary abnormality.",
    "No acute cardiopulmonary process.",
    "No acute disease.",
    "No acute intrathoracic process.",
)
NORMAL: tuple[str, ...] = (
    "Normal chest radiograph.",
    "Unremarkable examination of the chest.",
)
