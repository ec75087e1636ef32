# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The recipe of ``train.json`` as a table."""

from __future__ import annotations

from typing import Any

from radbundles.components.cards.data_tables import table
from radbundles.components.cards.read_bundle import BundleFiles, setting, short_name

_NOTE = "As `configs/train.json` has it; other configs and the command line change it."
_PACKED = (
    "The run that these weights were packed of may have had others; `packed.json` has what was written down of it."
)


def recipe_table(files: BundleFiles) -> str:
    """Write optimizer, rate, schedule, epochs, batch and the like; nothing where the bundle has no training config."""
    rows = _rows(files.train) if files.train else []
    said = [(what, value) for what, value in rows if value is not None]
    note = f"{_NOTE} {_PACKED}" if (files.folder / "docs" / "packed.json").is_file() else _NOTE
    return f"{note}\n\n{table(('Setting', 'Value'), said)}" if said else ""


def _rows(train: dict[str, Any]) -> list[tuple[str, str | None]]:
    handlers = setting(train, "train#handlers")
    by_name = {short_name(one.get("_target_")): one for one in handlers or () if isinstance(one, dict)}
    objective = setting(train, "objective_def") or setting(train, "objective")
    return [
        ("Objective", f"`{short_name(objective['_target_'])}`" if isinstance(objective, dict) else None),
        ("Optimizer", _optimizer(train)),
        ("Learning rate", _number(train, "optimizer#lr")),
        ("Rate of the encoder, times", _factor(train, "encoder_multiplier")),
        ("Rate from block to block, times", _factor(train, "layer_decay")),
        ("Weight decay", _number(train, "weight_decay")),
        ("Schedule", _schedule(train, by_name.get("WarmupCosine"))),
        ("Norm of gradients clipped at", _number(train, "max_norm")),
        ("Epochs", _epochs(train)),
        ("Batch", _batch(train)),
        ("Image size", _number(train, "image_size")),
        ("Precision", _precision(train)),
        ("Best by", _best(train)),
        ("Ends early after epochs without gain", _number(train, "patience")),
        ("Seed", _number(train, "seed")),
    ]


def _number(train: dict[str, Any], id: str) -> str | None:
    value = setting(train, id)
    return f"{value:g}" if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _best(train: dict[str, Any]) -> str | None:
    metrics = setting(train, "validate#key_metric")
    if not (isinstance(metrics, dict) and metrics):
        return None
    name, metric = next(iter(metrics.items()))
    if isinstance(metric, dict):
        kinds = [setting({**train, "_": metric}, f"_#{key}") for key in ("selection", "name")]
        name = next((kind for kind in kinds if isinstance(kind, str)), short_name(metric.get("_target_", name)))
    return f"`{name}` on the validation section"


def _factor(train: dict[str, Any], id: str) -> str | None:
    factor = _number(train, id)
    return None if factor == "1" else factor


def _optimizer(train: dict[str, Any]) -> str | None:
    optimizer = setting(train, "optimizer")
    if not isinstance(optimizer, dict):
        return None
    told = [f"{key} {optimizer[key]}" for key in ("betas", "momentum") if key in optimizer]
    return ", ".join([short_name(optimizer.get("_target_")), *told])


def _schedule(train: dict[str, Any], handler: dict[str, Any] | None) -> str | None:
    if handler is None:
        return None
    warmup, total = (_number({**train, "_": handler}, f"_#{key}") for key in ("warmup_epochs", "total_epochs"))
    shape = setting({**train, "_": handler}, "_#shape") or "cosine"
    start = f"warm-up over {warmup} epochs, then " if warmup not in (None, "0") else ""
    return f"{start}{shape}" + (f", over {total} epochs" if total and shape != "constant" else "")


def _epochs(train: dict[str, Any]) -> str | None:
    epochs, batches = _number(train, "train#trainer#max_epochs"), _number(train, "epoch_batches")
    return f"{epochs} of {batches} batches" if epochs and batches else epochs


def _batch(train: dict[str, Any]) -> str | None:
    size, steps = setting(train, "batch_size"), setting(train, "accumulation_steps")
    if not isinstance(size, int):
        return None
    if isinstance(steps, int) and steps > 1:
        return f"{size}, gradients of {steps} summed up: {size * steps}"
    return str(size)


def _precision(train: dict[str, Any]) -> str | None:
    kind, amp = setting(train, "amp_dtype"), setting(train, "amp")
    if not (isinstance(kind, str) and amp):
        return None
    where = " on GPUs" if isinstance(amp, str) and "cuda" in amp else ""
    return f"{kind.removeprefix('$torch.')} (mixed){where}"
