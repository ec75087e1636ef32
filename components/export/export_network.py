# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The network of a bundle's inference as one file, compared with the network before it counts as made."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import nn

    from radbundles.components.export.forms import Run

FORMS = {"torch": ".pt2", "onnx": ".onnx", "torchscript": ".ts"}
"""Forms of a file, and the suffix of each."""
TOLERANCE = 1e-4
"""Largest difference between file and network, in units of the largest value where that is above 1."""
BATCHES = (1, 3)
"""Batch sizes at which file and network are compared; the example that is traced has 2."""
OPSET = 18
"""Version of ONNX's operators: the oldest that PyTorch's exporter writes without conversion."""


class ExportError(RuntimeError):
    """A network cannot be written in a form, or its file does not give what the network gives."""


@dataclass(frozen=True)
class Exported:
    """A file that has been compared with its network.

    Args:
        path: the file; what it takes and gives stands beside it, in ``path.with_suffix(".json")``.
        form: one of :data:`FORMS`.
        parity: largest difference between file and network, see :data:`TOLERANCE`.
    """

    path: Path
    form: str
    parity: float


def export_network(
    folder: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    form: str | None = None,
    configs: Sequence[str] = ("inference",),
    values: Mapping[str, Any] | None = None,
    weights: str | os.PathLike[str] | None = None,
    untrained: bool = False,
    opset: int = OPSET,
) -> Exported:
    """Export the network of a bundle's ``inference.json``: images in, ``pred`` out, for any number of images.

    The forms are a program of ``torch.export`` (``.pt2``), ONNX (``.onnx``; needs the extra ``onnx``) and TorchScript
    (``.ts``, traced; PyTorch has deprecated it, and Python 3.14 is without). A bundle that is asked in words is
    exported with its question: the prompts of its ``phrases`` and ``classes`` become constants, and text tower,
    tokenizer and prompt table are left behind. A detector gives all its boxes, decoded; their selection (threshold and
    suppression) is left to whoever runs the file.

    The file is read back and compared with the network on the CPU, for 1 and for 3 images; one that differs by more
    than 1e-4 is thrown away. A JSON file beside it names input, output, classes, thresholds and preprocessing.

    Args:
        folder: the bundle.
        out: file to write, with the suffix of its form.
        form: ``"torch"``, ``"onnx"`` or ``"torchscript"``; by default that of the suffix.
        configs: names of configs, the later ones laid over the first: those that the weights were trained with.
        values: plain values by config id, such as ``{"classes": ["Cardiomegaly"]}``.
        weights: in place of the bundle's own.
        untrained: export random weights; for tests.
        opset: version of ONNX's operators.

    Returns:
        The file and how far it is from the network.

    Raises:
        FileNotFoundError: if there are no weights.
        ImportError: if the form needs packages that are not installed.
        ValueError: if the form is unknown, the suffix is not its own, or the weights do not fit.
        ExportError: if the network cannot be written in this form, or file and network differ.
    """
    folder, out = Path(folder), Path(out)
    form = _form(out, form)
    check_form(form)
    from radbundles.components.export.forms import read_form, write_form
    from radbundles.components.export.image_network import image_network
    from radbundles.components.export.sidecar import describe_export
    from radbundles.components.hub.bundles import read_bundle
    from radbundles.components.hub.load_weights import load_weights
    from radbundles.components.hub.workflow import bundle_workflow

    bundle = read_bundle(folder, str(folder))
    path = Path(weights) if weights is not None else bundle.weights
    if path is None and not untrained:
        raise FileNotFoundError(
            f"bundle {bundle.name} comes without weights: name those of a training run (weights=FILE, --weights FILE)"
        )
    workflow = bundle_workflow(folder, configs, **{"dataset_dir": str(folder), **(values or {}), "device": "cpu"})
    get = workflow.parser.get_parsed_content
    network: nn.Module = get("network")
    if path is not None and not untrained:
        load_weights(network, path)
    network.eval().requires_grad_(False)
    module, images = image_network(workflow.parser)

    record = describe_export(workflow.parser, module, images, bundle=bundle, form=form, trained=not untrained)
    partial = out.with_name(f".{out.stem}.{os.getpid()}{out.suffix}")
    sidecar = partial.with_suffix(".json")
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        write_form(form, module, images[:2], partial, record, opset=opset)
        parity = _parity(module, read_form(form, partial), images)
        if not parity <= TOLERANCE:  # NaN too
            raise ExportError(
                f"the {form} file differs from the network by {parity:.1e}, more than {TOLERANCE:.0e}: "
                "it is thrown away"
            )
        record["parity"] = {"difference": parity, "batches": list(BATCHES), "tolerance": TOLERANCE}
        sidecar.write_text(json.dumps(record, indent=4, ensure_ascii=False) + "\n", encoding="utf-8")
        partial.replace(out)
        sidecar.replace(out.with_suffix(".json"))
    finally:
        for file in (partial, sidecar):
            file.unlink(missing_ok=True)
    return Exported(out, form, parity)


def _form(out: Path, form: str | None) -> str:
    if form is None:
        form = next((name for name, suffix in FORMS.items() if suffix == out.suffix), None)
    listed = ", ".join(f"{name} ({suffix})" for name, suffix in FORMS.items())
    if form not in FORMS:
        raise ValueError(f"{out.name}: the forms are {listed}")
    if out.suffix != FORMS[form]:
        raise ValueError(f"{out.name}: a file of the form {form} has the suffix {FORMS[form]}; the forms are {listed}")
    return form


def check_form(form: str) -> None:
    """Make sure that the packages which a form needs are installed.

    Raises:
        ImportError: if one is missing; says how to install it.
    """
    from importlib.util import find_spec

    lacking = [name for name in ("onnx", "onnxscript", "onnxruntime") if form == "onnx" and find_spec(name) is None]
    if lacking:
        raise ImportError(f"ONNX needs {', '.join(lacking)}: pip install 'radbundles[onnx]'")


def _parity(module: nn.Module, run: Run, images: torch.Tensor) -> float:
    """Largest difference between a network and its file over batches of several sizes; NaN if there is one."""
    import torch

    differences = []
    with torch.inference_mode():
        for size in BATCHES:
            expected, found = module(images[:size]), run(images[:size])
            if found.shape != expected.shape:
                raise ExportError(f"the file gives {tuple(found.shape)} for {size} images, not {tuple(expected.shape)}")
            differences.append((expected - found).abs().max() / expected.abs().max().clamp_min(1))
    return float(torch.stack(differences).max())
