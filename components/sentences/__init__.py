# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Labeled sentences: what a report says, sentence by sentence, in the classes of a label table."""

from __future__ import annotations

from radbundles.components.sentences.chexbert_labels import ChexbertLabels
from radbundles.components.sentences.label_sentences import label_sentences
from radbundles.components.sentences.rule_labels import RuleLabels
from radbundles.components.sentences.template_sentences import template_sentences

__all__ = ["ChexbertLabels", "RuleLabels", "label_sentences", "template_sentences"]
