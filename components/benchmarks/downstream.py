# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""What pre-training is worth: the downstream bundles on real pictures, from a pre-trained encoder and from scratch.

    python -m radbundles.components.benchmarks.downstream DATA --out runs/downstream
    python -m radbundles.components.benchmarks.downstream DATA --out runs/downstream --study tuberculosis --seeds 1

DATA is a collection with a ``manifest.jsonl``. First ``ecamp_pretrain`` learns from films and readings, of the patients
alone who are in the training section of what follows: of both sites, and of each site for the studies that train on it
and test on the other. Then the bundles are trained, in their tiny configuration, with that encoder and with the same
network from random weights; on a part of the patients and on all of them; with several seeds.

The rows of every run's test section are kept in ``OUT/results``, ids as hashes, and beside them what the run took;
``radbundles.components.benchmarks.downstream_table`` makes the table of them. A run whose rows are there is not
repeated, and several processes may share the work, each with studies of its own.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from radbundles.components.benchmarks.downstream_table import NAMES, run_name
from radbundles.components.data import build_datalist, iter_datalist, write_datalist
from radbundles.components.data.tokenizer_training import ReportCorpus, train_tokenizer
from radbundles.components.distillation import RuleDistiller, distill_datalist
from radbundles.components.evaluation import read_table
from radbundles.components.hub.bundles import find_bundle
from radbundles.components.hub.workflow import bundle_workflow

Row = tuple[str, dict[str, Any]]
SITES: dict[str, tuple[str, ...]] = {
    "both": ("montgomery", "shenzhen_nc", "shenzhen_nomask"),
    "montgomery": ("montgomery",),
    "shenzhen": ("shenzhen_nc", "shenzhen_nomask"),
}
PARTS = (0.6, 0.15, 0.25)
PRETRAINING = {"epochs": 40, "schedule_epochs": 40, "val_interval": 40, "batch_size": 8, "num_workers": 0}
SALT = "radbundles downstream"


@dataclass(frozen=True)
class Study:
    """One question put to one bundle.

    Attributes:
        bundle: that is trained.
        rows: of its datalist, out of the collection's folder and that for what is made.
        site: of the pre-training, a key of :data:`SITES`.
        settings: values of the configuration, by id.
        fractions: parts of the training patients.
        seeds: how many.
        overlays: on the tiny configuration.
    """

    bundle: str
    rows: Callable[[Path, Path], Iterator[Row]]
    site: str = "both"
    settings: Mapping[str, Any] = field(default_factory=dict)
    fractions: Sequence[float] = (0.1, 1.0)
    seeds: int = 3
    overlays: Sequence[str] = ()


def _sources(*sources: str, only: Sequence[str] = ()) -> Callable[[Path, Path], Iterator[Row]]:
    """Rows of some sources of the collection, split by patient."""

    def rows(data: Path, out: Path) -> Iterator[Row]:
        path = out / "rows.json"
        build_datalist("open-collection", data, path, sources=sources, only=only, dataset_dir=data, fractions=PARTS)
        for _, split, item in iter_datalist(path):
            yield split, item

    return rows


def _across(site: str, other: str) -> Callable[[Path, Path], Iterator[Row]]:
    """Training and validation on one site, test on every patient of the other."""

    def rows(data: Path, out: Path) -> Iterator[Row]:
        for split, item in _sources(*SITES[site])(data, out):
            if split != "test":
                yield split, item
        for _, item in _sources(*SITES[other])(data, out):
            yield "test", item

    return rows


def _grades(data: Path, out: Path) -> Iterator[Row]:
    """Fundus photographs whose grade of retinopathy is the one class they have."""
    for split, item in _sources("idrid_grading")(data, out):
        grade = int(item["metadata"]["dr_grade_0_4"])
        yield split, item | {"labels": {f"grade {grade}": 1}}


_SHORT = {"epochs": 6}
_TUBERCULOSIS = {"classes": ["tuberculosis"], **_SHORT}
STUDIES: dict[str, Study] = {
    "tuberculosis": Study("ecamp_classification", _sources(*SITES["both"]), settings=_TUBERCULOSIS),
    "tuberculosis-to-montgomery": Study(
        "ecamp_classification",
        _across("shenzhen", "montgomery"),
        site="shenzhen",
        settings=_TUBERCULOSIS,
    ),
    "tuberculosis-to-shenzhen": Study(
        "ecamp_classification",
        _across("montgomery", "shenzhen"),
        site="montgomery",
        settings=_TUBERCULOSIS,
    ),
    "retinopathy": Study(
        "ecamp_classification",
        _grades,
        settings={
            "classes": [f"grade {grade}" for grade in range(5)],
            "task": "multiclass",
            "ordinal": True,
            "selection": "loss",
            "color": "rgb",
            **_SHORT,
        },
    ),
    "lungs": Study(
        "ecamp_segmentation",
        _sources("montgomery", "shenzhen_nc", only=["masks"]),
        settings={"classes": ["lungs"], "epochs": 4},
    ),
    "disc": Study(
        "ecamp_segmentation",
        _sources("idrid_segmentation", only=["masks"]),
        settings={"classes": ["optic disc"], "color": "rgb", **_SHORT},
        fractions=(1.0,),
        seeds=1,
    ),
    "lung-boxes": Study(
        "ecamp_detection",
        _sources("montgomery", "shenzhen_nc", only=["boxes"]),
        settings={"classes": ["left lung", "right lung"], "flip": 0.0, **_SHORT},
        fractions=(1.0,),
        seeds=1,
    ),
}


def pretrain(site: str, data: Path, out: Path) -> Path:
    """Pre-train on the films and readings of a site's training patients, and return the weights.

    What the test sections of the studies hold takes no part: the split goes by a hash of the patient, the same in all
    datalists.
    """
    folder = out / f"pretrain-{site}"
    weights = folder / "run" / "model.pt"
    if weights.is_file():
        return weights
    folder.mkdir(parents=True, exist_ok=True)
    paths = {name: folder / name for name in ("datalist.json", "distilled.jsonl", "tokenizer.json")}
    write_datalist(paths["datalist.json"], _sources(*SITES[site])(data, folder))
    distill_datalist(paths["datalist.json"], paths["distilled.jsonl"], RuleDistiller("chest"))
    corpus = ReportCorpus(paths["datalist.json"], distilled=paths["distilled.jsonl"])
    train_tokenizer(corpus, vocab_size=1000, out=paths["tokenizer.json"])
    began = time.perf_counter()
    workflow = bundle_workflow(
        find_bundle("ecamp_pretrain").folder,
        ("train", "tiny"),
        kind="train",
        dataset_dir=str(data),
        datalist=str(paths["datalist.json"]),
        distilled=str(paths["distilled.jsonl"]),
        tokenizer=str(paths["tokenizer.json"]),
        output_dir=str(weights.parent),
        **PRETRAINING,
    )
    workflow.run()
    seconds = round(time.perf_counter() - began, 1)
    _note(out / "results" / f"pretrain-{site}.json", {"seconds": {"training": seconds}})
    return weights


def run(name: str, study: Study, data: Path, out: Path, *, pretrained: bool, fraction: float, seed: int) -> None:
    """Train and judge once, and keep the rows of the test section."""
    title = run_name(pretrained=pretrained, fraction=fraction, seed=seed)
    results = out / "results" / name
    if (results / f"{title}.json").is_file():  # written last
        return
    datalist = out / name / "datalist.json"
    if not datalist.is_file():
        datalist.parent.mkdir(parents=True, exist_ok=True)
        write_datalist(datalist, study.rows(data, datalist.parent))
    weights = str(pretrain(study.site, data, out)) if pretrained else None
    folder = out / name / title
    settings: dict[str, Any] = {
        "dataset_dir": str(data),
        "datalist": str(datalist),
        "output_dir": str(folder),
        "encoder_weights": weights,
        "fraction": fraction,
        "fraction_seed": seed,
        "seed": seed,
        "resume": False,
        **study.settings,
    }
    bundle, configs = find_bundle(study.bundle).folder, ("train", "tiny", *study.overlays)
    began = time.perf_counter()
    bundle_workflow(bundle, configs, kind="train", **settings).run()
    trained = time.perf_counter()
    bundle_workflow(bundle, (*configs, "evaluate"), kind="train", **settings).run()
    seconds = {"training": round(trained - began, 1), "evaluation": round(time.perf_counter() - trained, 1)}
    table = read_table(folder / "evaluation")
    results.mkdir(parents=True, exist_ok=True)
    table.hashed(SALT).write(results / f"{title}{table.suffix}")
    _note(results / f"{title}.json", {"seconds": seconds})


def _note(path: Path, entry: Mapping[str, Any]) -> None:
    """Say beside the rows what they took."""
    path.parent.mkdir(parents=True, exist_ok=True)
    machine = {"threads": torch.get_num_threads(), "torch": torch.__version__}
    path.write_text(json.dumps({**entry, **machine}, indent=4) + "\n", encoding="utf-8")


def measure(data: Path, out: Path, *, studies: Sequence[str], seeds: int | None = None) -> None:
    """Run all that is asked for and not there yet."""
    for name in studies:
        study = STUDIES[name]
        for seed in range(study.seeds if seeds is None else min(seeds, study.seeds)):
            for fraction in study.fractions:
                for pretrained in (True, False):
                    run(name, study, data, out, pretrained=pretrained, fraction=fraction, seed=seed)


def main() -> None:
    """Entry point of ``python -m``."""
    parser = argparse.ArgumentParser(description="The downstream bundles, pre-trained and from scratch, on real data.")
    parser.add_argument("data", type=Path, help="folder of the collection, with manifest.jsonl")
    parser.add_argument("--out", type=Path, default=Path("runs/downstream"), help="folder for what is made")
    parser.add_argument("--study", action="append", choices=sorted(STUDIES), help="by default all; may be repeated")
    parser.add_argument("--seeds", type=int, help="at most so many")
    parser.add_argument("--threads", type=int, help="threads of the CPU; by default torch's choice")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    measure(arguments.data, arguments.out, studies=arguments.study or list(NAMES), seeds=arguments.seeds)
    print(f"python -m radbundles.components.benchmarks.downstream_table {arguments.out / 'results'}")


if __name__ == "__main__":
    main()
