# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Does stage 1 of DCXFM, trained on short readings of real films, find the zones of the lungs?

    python -m radbundles.components.benchmarks.lung_zones DATA --out runs/lung_zones

DATA is a collection with a ``manifest.jsonl`` that has the radiographs of Montgomery and Shenzhen with their readings
and lung masks. The tiny configuration of ``dcxfm_pretrain`` is trained on the readings ("PTB in the right upper
field"); neither masks nor boxes take part. It is then asked for eight zones of the lungs, cut from the masks, on the
patients of the test section, and judged beside the untrained network and a centered box. ``results.json`` has every
estimate with its interval; the model, packed for ``radbundles predict``, lies beside it.

Features are not centered here unless ``--center`` is given: from so few readings that did worse. Results differ from
seed to seed by more than their intervals, which tell of other patients and not of another training.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from radbundles.components.data import ReportCorpus, add_zone_phrases, build_datalist, train_tokenizer
from radbundles.components.hub.bundles import find_bundle
from radbundles.components.hub.pack import pack_bundle
from radbundles.components.hub.workflow import bundle_workflow
from radbundles.components.sentences import label_sentences

SOURCES = ("montgomery", "shenzhen_nc", "shenzhen_nomask")
CONFIGS = ("train", "tiny")
EPOCHS = 100
"""About 1,300 steps on 439 films, well within half an hour on two cores."""
SCORES = ("pointing", "cnr", "iou")


def prepare(data: Path, out: Path, *, sources: Sequence[str] = SOURCES) -> dict[str, Any]:
    """Write datalist, zones, sentences and tokenizer, and return the settings of the bundle that name them."""
    out.mkdir(parents=True, exist_ok=True)
    datalist, sentences, tokenizer = out / "datalist.json", out / "sentences.jsonl", out / "tokenizer.json"
    build_datalist("open-collection", data, datalist, only=["text"], sources=sources, dataset_dir=data)
    add_zone_phrases(datalist, datalist, dataset_dir=data)
    label_sentences(datalist, sentences)
    train_tokenizer(ReportCorpus(datalist), vocab_size=2000, out=tokenizer)
    return {
        "dataset_dir": str(data),
        "datalist": str(datalist),
        "sentences": str(sentences),
        "tokenizer": str(tokenizer),
        "output_dir": str(out / "training"),
    }


def measure(data: Path, out: Path, *, epochs: int = EPOCHS, seed: int = 42, **overrides: Any) -> dict[str, Any]:
    """Train, and judge the trained and the untrained network.

    Args:
        data: folder of the collection.
        out: folder for everything that is made.
        epochs: of the training.
        seed: of everything random.
        **overrides: further values of the configuration, by id.

    Returns:
        For "trained", "untrained" and "centered box" each score as [estimate, lower, upper], mean of the zones; the
        margin of the trained one over the box; the trained one zone by zone; seconds of training; what was judged.
    """
    bundle = find_bundle("dcxfm_pretrain").folder
    overrides = {"center_features": False, **overrides}
    settings = prepare(data, out) | {"seed": seed, **overrides}
    schedule = {"epochs": epochs, "schedule_epochs": epochs, "warmup_epochs": epochs / 20}
    schedule["val_interval"] = max(1, epochs // 10)

    def judge(name: str, weights: str | None) -> dict[str, Any]:
        results = out / name
        chosen = {"weights": weights, "results": str(results)}
        bundle_workflow(bundle, (*CONFIGS, "evaluate"), kind="train", **settings, **chosen).run()
        table: dict[str, Any] = json.loads((results / "grounding" / "grounding.json").read_text(encoding="utf-8"))
        return table

    untrained = judge("untrained", None)
    began = time.perf_counter()
    bundle_workflow(bundle, CONFIGS, kind="train", **settings, **schedule, resume=False).run()
    seconds = time.perf_counter() - began
    weights = Path(settings["output_dir"]) / "model.pt"
    table = judge("trained", str(weights))
    packed, tokenizer = out / "packed", Path(settings["tokenizer"])
    shutil.rmtree(packed, ignore_errors=True)
    pack_bundle(bundle, CONFIGS, packed, weights=weights, tokenizer=tokenizer, overrides=overrides)
    protocol = table["protocols"]["dcxfm"]
    figures = {
        "phrases": table["samples"],
        "images": table["images"],
        "epochs": epochs,
        "seed": seed,
        "overrides": overrides,
        "training_seconds": round(seconds, 1),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "trained": _mean(protocol, "model"),
        "untrained": _mean(untrained["protocols"]["dcxfm"], "model"),
        "centered box": _mean(protocol, "centered box"),
        "trained minus box": _mean(protocol, "margin"),
        "zones": {
            name: {score: _rounded(entry["model"][score]) for score in SCORES}
            for name, entry in protocol["classes"].items()
        },
    }
    (out / "results.json").write_text(json.dumps(figures, indent=4) + "\n", encoding="utf-8")
    return figures


def _mean(protocol: dict[str, Any], method: str) -> dict[str, list[float | None]]:
    return {score: _rounded(protocol["mean"][method][score]) for score in SCORES}


def _rounded(bounds: list[float | None]) -> list[float | None]:
    return [None if bound is None else round(bound, 3) for bound in bounds]


def main() -> None:
    """Entry point of ``python -m``."""
    parser = argparse.ArgumentParser(description="Zones of the lungs, found by stage 1 of DCXFM on real films.")
    parser.add_argument("data", type=Path, help="folder of the collection, with manifest.jsonl")
    parser.add_argument("--out", type=Path, default=Path("runs/lung_zones"), help="folder for what is made")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--center", action="store_true", help="center features, as tiny.json does")
    parser.add_argument("--threads", type=int, help="threads of the CPU; by default torch's choice")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    figures = measure(
        arguments.data,
        arguments.out,
        epochs=arguments.epochs,
        seed=arguments.seed,
        center_features=arguments.center,
    )
    print(json.dumps(figures, indent=4))


if __name__ == "__main__":
    main()
