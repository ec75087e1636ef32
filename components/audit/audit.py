# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The audit of a bundle that comes from elsewhere."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from radbundles.components.audit.arguments import argument_fault
from radbundles.components.audit.configs import ConfigAudit
from radbundles.components.audit.folder import list_files
from radbundles.components.audit.large_files import audit_large_files
from radbundles.components.audit.ledger import Ledger
from radbundles.components.audit.logging_file import audit_logging
from radbundles.components.audit.pickles import hides_pickle
from radbundles.components.audit.policy import AuditPolicy, audit_policy
from radbundles.components.audit.report import AuditReport, WeightsFile
from radbundles.components.audit.safetensors_file import safetensors_fault
from radbundles.components.audit.weights import audit_array, audit_torch_file
from radbundles.components.hub.bundle_config import ConfigFile, ConfigFileError, read_config, walk

# Data of a bundle, which nothing reads as a config: a tokenizer holds every sign that configs give a meaning to.
_DATA_FOLDERS = ("docs", "models")
_DATA_FILES = ("manifest.json",)
# What a bundle was packed of, values of configs among it; its checksums alone are read.
_RECORD = "docs/packed.json"
_LARGE_FILES = ("large_files.json", "large_files.yaml", "large_files.yml")
# All configs together; those of a bundle are some dozen kilobytes.
MAX_CONFIGS = 16 * 2**20
# How far a text is read to see whether it is one.
_HEAD = 1 << 20
_MAGIC = (
    (b"\x7fELF", "is a program or library"),
    (b"MZ", "is a program or library"),
    (b"\xcf\xfa\xed\xfe", "is a program or library"),
    (b"\xca\xfe\xba\xbe", "is a program or library"),
    (b"#!", "is a script"),
    (b"PK\x03\x04", "is an archive"),
    (b"\x1f\x8b", "is an archive"),
    (b"BZh", "is an archive"),
    (b"\xfd7zXZ", "is an archive"),
    (b"Rar!", "is an archive"),
    (b"7z\xbc\xaf", "is an archive"),
)


def audit_bundle(folder_or_file: str | os.PathLike[str], *, allow: Sequence[str] = ()) -> AuditReport:
    """Judge a bundle, or one file of a bundle, without running, importing or unpickling anything of it.

    What is not known to be harmless is refused. Configs are judged as MONAI would run them, any one laid over any
    other; each ``_target_``, import and call must be on an exact list, since a prefix such as ``torch.`` would let
    ``torch.hub.load`` through. Weights are judged by the instructions of their pickles, against those of
    ``torch.load(weights_only=True)``.

    An audit says what a bundle names, not what its weights have learned, nor how much memory and time a run takes, nor
    where below the working folder it writes; it holds for the files as they were when they were read.

    Args:
        folder_or_file: folder of a bundle, or a single config or file of weights.
        allow: exact names to let through beyond the shipped policy: targets, calls, imports, globals of a pickle, or
            paths of files within the bundle (such as ``scripts/net.py``, which is then not looked into).

    Returns:
        The report. A file that cannot be read is a finding of it, not an exception.

    Raises:
        FileNotFoundError: if there is nothing at ``folder_or_file``.
    """
    path = Path(folder_or_file)
    if not path.exists():
        raise FileNotFoundError(f"nothing to audit at {path}: name the folder of a bundle, or a file of one")
    policy, ledger = audit_policy(allow), Ledger()
    root = path.resolve()
    files = {root.name: root} if root.is_file() else list_files(root, ledger)
    configs: dict[str, ConfigFile] = {}
    size = 0
    for name, file in files.items():
        if name in policy.allow:
            ledger.note(name, None, None, "is let through unseen, because you allow it", "look into it yourself")
            continue
        try:
            if config := _audit_file(name, file, policy, ledger):
                size += file.stat().st_size
                if size > MAX_CONFIGS:
                    message = f"is where all configs together grow over {MAX_CONFIGS} bytes"
                    ledger.refuse(name, None, None, message, "keep data out of configs")
                    break
                configs[name] = config
        except ConfigFileError as error:
            reason = str(error).replace(str(root), ".")
            ledger.refuse(name, None, None, f"cannot be read: {reason}", "mend or remove the file")
        except Exception as error:  # what damaged files make the readers of the standard library raise has no end
            ledger.refuse(name, None, None, f"cannot be read: {type(error).__name__}", "mend or remove the file")
    own = frozenset(PurePosixPath(name).parts[0].removesuffix(".py") for name in files)
    ConfigAudit(configs, policy, ledger, own).run()
    if not files and not ledger.findings:
        ledger.refuse(".", None, None, "holds no file", "name the folder of a bundle")
    return ledger.report(str(path))


def _audit_file(name: str, file: Path, policy: AuditPolicy, ledger: Ledger) -> ConfigFile | None:
    """Judge one file by its kind; return it if it is a config, which is judged with all others."""
    kinds = policy.lists["files"]
    suffix = PurePosixPath(name).suffix.lower()
    if suffix in kinds["config"]:
        if name in _DATA_FILES or _is_data(name):
            _data(name, file, policy, ledger)
            return None
        config = read_config(file)
        if name in _LARGE_FILES:
            audit_large_files(config.content, name, ledger)
            return None
        return config
    if suffix in kinds["code"]:
        message = "is code of the bundle" if suffix == ".py" else "can be run or holds code"
        ledger.refuse(name, None, None, message, f"use an installed package; if you trust it: --allow {name}")
    elif suffix in kinds["logging"]:
        audit_logging(file, name, ledger)
    elif suffix in (*kinds["torch"], ".ts", ".pt2"):
        audit_torch_file(file, name, policy, ledger)
    elif suffix in kinds["safetensors"]:
        ledger.weights.append(WeightsFile(name, "safetensors", pickled=False))
        if fault := safetensors_fault(file):
            ledger.refuse(name, None, None, fault, "save the weights again")
    elif suffix in kinds["array"]:
        audit_array(file, name, ledger)
    elif suffix in (*kinds["text"], *kinds["picture"]) or PurePosixPath(name).name in kinds["names"]:
        _plain(name, file, ledger)
    else:
        _plain(name, file, ledger)
        ledger.refuse(
            name, None, None, "is of a kind that the audit does not know", f"remove it; if you trust it: --allow {name}"
        )
    return None


def _is_data(name: str) -> bool:
    """Whether nothing reads a file as a config; a bundle within the bundle has configs like any other."""
    parts = PurePosixPath(name).parts
    return parts[0] in _DATA_FOLDERS and "configs" not in (part.lower() for part in parts)


def _data(name: str, file: Path, policy: AuditPolicy, ledger: Ledger) -> None:
    """Judge JSON or YAML that is no config: it must not be one all the same, nor settings of a model with code."""
    _plain(name, file, ledger)
    try:
        content = read_config(file).content
    except ConfigFileError:
        # No object, or large as a tokenizer is; configs cannot copy from it, since macros must name configs.
        if "config" in PurePosixPath(name).name.lower():
            ledger.refuse(name, None, None, "are settings that cannot be read", "write them as an object of JSON")
        return
    for entry in walk(content):
        keys = entry.id.split("#")
        if "_target_" in keys and name != _RECORD:
            message = "is a config outside of configs, which the others could copy from"
            ledger.refuse(name, None, None, message, "move it to configs")
            return
        if fault := argument_fault(keys, entry.value, policy, settings=True):
            ledger.refuse(name, entry.id, str(entry.value), *fault)


def _plain(name: str, file: Path, ledger: Ledger) -> None:
    """Judge a file that should be a text or a picture: nothing that can be run, unpacked or unpickled."""
    with file.open("rb") as stream:
        data = stream.read(_HEAD)
    for magic, what in _MAGIC:
        if data.startswith(magic):
            ledger.refuse(name, None, None, f"{what} under another name", "remove it")
            return
    if data[:1] == b"\x80" or hides_pickle(data):
        ledger.refuse(name, None, None, "is a pickle under another name", "remove it")
