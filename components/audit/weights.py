# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Judges files of weights by their bytes: archives of ``torch.save``, older pickles, safetensors, arrays of NumPy."""

from __future__ import annotations

import ast
import io
import re
import struct
import zipfile
from pathlib import Path

from radbundles.components.audit.ledger import Ledger
from radbundles.components.audit.pickles import pickle_faults, read_pickle
from radbundles.components.audit.policy import AuditPolicy
from radbundles.components.audit.report import WeightsFile

# The pickle of a network with ten thousand tensors is a megabyte or two.
MAX_PICKLE = 64 * 2**20
MAX_MEMBERS = 200_000
_MAGIC = b"\x8a\x0al\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"  # what the first pickle of the older form of torch.save holds
_MEMBER = re.compile(
    r"[^/\\]+/(?:data\.pkl|data/\d+|version|byteorder|\.format_version|\.storage_alignment|\.data/serialization_id)"
)
_PICKLE_MEND = "save it again as tensors alone: torch.save(network.state_dict(), ...) or safetensors"


def audit_torch_file(path: Path, name: str, policy: AuditPolicy, ledger: Ledger) -> None:
    """Judge a file that ``torch.load`` would read."""
    with path.open("rb") as stream:
        head = stream.read(4)
    # As torch tells them apart: by the first four bytes, whatever stands at the end of the file.
    if head == b"PK\x03\x04":
        _archive(path, name, policy, ledger)
    elif head[:1] == b"\x80":
        _older(path, name, policy, ledger)
    else:
        ledger.weights.append(WeightsFile(name, "unknown", pickled=True))
        ledger.refuse(name, None, None, "is neither an archive of torch.save nor a pickle", "save the weights again")


def _archive(path: Path, name: str, policy: AuditPolicy, ledger: Ledger) -> None:
    with zipfile.ZipFile(path) as archive:
        names = [member.filename for member in archive.infolist()]
        kind = _kind(names)
        if kind == "torch":
            fault = _archive_fault(archive, path.stat().st_size)
            if fault:
                ledger.refuse(name, None, None, fault, "save the weights again with torch.save")
        else:
            fault = f"is an archive of {kind}, which carries code"
            ledger.refuse(name, None, None, fault, f"use model.pt; if you trust it: --allow {name}")
        globals_: dict[str, None] = {}
        for member in archive.infolist() if not fault else ():
            if not member.filename.endswith(".pkl"):
                continue
            if member.file_size > MAX_PICKLE:
                ledger.refuse(name, None, member.filename, "has a pickle too large to be judged", _PICKLE_MEND)
                continue
            with archive.open(member) as inner:
                stream = io.BytesIO(inner.read(MAX_PICKLE + 1))
            globals_.update(dict.fromkeys(_judge(stream, name, policy, ledger)))
            if stream.read(1):
                ledger.refuse(name, None, member.filename, "has bytes behind its pickle", _PICKLE_MEND)
    ledger.weights.append(WeightsFile(name, kind, pickled=True, globals=tuple(globals_)))


def _kind(names: list[str]) -> str:
    if any("/code/" in one or one.endswith(("/constants.pkl", ".py", ".debug_pkl")) for one in names):
        return "TorchScript"
    if any(one.endswith(("/archive_format", "/archive_version")) for one in names):
        return "torch.export"
    return "torch"


def _archive_fault(archive: zipfile.ZipFile, size: int) -> str | None:
    """Say why two readers of an archive could see two things in it, or why it is a bomb."""
    members = archive.infolist()
    names = [member.filename for member in members]
    strange = next((one for one in names if not _MEMBER.fullmatch(one)), None)
    if strange or sum(one.endswith("/data.pkl") for one in names) != 1 or len(members) > MAX_MEMBERS:
        return f"has members that torch.save does not write, such as {strange!r}" if strange else "has no one data.pkl"
    if len({one.partition("/")[0] for one in names}) != 1:
        return "has more than one root"
    if archive.comment or len(set(names)) < len(names) or len({one.lower() for one in names}) < len(names):
        return "has a comment or a member twice, so that readers could differ in what they see"
    if any(member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1 for member in members):
        return "is compressed or encrypted, which torch.save never does"
    if sum(member.file_size for member in members) > size:
        return "has members that lie over one another"
    if not _ends_plainly(Path(str(archive.filename)), size):
        return "does not end with its own table of contents"
    if members and min(member.header_offset for member in members) != 0:
        return "has something before its first member"
    return None


def _ends_plainly(path: Path, size: int) -> bool:
    """Whether every reader of an archive finds one and the same table of contents, right before the end of the file."""
    with path.open("rb") as stream:
        stream.seek(max(0, size - 98))
        tail = stream.read(98)
    end, locator, wide = tail[-22:], tail[-42:-22], tail[-98:-42]
    if len(end) < 22 or not end.startswith(b"PK\x05\x06"):
        return False
    length, start = struct.unpack("<LL", end[12:20])
    behind = 22
    if locator.startswith(b"PK\x06\x07"):  # torch.save writes the wide form even where it needs none
        if not wide.startswith(b"PK\x06\x06") or struct.unpack("<Q", locator[8:16])[0] != size - 98:
            return False
        told = struct.unpack("<QQ", wide[40:56])
        if any(small not in (0xFFFFFFFF, large) for small, large in zip((length, start), told, strict=True)):
            return False
        (length, start), behind = told, 98
    return int(start + length + behind) == size


def _older(path: Path, name: str, policy: AuditPolicy, ledger: Ledger) -> None:
    with path.open("rb") as file:
        stream = io.BytesIO(file.read(MAX_PICKLE))
    legacy = _MAGIC in stream.getvalue()[:64]
    globals_: dict[str, None] = {}
    # Magic number, version, facts of the system, content, keys of the tensors; their bytes follow.
    for _ in range(5 if legacy else 1):
        globals_.update(dict.fromkeys(_judge(stream, name, policy, ledger)))
    if not legacy:
        ledger.refuse(name, None, None, "is a bare pickle and no file of torch.save", _PICKLE_MEND)
    kind = "torch, legacy" if legacy else "pickle"
    ledger.weights.append(WeightsFile(name, kind, pickled=True, globals=tuple(globals_)))


def _judge(stream: io.BytesIO, name: str, policy: AuditPolicy, ledger: Ledger) -> tuple[str, ...]:
    content = read_pickle(stream)
    for fault in pickle_faults(content, policy.lists, policy.allow):
        ledger.refuse(name, None, None, f"its pickle {fault}", _PICKLE_MEND)
    for record in policy.lists["pickle"]["records"]:
        if record in content.globals:
            ledger.note(name, None, record, "holds a plain record beside its tensors", "save tensors alone")
    return content.globals


def audit_array(path: Path, name: str, ledger: Ledger) -> None:
    """Judge a file of NumPy: arrays of objects are pickles."""
    with path.open("rb") as stream:
        head = stream.read(4)
        stream.seek(0)
        if head == b"PK\x03\x04":
            with zipfile.ZipFile(stream) as archive:
                heads = []
                for member in archive.infolist()[:MAX_MEMBERS]:
                    with archive.open(member) as inner:
                        heads.append(inner.read(65_536))
        else:
            heads = [stream.read(65_536)]
    pickled = any(_has_objects(data) for data in heads)
    ledger.weights.append(WeightsFile(name, "array", pickled=pickled))
    if pickled:
        ledger.refuse(name, None, None, "holds objects, which are pickles", "save arrays of numbers")


def _has_objects(data: bytes) -> bool:
    """Whether an array is one of objects; also where its header cannot be told."""
    try:
        if data[:6] != b"\x93NUMPY":
            return True
        wide = data[6] >= 2
        (length,) = struct.unpack("<I" if wide else "<H", data[8 : 12 if wide else 10])
        start = 12 if wide else 10
        if length > 10_000:
            return True
        header = ast.literal_eval(data[start : start + length].decode("latin-1").strip())
        return "O" in str(header["descr"])
    except (ValueError, SyntaxError, KeyError, TypeError, IndexError, struct.error, RecursionError, MemoryError):
        return True
