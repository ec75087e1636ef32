# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import argparse
import io
import json
import os
import pickle
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tests.components.audit.conftest import MakeBundle, only_refused, refused
from torch import nn

from radbundles.components.audit import audit_bundle
from radbundles.components.audit.policy import audit_policy

STATE = {"layer.weight": torch.zeros(2, 3), "layer.bias": torch.ones(2, dtype=torch.bfloat16)}


class Payload:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.mark}",)


def rewritten(path: Path, change: Callable[[zipfile.ZipFile, zipfile.ZipInfo, bytes], None]) -> None:
    """Write an archive again; ``change`` writes each member into the new one."""
    data = io.BytesIO(path.read_bytes())
    with zipfile.ZipFile(data) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as new:
        for member in old.infolist():
            change(new, member, old.read(member))


def test_tensors_of_torch_save_pass(make_bundle: MakeBundle) -> None:
    folder = make_bundle()
    torch.save(STATE, folder / "models" / "model.pt")
    torch.save(nn.Linear(2, 2).state_dict(), folder / "models" / "other.pt")
    torch.save(STATE, folder / "models" / "older.pt", _use_new_zipfile_serialization=False)
    save_file(STATE, folder / "models" / "model.safetensors", metadata={"format": "pt"})
    report = audit_bundle(folder)
    assert report.passed and not report.findings, [str(finding) for finding in report.findings]
    kinds = {weights.file: (weights.kind, weights.pickled) for weights in report.weights}
    assert kinds == {
        "models/model.pt": ("torch", True),
        "models/model.safetensors": ("safetensors", False),
        "models/older.pt": ("torch, legacy", True),
        "models/other.pt": ("torch", True),
    }
    assert "torch._utils._rebuild_tensor_v2" in report.weights[0].globals


def test_globals_are_those_of_the_installed_torch() -> None:
    from torch._weights_only_unpickler import _get_allowed_globals

    listed = set(audit_policy().lists["pickle"]["globals"])
    # A newer torch may know more kinds of numbers; what this one would refuse, the audit must refuse too.
    assert {"torch._utils._rebuild_tensor_v2", "collections.OrderedDict", "torch.FloatStorage"} <= listed
    assert {name for name in listed - set(_get_allowed_globals()) if not name.startswith("torch.")} == set()


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_file_of_torch_save_is_refused_and_not_run(make_bundle: MakeBundle, mark: Path, zipped: bool) -> None:
    folder = make_bundle()
    file = folder / "models" / "model.pt"
    torch.save({**STATE, "x": Payload(mark)}, file, _use_new_zipfile_serialization=zipped)
    found = only_refused(folder)
    assert found.file == "models/model.pt" and "would import posix.system" in found.message
    assert "posix.system" in audit_bundle(folder).weights[0].globals
    assert only_refused(file).file == "model.pt"


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("name", ["model.pt", "models.pkl", "notes.txt", "picture.png", "docs.json"])
def test_bare_pickles_are_refused_by_their_bytes(make_bundle: MakeBundle, mark: Path, protocol: int, name: str) -> None:
    folder = make_bundle()
    (folder / "models" / name).write_bytes(pickle.dumps(Payload(mark), protocol=protocol))
    found = refused(audit_bundle(folder))
    assert found and {finding.file for finding in found} == {f"models/{name}"}


def test_whole_module_and_numpy_scalars_are_refused_and_a_namespace_is_noted(make_bundle: MakeBundle) -> None:
    folder = make_bundle()
    torch.save(nn.Linear(2, 2), folder / "models" / "module.pt")
    torch.save({"best": np.float64(1)}, folder / "models" / "scalar.pt")
    torch.save({"args": argparse.Namespace(lr=1)}, folder / "models" / "research.pt")
    report = audit_bundle(folder)
    assert {finding.file for finding in refused(report)} == {"models/module.pt", "models/scalar.pt"}
    assert [finding.file for finding in report.findings if finding.level == "note"] == ["models/research.pt"]


def test_instructions_beyond_weights_are_refused(make_bundle: MakeBundle) -> None:
    folder = make_bundle()
    file = folder / "models" / "model.pt"
    torch.save(STATE, file)
    stack_global = b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x02ls\x85R."
    rewritten(
        file, lambda new, member, data: new.writestr(member, stack_global if member.filename.endswith(".pkl") else data)
    )
    messages = " ".join(finding.message for finding in refused(audit_bundle(folder)))
    assert "posix.system" in messages and "STACK_GLOBAL" in messages


def test_torchscript_is_refused_unless_the_file_is_allowed(make_bundle: MakeBundle) -> None:
    folder = make_bundle()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(nn.Linear(2, 2)).save(folder / "models" / "model.ts")
    assert any("TorchScript" in finding.message for finding in refused(audit_bundle(folder)))
    report = audit_bundle(folder, allow=["models/model.ts"])
    assert report.passed and "unseen" in report.findings[0].message


def twice(new: zipfile.ZipFile, member: zipfile.ZipInfo, data: bytes) -> None:
    new.writestr(member, data)
    if member.filename.endswith(".pkl"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            new.writestr(member.filename, b"other")


def packed(new: zipfile.ZipFile, member: zipfile.ZipInfo, data: bytes) -> None:
    new.writestr(member.filename, data, zipfile.ZIP_DEFLATED)


def nested(new: zipfile.ZipFile, member: zipfile.ZipInfo, data: bytes) -> None:
    new.writestr(member, data)
    if member.filename.endswith(".pkl"):
        new.writestr("model/extra.zip", b"PK")


def second_root(new: zipfile.ZipFile, member: zipfile.ZipInfo, data: bytes) -> None:
    new.writestr(member, data)
    if member.filename.endswith(".pkl"):
        new.writestr("elsewhere/data.pkl", data)


def commented(new: zipfile.ZipFile, member: zipfile.ZipInfo, data: bytes) -> None:
    new.writestr(member, data)
    new.comment = b"x"


@pytest.mark.parametrize("change", [twice, packed, nested, second_root, commented])
def test_archives_that_readers_could_see_differently_are_refused(
    make_bundle: MakeBundle, change: Callable[[zipfile.ZipFile, zipfile.ZipInfo, bytes], None]
) -> None:
    folder = make_bundle()
    file = folder / "models" / "model.pt"
    torch.save(STATE, file)
    rewritten(file, change)
    assert {finding.file for finding in refused(audit_bundle(folder))} == {"models/model.pt"}


def test_polyglots_are_judged_as_torch_reads_them(make_bundle: MakeBundle, mark: Path) -> None:
    folder = make_bundle()
    file = folder / "models" / "model.pt"
    torch.save(STATE, file)
    # For zipfile this is an archive; torch.load takes what stands first, a pickle.
    file.write_bytes(pickle.dumps(Payload(mark), protocol=2) + file.read_bytes())
    assert any("posix.system" in finding.message for finding in refused(audit_bundle(folder)))
    file.write_bytes(b"PK\x03\x04" + file.read_bytes())
    assert refused(audit_bundle(folder))


@pytest.mark.parametrize("length", [0, 1, 3, 40, 200, 1000])
def test_cut_off_weights_are_findings(make_bundle: MakeBundle, length: int) -> None:
    folder = make_bundle()
    torch.save(STATE, folder / "models" / "a.pt")
    torch.save(STATE, folder / "models" / "b.pt", _use_new_zipfile_serialization=False)
    save_file(STATE, folder / "models" / "c.safetensors")
    np.save(folder / "models" / "d.npy", np.zeros(3))
    for file in (folder / "models").iterdir():
        file.write_bytes(file.read_bytes()[: min(length, file.stat().st_size // 2)])
    found = {finding.file for finding in refused(audit_bundle(folder))}
    # The tensors of the older form follow its pickles; whether their bytes are all there, only loading tells.
    assert found >= {"models/a.pt", "models/c.safetensors"}


def safetensors(header: object, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


@pytest.mark.parametrize(
    "content",
    [
        struct.pack("<Q", 2**60) + b"{}",
        safetensors(b"[]"),
        safetensors(b"{"),
        safetensors(b'{"a": 1}'),
        safetensors(b"[" * 5000),
        safetensors({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}, b"\0" * 4),
        safetensors({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, -4]}}),
        safetensors({"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}, b"\0" * 8),
        safetensors({"a": {"dtype": "OBJ", "shape": [1], "data_offsets": [0, 4]}}, b"\0" * 4),
        safetensors({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, b"\0" * 4 + b"hidden"),
        safetensors({"a": {"dtype": "F32", "shape": ["1"], "data_offsets": [0, 4]}}, b"\0" * 4),
        safetensors({"__metadata__": {"a": {"b": 1}}}),
        safetensors(
            b'{"a": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}, "a": {"dtype": "U8", "shape": [0],'
            b' "data_offsets": [0, 0]}}'
        ),
    ],
)
def test_false_safetensors_are_refused(make_bundle: MakeBundle, content: bytes) -> None:
    folder = make_bundle()
    (folder / "models" / "model.safetensors").write_bytes(content)
    assert only_refused(folder).file == "models/model.safetensors"


def test_arrays_of_numbers_pass_and_arrays_of_objects_are_refused(make_bundle: MakeBundle, mark: Path) -> None:
    folder = make_bundle()
    np.save(folder / "models" / "numbers.npy", np.zeros((2, 3)))
    np.savez_compressed(folder / "models" / "numbers.npz", a=np.zeros(3))
    assert audit_bundle(folder).passed
    np.save(folder / "models" / "objects.npy", np.array([Payload(mark)]), allow_pickle=True)
    np.savez(folder / "models" / "objects.npz", a=np.zeros(3), b=np.array([Payload(mark)]))
    assert {finding.file for finding in refused(audit_bundle(folder))} == {"models/objects.npy", "models/objects.npz"}
