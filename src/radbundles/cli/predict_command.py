# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""``radbundles predict``: what a bundle finds in images."""

from __future__ import annotations

import logging
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from radbundles.cli.answer_lines import answer_lines
from radbundles.cli.app import app

if TYPE_CHECKING:
    from radbundles.components.inference import WriteBoxes, WriteLabels, WriteSegmentations
    from radbundles.components.zero_shot import WriteFindings

_SHOWN_FAULTS = 20
_HELP = """Find phrases and classes in images: DICOM, PNG, JPEG, NIfTI, files or whole folders.

A bundle that is asked in words wants --phrase or --class. For each image it writes OUT/IMAGE.json (similarity, point
and boxes in the pixels of the image) and OUT/IMAGE.png. A bundle of stage 2 adds masks: OUT/IMAGE.masks/NAME.png, their
outlines as polygons in the JSON file, and NIfTI files with --nifti. Classes that are asked for together see each other;
a phrase is judged alone. A similarity or score is no probability.

A bundle that a training run on labels, masks or boxes has made (OUTPUT_DIR/bundle) answers for the classes it was
trained on: OUT/IMAGE.json for each image and a table of all, OUT/predictions.csv, OUT/areas.csv (with masks and
pictures) or OUT/boxes.csv (with pictures). Thresholds come with the bundle; --threshold puts one in place of them all.

Images that are broken, blank or lateral are named in OUT/faults.jsonl. A bundle that did not come with this package is
compared with its manifest, where it has one, and audited before anything of it runs (radbundles audit).

Exit code: 0 all images answered, 1 some could not be, 2 nothing could be done.

Example:

radbundles predict films/ --phrase "left pleural effusion" --class Cardiomegaly --bundle mine --out found

radbundles predict film.dcm --class "left lung" --class Cardiomegaly --bundle masks --nifti --out found

radbundles predict films/ --bundle run/bundle --out found
"""
_ENDS = {
    True: "A similarity or score is no probability. Research software, not a medical device.",
    False: "A probability is no diagnosis. Research software, not a medical device.",
}


@app.command("predict", help=_HELP)
def predict(
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Image files or folders of them.")],
    out: Annotated[Path, typer.Option(help="Folder for what is found.")],
    phrases: Annotated[list[str] | None, typer.Option("--phrase", help="Words to look for; may be repeated.")] = None,
    classes: Annotated[
        list[str] | None, typer.Option("--class", help="Class of the prompt table; may be repeated.")
    ] = None,
    bundle: Annotated[str, typer.Option(help="Name or folder of a bundle.")] = "dcxfm_pretrain",
    configs: Annotated[
        list[str] | None, typer.Option("--config", help="Overlay the weights were trained with, such as tiny.")
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="In place of the bundle's own.")] = None,
    tokenizer: Annotated[Path | None, typer.Option(help="In place of the bundle's own.")] = None,
    prompts: Annotated[str | None, typer.Option(help="Prompt table: a name or a JSON file of your own.")] = None,
    device: Annotated[str | None, typer.Option(help="Such as cpu or cuda:0; by default a GPU if there is one.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images at a time.")] = 8,
    min_similarity: Annotated[
        float | None, typer.Option(help="Least similarity of a box, a cosine; for stage 1.")
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(help="Least score or probability, between 0 and 1; for stage 2, labels, masks and boxes."),
    ] = None,
    nifti: Annotated[bool, typer.Option("--nifti", help="Write masks as NIfTI too.")] = False,
    allow: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Let the audit pass this name; may be repeated.")
    ] = None,
) -> None:
    """See ``_HELP``."""
    from radbundles.components.hub.bundle_values import asks_in_words, bundle_values
    from radbundles.components.hub.bundles import find_bundle
    from radbundles.components.hub.sound import is_shipped, require_sound

    words = {"--phrase": phrases, "--class": classes, "--prompts": prompts, "--min-similarity": min_similarity}
    try:
        found = find_bundle(bundle)
        in_words = asks_in_words(found)
        if in_words and not phrases and not classes:
            raise ValueError("nothing to look for: give --phrase or --class")
        given = [option for option, value in {**words, "--tokenizer": tokenizer}.items() if value not in (None, [])]
        if given and not in_words:
            raise ValueError(
                f"bundle {found.name} answers for the classes it was trained on and is not asked in words: "
                f"leave out {' and '.join(given)}"
            )
        values = bundle_values(found, weights=weights, tokenizer=tokenizer, device=device)
        if not is_shipped(found.folder):
            require_sound(found.folder, name=found.name, allow=allow or ())
    except (LookupError, OSError, ValueError) as error:
        raise typer.BadParameter(str(error.args[-1])) from error
    if in_words:
        values |= {"phrases": list(dict.fromkeys(phrases or [])), "classes": list(dict.fromkeys(classes or []))}
        asked = {"prompts": prompts, "min_similarity": min_similarity, "threshold": threshold}
        values |= {key: value for key, value in asked.items() if value is not None}
    values |= {"output_dir": str(out), "batch_size": batch_size}
    done, faults = _run(found.folder, ("inference", *(configs or ())), images, values, threshold=threshold, nifti=nifti)
    for fault in faults[:_SHOWN_FAULTS]:
        name, reason = fault["id"], fault["reason"]
        typer.secho(f"refused {reason if name in reason else f'{name}: {reason}'}", fg="red", err=True)
    if len(faults) > _SHOWN_FAULTS:
        typer.echo(f"... and {len(faults) - _SHOWN_FAULTS} more", err=True)
    where = f", see {out / 'faults.jsonl'}" if faults else ""
    typer.echo(f"{_count(done)} answered, written to {out}; {_count(len(faults))} refused{where}.")
    typer.echo(_ENDS[in_words])
    if faults:
        raise typer.Exit(1)


def _run(
    folder: Path,
    configs: tuple[str, ...],
    images: list[Path],
    values: dict[str, Any],
    *,
    threshold: float | None,
    nifti: bool,
) -> tuple[int, list[dict[str, str]]]:
    """Run the bundle's inference workflow; returns how many images were answered, and the faults of the others."""
    import json

    from tqdm import tqdm

    from radbundles.components.hub.workflow import bundle_workflow
    from radbundles.components.inference import WriteBoxes, WriteLabels, WriteSegmentations, gather_images
    from radbundles.components.zero_shot import WriteFindings

    writers = (WriteFindings, WriteLabels, WriteSegmentations, WriteBoxes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # readers warn of harmless oddities of files; what matters is a fault
        logging.getLogger("radbundles.components.inference.image_folder").setLevel(logging.ERROR)  # told at the end
        try:
            items = gather_images(images)
            # A few images are read before a process has started.
            spare = min(4, (os.cpu_count() or 1) - 1)
            values["num_workers"] = spare if len(items) > 4 * values["batch_size"] else 0
            workflow = bundle_workflow(folder, configs, images=items, **values)
            get = workflow.parser.get_parsed_content
            writer = next((handler for handler in get("handlers", default=()) if isinstance(handler, writers)), None)
            if writer is None:
                raise ValueError(f"bundle {folder.name} finds nothing in single images: run its configs/inference.json")
            _take_options(writer, values, threshold=threshold, nifti=nifti)
            loader = get("dataloader")
            with tqdm(total=len(items), unit=" images", disable=None) as bar:  # on stderr, and only for a terminal

                def show(record: dict[str, Any]) -> None:
                    bar.write(answer_lines(record))
                    bar.update(loader.done + loader.refused - bar.n)

                (writer if isinstance(writer, WriteFindings) else writer.files).on_image = show
                workflow.run()
                bar.update(len(items) - bar.n)
        except Exception as error:
            cause: BaseException = error
            while cause.__cause__ is not None:  # MONAI wraps what a part of a config raises
                cause = cause.__cause__
            if not isinstance(cause, (ValueError, LookupError, OSError)):
                raise
            raise typer.BadParameter(str(cause)) from error
    path = loader.faults
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return loader.done, [json.loads(line) for line in lines]


def _take_options(
    writer: WriteFindings | WriteLabels | WriteSegmentations | WriteBoxes,
    values: dict[str, Any],
    *,
    threshold: float | None,
    nifti: bool,
) -> None:
    """Hand options on, and refuse those that the bundle has no use for, rather than pass them over."""
    from radbundles.components.inference import WriteSegmentations
    from radbundles.components.zero_shot import WriteFindings

    if not isinstance(writer, WriteFindings):
        if nifti and not isinstance(writer, WriteSegmentations):
            raise ValueError("--nifti is a form of masks, but this bundle writes none: leave it out")
        if threshold is not None:
            writer.use_threshold(threshold)
    else:
        measure = writer.inferer.zero_shot.measure
        if threshold is not None and measure != "score":
            raise ValueError("--threshold is of scores, but this bundle gives similarities: use --min-similarity")
        if "min_similarity" in values and measure != "cosine":
            raise ValueError("--min-similarity is of cosines, but this bundle gives scores: use --threshold")
        if nifti and not writer.masks:
            raise ValueError("--nifti is a form of masks, but this bundle writes none: ask one of stage 2")
    if nifti:
        writer.nifti = True  # type: ignore[union-attr]


def _count(number: int) -> str:
    return f"{number} image{'' if number == 1 else 's'}"
