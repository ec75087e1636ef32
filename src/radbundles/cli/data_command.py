# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""``radbundles data``: make datalists and check them."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from radbundles.cli.app import data_app

if TYPE_CHECKING:
    from radbundles.components.data.build import BuildReport

_BUILD_HELP = """Make a datalist from a collection on disk, split by patient.

LAYOUT says how the collection lies on disk: csv (a table of your own), aptos2019, chest-xray14, chexpert, covidx,
idrid, mimic-cxr, mimic-cxr-jpg, montgomery, mured, odir-5k, open-collection, open-i, riga, rsna-pneumonia, shenzhen,
siim-acr. SOURCE is its folder, for csv the table. radbundles data layouts tells what each reads and its options.

Masks and pictures in other forms than PNG, JPEG and DICOM (run lengths, TIFF) are written as PNG into folders masks and
images beside OUT.

Rows with a fault are left out and recorded in OUT.faults.jsonl.

Example:

radbundles data build csv export.csv --out datalist.json --map image=file --map patient=pid --map report=text --labels
edema,effusion
"""
_LAYOUTS_HELP = """Tell which layouts of collections radbundles data build reads, and their options.

An option shows its default first.
"""
_CHECK_HELP = """Check a datalist and everything it names: every fault with its row, field and how to mend it.

Exit code: 0 without a fault, 1 with faults, 2 when the check could not run.

Example:

radbundles data check datalist.json --images pixels
"""
_ZONES_HELP = """Add phrases for lung zones (left upper lung, ...) with boxes cut from lung masks.

Items with masks "left lung" and "right lung", or "lungs" for both, get eight phrases; the others are kept as they are.
Left and right are the patient's. Masks that give no zones are recorded in OUT.faults.jsonl.

Example:

radbundles data zones datalist.json --out zones.json
"""


@data_app.command("build", help=_BUILD_HELP)
def build(
    layout: Annotated[str, typer.Argument(help="How the collection lies on disk.", show_default=False)],
    source: Annotated[Path, typer.Argument(help="Folder of the collection; for csv the table.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Datalist to write: .json, or .jsonl for large collections.")],
    mapping: Annotated[
        list[str] | None,
        typer.Option("--map", help="csv: FIELD=COLUMN, once for each field, or a .json file of them.", metavar="MAP"),
    ] = None,
    labels: Annotated[
        str, typer.Option(help="csv: columns that are labels (1, 0, -1, yes, no, blank), with commas.")
    ] = "",
    classes: Annotated[
        str, typer.Option(help="csv: classes that the field category may be, in order, with commas.")
    ] = "",
    delimiter: Annotated[str | None, typer.Option(help="csv: found in the header by default.")] = None,
    encoding: Annotated[str | None, typer.Option(help="csv: UTF-8 by default.")] = None,
    options: Annotated[
        list[str] | None,
        typer.Option("--option", help="NAME=VALUE of the layout, see data layouts; may be repeated.", metavar="OPTION"),
    ] = None,
    reports: Annotated[Path | None, typer.Option(help="mimic-cxr*: folder whose files/ has the reports.")] = None,
    image_dir: Annotated[Path | None, typer.Option(help="Folder that image paths of SOURCE are relative to.")] = None,
    dataset_dir: Annotated[
        Path | None, typer.Option(help="Folder that paths of OUT are relative to; by default OUT's folder.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Keep items that have it: text, masks, boxes or labels; may be repeated.")
    ] = None,
    sources: Annotated[list[str] | None, typer.Option("--source", help="Keep items of it; may be repeated.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the split by patient.")] = 0,
    fractions: Annotated[
        str | None, typer.Option(help="Training, validation, test; replaces a split that the collection has.")
    ] = None,
    drop_duplicates: Annotated[
        bool, typer.Option("--drop-duplicates", help="Leave out images that are a copy of an earlier file.")
    ] = False,
) -> None:
    """See ``_BUILD_HELP``."""
    from radbundles.components.data.build import build_datalist

    with _usage_errors():
        settings = _layout_options(layout, options or [])
        if layout == "csv":
            settings = {"mapping": _mapping(mapping or []), "labels": [name for name in _list(labels) if name]}
            settings |= {"classes": [name for name in _list(classes) if name]}
            settings |= {"delimiter": _delimiter(delimiter), "encoding": encoding}
        elif mapping or labels or classes or delimiter or encoding:
            raise ValueError(
                f"--map, --labels, --classes, --delimiter and --encoding are for layout csv, not {layout!r}"
            )
        if reports is not None:
            if not layout.startswith("mimic-cxr"):
                raise ValueError(f"--reports is for mimic-cxr and mimic-cxr-jpg, not {layout!r}")
            settings["reports"] = reports
        report = build_datalist(
            layout,
            source,
            out,
            seed=seed,
            fractions=None if fractions is None else _fractions(fractions),
            only=only or (),
            sources=sources or (),
            dataset_dir=dataset_dir,
            image_dir=image_dir,
            drop_duplicates=drop_duplicates,
            **settings,
        )
    _print_build(report)
    if not report.items:
        raise typer.Exit(1)


@data_app.command("layouts", help=_LAYOUTS_HELP)
def layouts() -> None:
    """See ``_LAYOUTS_HELP``."""
    from radbundles.components.data.layouts import LAYOUTS
    from radbundles.components.data.layouts.options import layout_options

    for name, layout in LAYOUTS.items():
        typer.echo(f"{name:<16} {layout.summary}")
        for option, values in layout_options(layout.read).items() if name != "csv" else ():
            typer.echo(f"{'':<16}   --option {option}={values}")


@data_app.command("check", help=_CHECK_HELP)
def check(
    path: Annotated[Path, typer.Argument(help="Datalist: .json or .jsonl.", show_default=False)],
    images: Annotated[
        str, typer.Option(help="none, header (files and sizes) or pixels (decode every file).")
    ] = "header",
    dataset_dir: Annotated[
        Path | None, typer.Option(help="Folder that paths are relative to; by default the datalist's.")
    ] = None,
    labels: Annotated[str | None, typer.Option(help="Names that labels may have, with commas.")] = None,
    duplicate_images: Annotated[
        bool, typer.Option("--duplicate-images", help="Find files of the same content.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    limit: Annotated[int, typer.Option(min=0, help="Faults to show, 0 for all; all are counted.")] = 100,
) -> None:
    """See ``_CHECK_HELP``."""
    from radbundles.components.data.check import CheckReport, check_datalist

    report = CheckReport()
    with _usage_errors():
        faults = check_datalist(
            path,
            images=images,  # type: ignore[arg-type]
            dataset_dir=dataset_dir,
            label_names=None if labels is None else [name for name in _list(labels) if name],
            duplicate_images=duplicate_images,
            report=report,
        )
        # Faults are printed as they are found; a list of millions of them is never held.
        if as_json:
            typer.echo('{"faults": [', nl=False)
        for place, fault in enumerate(islice(faults, limit or None)):
            if as_json:
                typer.echo((",\n " if place else "\n ") + json.dumps(fault.to_dict()), nl=False)
            else:
                typer.echo(str(fault))
        shown = sum(report.faults.values())
        for _ in faults:
            pass
    total = sum(report.faults.values())
    if as_json:
        summary = {"path": str(path), "items": dict(report.sections), "counts": dict(report.faults), "total": total}
        typer.echo("],\n " + json.dumps(summary)[1:])
    else:
        if total > shown:
            typer.echo(f"... and {total - shown} more; --limit 0 shows all.")
        items = ", ".join(f"{count} {split}" for split, count in report.sections.items()) or "none"
        typer.echo(f"{path}: items: {items}.")
        counts = ", ".join(f"{count} {code}" for code, count in report.faults.most_common())
        typer.echo(f"{total} fault{'s' if total > 1 else ''}: {counts}." if total else "No faults.")
    if total:
        raise typer.Exit(1)


@data_app.command("zones", help=_ZONES_HELP)
def zones(
    path: Annotated[Path, typer.Argument(help="Datalist: .json or .jsonl.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Datalist to write.")],
    dataset_dir: Annotated[
        Path | None, typer.Option(help="Folder that paths of both are relative to; by default each datalist's own.")
    ] = None,
) -> None:
    """See ``_ZONES_HELP``."""
    from radbundles.components.data.add_zones import add_zone_phrases

    with _usage_errors():
        report = add_zone_phrases(path, out, dataset_dir=dataset_dir)
    typer.echo(f"{out}: {report.added} items got zone phrases, {report.without_masks} have no lung masks.")
    if report.faults:
        counts = ", ".join(f"{count} {code}" for code, count in report.faults.most_common())
        typer.echo(f"Items kept without zones, see {report.faults_path}: {counts}.", err=True)
    if not report.added:
        raise typer.Exit(1)


@contextmanager
def _usage_errors() -> Iterator[None]:
    """Errors of use end the command with exit code 2 and one line; warnings are one line each."""
    from radbundles.components.data.split import SplitWarning

    with warnings.catch_warnings():
        # Readers of image files warn of harmless oddities; what matters is a fault.
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", SplitWarning)
        warnings.showwarning = lambda message, *_: typer.echo(f"Warning: {message}.", err=True)
        try:
            yield
        except (ValueError, OSError) as error:
            typer.echo(f"Error: {error}.", err=True)
            raise typer.Exit(2) from None


def _layout_options(layout: str, words: list[str]) -> dict[str, Any]:
    from radbundles.components.data.layouts import LAYOUTS
    from radbundles.components.data.layouts.options import parse_options

    if words and layout == "csv":
        raise ValueError("--option is for collections; layout csv has --map, --labels, --delimiter and --encoding")
    return parse_options(layout, LAYOUTS[layout].read, words) if layout in LAYOUTS else {}


def _list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]


def _delimiter(text: str | None) -> str | None:
    if text is None:
        return None
    text = {"tab": "\t", "\\t": "\t"}.get(text, text)
    if len(text) != 1:
        raise ValueError(f"--delimiter must be one character or 'tab', not {text!r}")
    return text


def _fractions(text: str) -> list[float]:
    try:
        return [float(part) for part in _list(text)]
    except ValueError:
        raise ValueError(f"--fractions must be three numbers such as 0.8,0.1,0.1, not {text!r}") from None


def _mapping(entries: list[str]) -> dict[str, str]:
    from radbundles.components.data.layouts.csv_export import read_mapping

    mapping: dict[str, str] = {}
    for entry in entries:
        field, equals, column = entry.partition("=")
        if equals:
            mapping[field.strip()] = column.strip()
        elif entry.lower().endswith(".json"):
            mapping |= read_mapping(Path(entry))
        else:
            raise ValueError(f"--map must be FIELD=COLUMN or a .json file, not {entry!r}")
    return mapping


def _print_build(report: BuildReport) -> None:
    if report.items:
        typer.echo(f"{report.path}: {report.items} items")
        names = ("items", "patients", "text", "labels", "masks", "boxes")
        typer.echo("".join(f"{name:>12}" for name in ("", *names)))
        for split, counts in report.sections.items():
            typer.echo(f"{split:>12}" + "".join(f"{counts[name]:>12}" for name in names))
    else:
        typer.echo("Nothing came out, and no datalist was written.", err=True)
    if report.filtered:
        typer.echo(f"{report.filtered} rows were taken out by --only and --source.")
    if report.faults:
        faults = ", ".join(f"{count} {code}" for code, count in report.faults.most_common())
        typer.echo(f"Rows left out, see {report.faults_path}: {faults}.", err=True)
        with open(report.faults_path, encoding="utf-8") as file:
            first = json.loads(file.readline())
        typer.echo(f"The first: row {first['row']}: {first['message']}. {first['fix']}", err=True)
