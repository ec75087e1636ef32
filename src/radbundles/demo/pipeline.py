# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The steps of a demonstration, each the same as a command that a user can type."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from radbundles.components.data import CheckReport, ReportCorpus, check_datalist, train_tokenizer
from radbundles.components.distillation import RuleDistiller, distill_datalist
from radbundles.components.hub.bundles import find_bundle
from radbundles.components.phantom import write_phantoms
from radbundles.components.reports import Phases, run_manifest, write_manifest, write_page
from radbundles.demo.beside import dcxfm_beside
from radbundles.demo.examples import make_examples, write_preview
from radbundles.demo.grounding import GroundingResult
from radbundles.demo.history import read_history
from radbundles.demo.masks import MasksResult
from radbundles.demo.page import make_page
from radbundles.demo.workflow import build_workflow, command_line

BUNDLE = "ecamp_pretrain"
CONFIGS = ("train", "tiny")
VOCABULARY = 2000
SHOWN_FAULTS = 5
# Epochs on phantoms, fewer than tiny.json has: both trainings have to fit into five minutes on two cores.
ECAMP_EPOCHS, DCXFM_EPOCHS = 26, 60
PHANTOM_SPLITS = (0.56, 0.1, 0.34)
"""Many are kept to judge by; to train on more would not teach more in that time."""


class DataError(ValueError):
    """The user's datalist cannot be trained on as it is."""


@dataclass(frozen=True)
class DemoResult:
    """What a demonstration left behind.

    Attributes:
        page: the HTML page.
        trained: metrics of the trained model.
        untrained: metrics of the same model before training.
        grounding: what stage 1 of DCXFM adds.
        masks: what stage 2 adds; None if the data has no masks.
        seconds: wall time.
    """

    page: Path
    trained: dict[str, float]
    untrained: dict[str, float]
    grounding: GroundingResult
    masks: MasksResult | None
    seconds: float


def run_demo(
    *,
    out: Path,
    datalist: Path | None = None,
    count: int = 600,
    seed: int = 42,
    epochs: int | None = None,
    show_text: bool = True,
    say: Callable[[str], object] = print,
) -> DemoResult:
    """Pre-train a small ECAMP and a small DCXFM on reports and images, and write a page that shows what they learned.

    Args:
        out: folder for everything that is made; training in it starts anew.
        datalist: the user's own; None makes phantoms.
        count: number of phantoms.
        seed: of everything random.
        epochs: training epochs; None takes those of ``tiny.json``.
        show_text: whether the page shows words of reports.
        say: receives one line at the start of each step.

    Raises:
        DataError: if the datalist has faults, or lacks a section.
    """
    phases, began = Phases(), time.perf_counter()
    # The two trainings run side by side: small matrices gain little from more threads.
    cores = torch.get_num_threads()
    torch.set_num_threads(max(1, min(cores // 2, 4)))
    out.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def step(name: str, text: str) -> Iterator[None]:
        say(text)
        with phases(name):
            yield

    own = datalist is not None
    if datalist is None:
        with step("data", f"Making {count} procedural radiographs with reports"):
            datalist = write_phantoms(
                out / "phantoms", count=count, seed=seed, size=256, splits=PHANTOM_SPLITS, workers=2
            )
    with step("check", f"$ radbundles data check {datalist}"):
        section = _check(datalist)
    distilled, tokenizer, training = out / "distilled.jsonl", out / "tokenizer.json", out / "training"
    with step("distill", f"$ radbundles distill {datalist} --out {distilled}"):
        summary = distill_datalist(datalist, distilled, RuleDistiller("chest"))
        if summary["failures"]:
            raise DataError(f"{summary['failures']} reports could not be distilled: see {summary['failures_out']}")
    with step("tokenizer", f"$ radbundles tokenizer train {datalist} --distilled {distilled} --out {tokenizer}"):
        train_tokenizer(ReportCorpus(datalist, distilled=distilled), vocab_size=VOCABULARY, out=tokenizer)

    bundle = find_bundle(BUNDLE).folder
    settings: dict[str, Any] = {
        "dataset_dir": str(datalist.parent),
        "datalist": str(datalist),
        "distilled": str(distilled),
        "tokenizer": str(tokenizer),
        "output_dir": str(training),
        "seed": seed,
        "num_workers": int(cores > 2),
    }
    ecamp_epochs, dcxfm_epochs = (ECAMP_EPOCHS, DCXFM_EPOCHS) if epochs is None and not own else (epochs, epochs)
    if ecamp_epochs is not None:
        settings |= {"epochs": ecamp_epochs, "schedule_epochs": ecamp_epochs, "warmup_epochs": ecamp_epochs / 25}
        settings["val_interval"] = max(1, ecamp_epochs // 5)

    def evaluate(weights: Path | None) -> tuple[Any, dict[str, float]]:
        results = training / ("untrained.json" if weights is None else "evaluation.json")
        workflow = build_workflow(
            bundle,
            *CONFIGS,
            "evaluate",
            **settings,
            section=section,
            weights=str(weights) if weights else None,
            results=str(results),
        )
        workflow.run()
        metrics = json.loads(results.read_text(encoding="utf-8"))
        return workflow, {name: float("nan") if value is None else value for name, value in metrics.items()}

    log = out / "grounding.log"
    say(f"Meanwhile both stages of DCXFM are trained in a process of their own; its steps are told in {log}")
    with dcxfm_beside(
        log,
        out=out,
        datalist=datalist,
        tokenizer=tokenizer,
        section=section,
        seed=seed,
        epochs=dcxfm_epochs,
        workers=int(cores > 2),
        masks_epochs=epochs,
        own=own,
    ) as grounds:
        shutil.rmtree(training, ignore_errors=True)
        with step("untrained", f"Judging the untrained model on the {section} section"):
            _, untrained = evaluate(None)
        with step("training", command_line(bundle, CONFIGS, settings)):
            workflow = build_workflow(bundle, *CONFIGS, **settings)
            config = workflow.parser.get()
            workflow.run()
            per_epoch = workflow.parser.get_parsed_content("train#trainer").state.epoch_length
            items = len(workflow.parser.get_parsed_content("train#items"))
        with step("evaluation", f"Judging the trained model on the {section} section"):
            workflow, trained = evaluate(training / "model.pt")
        with step("waiting", "Waiting for DCXFM"):
            grounding, masks, seconds = grounds()
    phases.seconds |= seconds
    with step("page", "Writing the page"):
        examples = make_examples(workflow, distilled, seed=seed)
        manifest = run_manifest(
            f"{BUNDLE} demonstration",
            config={"ecamp": config, "dcxfm": grounding.config, "dcxfm_dense": masks.config if masks else None},
            seeds={"run": seed},
            files={"datalist": datalist, "distilled": distilled, "tokenizer": tokenizer},
            phases=phases,
            metrics={
                **{f"untrained {k}": v for k, v in (untrained | grounding.untrained).items()},
                **trained,
                **grounding.trained,
                **(masks.metrics if masks else {}),
            },
            device=str(workflow.parser.get_parsed_content("device")),
        )
        write_manifest(out / "run.json", manifest)
        kind = "radiographs" if own else "procedural radiographs"
        page = make_page(
            lead=f"A small ECAMP was pre-trained for {phases.seconds['training']:.0f} s on {items} {kind} and their "
            f"reports, and a small DCXFM for {phases.seconds['grounding']:.0f} s on the same"
            + (f" and {phases.seconds['masks']:.0f} s on masks." if masks else "."),
            grounding=grounding,
            masks=masks,
            trained=trained,
            untrained=untrained,
            training=read_history(training / "tensorboard" / "train", per_epoch=per_epoch),
            validation=read_history(training / "tensorboard" / "validation"),
            examples=examples,
            summary=summary,
            manifest=manifest,
            section=section,
            show_text=show_text,
        )
        write_page(out / "index.html", page)
        write_preview(out / "preview.png", examples)
    return DemoResult(out / "index.html", trained, untrained, grounding, masks, time.perf_counter() - began)


def _check(datalist: Path) -> str:
    """Return the section to judge on, or say what is wrong with the datalist."""
    report = CheckReport()
    faults = check_datalist(datalist, report=report)
    first = list(islice(faults, SHOWN_FAULTS))
    if first:
        shown = "\n".join(f"  {fault}" for fault in first)
        raise DataError(
            f"{datalist} has faults, the first of them:\n{shown}\nSee all: radbundles data check {datalist}"
        )
    for needed in ("training", "validation"):
        if not report.sections[needed]:
            raise DataError(f"{datalist} has no items in {needed!r}: make it with `radbundles data build --fractions`")
    return "test" if report.sections["test"] else "validation"
