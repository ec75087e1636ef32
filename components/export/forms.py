# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The forms of an exported network: how each is written and read."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from radbundles.components.export.export_network import ExportError

Run = Callable[[torch.Tensor], torch.Tensor]
RECORD = "radbundles.json"
"""Name under which a file holds its description."""


def write_form(
    form: str, module: nn.Module, example: torch.Tensor, path: Path, record: Mapping[str, Any], *, opset: int
) -> None:
    """Write a network as a file that takes any number of images.

    Args:
        form: one of :data:`~radbundles.components.export.FORMS`.
        module: in eval mode.
        example: two images.
        path: the file.
        record: what the file says of itself.
        opset: version of ONNX's operators.

    Raises:
        ExportError: if it cannot be written in this form.
    """
    text = json.dumps(record, ensure_ascii=False)
    try:
        with _quiet(), torch.no_grad():
            if form == "torchscript":
                _write_torchscript(module, example, path, text)
                return
            batch = {0: torch.export.Dim("batch", min=1)}
            program = torch.export.export(module, (example,), dynamic_shapes=(batch,))
            if form == "torch":
                torch.export.save(program, path, extra_files={RECORD: text})
            else:
                _write_onnx(program, path, text, opset)
    except Exception as error:  # each exporter has errors of its own
        raise ExportError(
            f"{type(module).__name__} cannot be written as {form}: {type(error).__name__}: {error}"
        ) from error


def read_form(form: str, path: Path) -> Run:
    """Read a file of :func:`write_form` back, as a function of images on the CPU."""
    with _quiet():
        if form == "torch":
            return torch.export.load(path).module()
        if form == "torchscript":
            return torch.jit.load(path, map_location="cpu")
        import onnxruntime

        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def run(images: torch.Tensor) -> torch.Tensor:
        (pred,) = session.run(["pred"], {"image": images.numpy()})
        return torch.from_numpy(pred)

    return run


def _write_onnx(program: torch.export.ExportedProgram, path: Path, text: str, opset: int) -> None:
    names: dict[str, Any] = {"input_names": ["image"], "output_names": ["pred"]}
    made = torch.onnx.export(program, (), opset_version=opset, dynamo=True, verbose=False, **names)
    assert made is not None
    made.model.metadata_props[RECORD] = text
    made.save(path, external_data=False)


def _write_torchscript(module: nn.Module, example: torch.Tensor, path: Path, text: str) -> None:
    from monai.data import save_net_with_metadata
    from monai.networks.utils import convert_to_torchscript

    # Traced: scripting stops at what our networks hold beside tensors, such as sizes in properties. MONAI's ckpt_export
    # calls the same two functions, but its trace takes what network_def gives, which may ask for texts.
    traced = convert_to_torchscript(module, inputs=[example], use_trace=True, check_trace=False)
    save_net_with_metadata(traced, str(path), include_config_vals=False, meta_values=json.loads(text))


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep back what exporters say of their own parts."""
    logs = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir", "torch.export")]
    levels = [log.level for log in logs]
    for log in logs:
        log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for log, level in zip(logs, levels, strict=True):
            log.setLevel(level)
