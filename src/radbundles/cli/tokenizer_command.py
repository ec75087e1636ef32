# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""``radbundles tokenizer train``: a WordPiece vocabulary from the reports of a datalist."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from radbundles.cli.app import tokenizer_app


class Section(str, Enum):
    """Sections of a datalist."""

    training = "training"
    validation = "validation"
    test = "test"


@tokenizer_app.command("train")
def train(
    datalist: Annotated[Path, typer.Argument(metavar="DATALIST", help="JSON or JSON Lines datalist with reports.")],
    out: Annotated[Path, typer.Option(help="The tokenizer file to write.")],
    vocab_size: Annotated[int, typer.Option(help="Upper bound of the number of pieces.")] = 30000,
    distilled: Annotated[
        Path | None, typer.Option(help="File of `radbundles distill`; its sentences are added to the reports.")
    ] = None,
    section: Annotated[Section, typer.Option(help="The section to train on.")] = Section.training,
) -> None:
    """Train a WordPiece tokenizer on reports and say how well it fits the validation section.

    The file has the special tokens [PAD] 0, [UNK] 1, [CLS] 2, [MASK] 3 and [SEP] 4 and the text rules of ECAMP; the
    same reports give the same file.
    """
    from radbundles.components.data import ReportCorpus, tokenizer_figures, train_tokenizer

    try:
        corpus = ReportCorpus(datalist, section=section.value, distilled=distilled)
        trained = train_tokenizer(corpus, vocab_size=vocab_size, out=out)
        measured = Section.validation.value
        figures = tokenizer_figures(trained, ReportCorpus(datalist, section=measured))
        if not figures["reports"]:
            measured = section.value
            figures = tokenizer_figures(trained, ReportCorpus(datalist, section=measured))
    except (FileNotFoundError, ValueError) as error:
        raise typer.BadParameter(str(error)) from error
    typer.echo(f"{out}: {figures['vocabulary']:,} pieces")
    typer.echo(
        f"{measured} section ({figures['reports']:,} reports, {figures['words']:,} words): "
        f"{figures['pieces_per_word']:.3f} pieces per word, {100 * figures['unknown_rate']:.3f} % unknown words"
    )
