# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""What a repository of the local Hub holds: commits, each with its whole tree, and tags and branches on them."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

# The Hub keeps these, and whatever is larger than some MiB, in its large file storage.
_LARGE_SUFFIXES = (".pt", ".pth", ".ts", ".safetensors", ".bin", ".onnx", ".zip", ".gz", ".ckpt", ".npy", ".npz")
_LARGE_BYTES = 10 << 20


def is_large(path: str, size: int) -> bool:
    """Whether the Hub asks for the file ``path`` by the large file storage."""
    return path.endswith(_LARGE_SUFFIXES) or size > _LARGE_BYTES


@dataclass(frozen=True)
class File:
    """A file of a tree.

    Args:
        content: its bytes.
        large: whether it lies in the large file storage.
    """

    content: bytes
    large: bool

    @property
    def sha256(self) -> str:
        """Name in the large file storage."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def pointer(self) -> bytes:
        """What git itself holds of a large file."""
        return b"version https://git-lfs.github.com/spec/v1\noid sha256:%b\nsize %d\n" % (
            self.sha256.encode(),
            len(self.content),
        )

    @property
    def blob(self) -> str:
        """Name in git."""
        content = self.pointer if self.large else self.content
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()

    @property
    def etag(self) -> str:
        """Name that a download is checked by."""
        return self.sha256 if self.large else self.blob


@dataclass(frozen=True)
class Commit:
    """A state of all files.

    Args:
        tree: files by path.
        parent: id of the commit before, or None.
        title: first line of its message.
    """

    tree: dict[str, File]
    parent: str | None
    title: str

    @property
    def id(self) -> str:
        """Forty digits that depend on all files and all that came before."""
        tree = {path: file.blob for path, file in sorted(self.tree.items())}
        return hashlib.sha1(json.dumps([tree, self.parent, self.title]).encode()).hexdigest()


@dataclass
class Repository:
    """A model repository as the Hub makes it: with one commit, which holds ``.gitattributes``.

    Args:
        id: owner and name.
        private: whether one needs the token to read it.
    """

    id: str
    private: bool = False
    commits: dict[str, Commit] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        first = Commit({".gitattributes": File(b"*.safetensors filter=lfs\n", False)}, None, "initial commit")
        self.commits[first.id] = first
        self.branches["main"] = first.id

    def commit(self, revision: str) -> tuple[str, Commit] | None:
        """Find a commit by branch, tag or its id."""
        found = self.branches.get(revision) or self.tags.get(revision) or revision
        return (found, self.commits[found]) if found in self.commits else None

    def add(self, operations: list[dict[str, Any]], stored: dict[str, bytes], branch: str = "main") -> str:
        """Make one commit on a branch of the operations that a client sends; all of them or none.

        Raises:
            LookupError: if an operation names a file that is not there, or a large one that was never uploaded.
        """
        parent = self.branches[branch]
        tree, title = dict(self.commits[parent].tree), ""
        for operation in operations:
            value = operation["value"]
            match operation["key"]:
                case "header":
                    title = value["summary"]
                case "file":
                    tree[value["path"]] = File(base64.b64decode(value["content"]), False)
                case "lfsFile":
                    if value["oid"] not in stored:
                        raise LookupError(f"{value['path']}: the large file {value['oid']} was never uploaded")
                    tree[value["path"]] = File(stored[value["oid"]], True)
                case "deletedFile":
                    if tree.pop(value["path"], None) is None:
                        raise LookupError(f"{value['path']}: A file with this name doesn't exist")
                case "deletedFolder":
                    folder = value["path"].rstrip("/") + "/"
                    for path in [path for path in tree if path.startswith(folder)]:
                        del tree[path]
                case key:
                    raise LookupError(f"unknown operation {key!r}")
        commit = Commit(tree, parent, title)
        self.commits[commit.id] = commit
        self.branches[branch] = commit.id
        return commit.id
