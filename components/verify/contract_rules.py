# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""V3: what MONAI, MONAI Label and our own commands expect of a workflow."""

from __future__ import annotations

from collections.abc import Iterator

from radbundles.components.hub.bundle_config import find
from radbundles.components.verify.finding import Finding
from radbundles.components.verify.preflight import required_spec
from radbundles.components.verify.stacks import Stack, file_name

# monai.bundle.properties: those that a workflow must have.
_PROPERTIES = {
    "train": (
        "bundle_root",
        "device",
        "dataset_dir",
        "train#trainer",
        "train#trainer#max_epochs",
        "train#dataset",
        "train#inferer",
    ),
    "inference": ("bundle_root", "device", "dataset_dir", "dataset", "evaluator", "network_def", "inferer"),
}
_HANDLERS = "train#handlers"


def check_contract(stack: Stack) -> Iterator[Finding]:
    """Yield ids that are missing, handlers that MONAI stumbles over, a preflight that is missing or does not fit."""
    for ident in _PROPERTIES.get(stack.files[0].name, ()):
        try:
            find(stack.content, ident)
        except LookupError:
            message = f"MONAI's workflows for {stack.files[0].name} must have this id"
            yield Finding("V3", file_name(stack.top), ident, None, message, "define it")
    yield from _check_handlers(stack)
    yield from _check_preflight(stack)


def _check_handlers(stack: Stack) -> Iterator[Finding]:
    try:
        handlers = find(stack.content, _HANDLERS)
    except LookupError:
        return
    for place, handler in enumerate(handlers if isinstance(handlers, list) else ()):
        if not isinstance(handler, dict) or "_target_" not in handler:
            ident = f"{_HANDLERS}#{place}"
            value = handler if isinstance(handler, str) else None
            message = "MONAI's check of properties and MONAI Label look for _target_ in every handler of the list"
            yield Finding("V3", stack.file(ident), ident, value, message, "write the handler out in the list itself")


def _check_preflight(stack: Stack) -> Iterator[Finding]:
    import radbundles

    steps = stack.content.get("initialize")
    file = stack.file("initialize") if "initialize" in stack.content else file_name(stack.top)
    first = steps[0] if isinstance(steps, list) and steps else None
    spec = required_spec(first)
    if spec is None:
        message = "the first step of initialize does not ask for a version of radbundles"
        mend = 'put {"_target_": "radbundles.require", "spec": ">=0.1,<0.2"} first'
        key = "initialize#0" if first is not None else "initialize"
        yield Finding("V3", file, key, first if isinstance(first, str) else None, message, mend)
        return
    try:
        radbundles.require(spec)
    except (ImportError, ValueError) as error:
        key = "initialize#0#spec" if isinstance(first, dict) else "initialize#0"
        yield Finding(
            "V3", file, key, spec, str(error).removesuffix("."), "make spec fit the version that it is made for"
        )
