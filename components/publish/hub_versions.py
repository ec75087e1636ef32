# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The versions of one bundle on the Hub. A version is a tag: what has none is not published."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_BRANCH = "main"
_OF_THE_HUB = ".gitattributes"
_TOKEN = re.compile(r"hf_\w+|(?<=Bearer )[^\s'\"]+")


class PublishError(RuntimeError):
    """The Hub did not take a version; the message says what it holds now and what to do."""


class HubVersions:
    """One repository of models on the Hub.

    Args:
        repo_id: ``ORG/NAME``.
        token: with which one may write there; it appears in no message.
        endpoint: address of another Hub than ``HF_ENDPOINT`` or huggingface.co.
    """

    def __init__(self, repo_id: str, *, token: str, endpoint: str | None = None) -> None:
        from huggingface_hub import HfApi

        self.repo_id = repo_id
        self._api: HfApi = HfApi(endpoint=endpoint, token=token)

    def tags(self) -> dict[str, str] | None:
        """Return the commits of all tags by name, or None if there is no such repository.

        Raises:
            PublishError: if the Hub does not answer.
        """
        from huggingface_hub.errors import RepositoryNotFoundError

        with _told(f"{self.repo_id} cannot be looked at"):
            try:
                refs = self._api.list_repo_refs(self.repo_id)
            except RepositoryNotFoundError:
                return None
        return {tag.name: tag.target_commit for tag in refs.tags}

    def create(self, *, private: bool) -> None:
        """Make the repository, empty.

        Raises:
            PublishError: if one may not.
        """
        with _told(f"{self.repo_id} cannot be made"):
            self._api.create_repo(self.repo_id, private=private, exist_ok=True)

    def commit(self, folder: Path, message: str) -> str:
        """Make the newest state of the repository that of a folder, in one commit, and return its id.

        What is there already in the same form is not sent, and without a difference there is no commit: so what an
        earlier attempt has left is taken up. Files that the folder does not have go away.

        Raises:
            PublishError: if that failed; no version of the repository has changed then.
        """
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete
        from huggingface_hub.errors import HfHubHTTPError

        with _told(f"nothing was published on {self.repo_id}, since the upload failed: publish again"):
            head = self._head()
            there = self._files(head)
            here = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
            if here.keys() == there.keys() and all(_name_of(here[path], there[path]) == there[path] for path in here):
                return head
            added = [CommitOperationAdd(path, str(file)) for path, file in sorted(here.items())]
            gone = [CommitOperationDelete(path) for path in sorted(there.keys() - here.keys())]
            try:
                made = self._api.create_commit(
                    self.repo_id, [*added, *gone], commit_message=message, parent_commit=head, revision=_BRANCH
                )
            except HfHubHTTPError as error:
                if error.response is not None and error.response.status_code == 412:
                    raise PublishError(
                        f"somebody else changed {self.repo_id} in the meantime, and nothing of yours was added: look "
                        "at what is there, and publish again"
                    ) from None
                raise
        return made.oid

    def tag(self, version: str, commit: str) -> None:
        """Name a commit as a version, which publishes it.

        Raises:
            PublishError: if it could not be named so; the message says how to finish.
        """
        from huggingface_hub.errors import HfHubHTTPError

        unfinished = (
            f"the files are on {self.repo_id} (commit {commit}), but the tag {version} could not be set, so that the "
            "version is not published: publish again, which sends no file anew and sets the tag"
        )
        with _told(unfinished):
            try:
                self._api.create_tag(self.repo_id, tag=version, revision=commit)
                return
            except HfHubHTTPError as error:
                if error.response is None or error.response.status_code != 409:
                    raise
            taken = (self.tags() or {}).get(version)
        if taken is None:
            raise PublishError(unfinished)
        if taken != commit:
            raise PublishError(
                f"somebody else published {version} of {self.repo_id} (commit {taken}) in the meantime; your files are "
                f"there as commit {commit} without a version: raise `version` in configs/metadata.json, publish again"
            )

    def _head(self) -> str:
        for branch in self._api.list_repo_refs(self.repo_id).branches:
            if branch.name == _BRANCH:
                return branch.target_commit
        raise PublishError(f"{self.repo_id} has no branch {_BRANCH}: make it on the page of the repository")

    def _files(self, revision: str) -> Mapping[str, str]:
        """Names by content of all files of a revision: the SHA-256 of large ones, the SHA-1 of git for others."""
        from huggingface_hub.hf_api import RepoFile

        entries = self._api.list_repo_tree(self.repo_id, recursive=True, revision=revision)
        files = [entry for entry in entries if isinstance(entry, RepoFile) and entry.path != _OF_THE_HUB]
        return {file.path: file.lfs.sha256 if file.lfs else file.blob_id for file in files}


def _name_of(file: Path, like: str) -> str:
    """Name a file by its content as the Hub does, in the form of ``like``."""
    digest = hashlib.sha256()
    if len(like) == 40:
        digest = hashlib.sha1(b"blob %d\0" % file.stat().st_size, usedforsecurity=False)
    with file.open("rb") as stream:
        while piece := stream.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Turn whatever the client and its HTTP library raise into one error, in words that hold no token."""
    try:
        yield
    except PublishError:
        raise
    except Exception as error:  # the HTTP library is another in each major release of the client
        raise PublishError(f"{what} ({_cause(error)})") from None  # the cause may hold the headers of its request


def _cause(error: BaseException) -> str:
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in (401, 403):
        return f"{status}: the token may not write there; make one with write access, then `hf auth login` or HF_TOKEN"
    cause = error.__cause__ if status is None else None
    told = (str(one).strip().splitlines() or [type(one).__name__] for one in (error, cause) if one is not None)
    return _TOKEN.sub("(token)", ": ".join(lines[0].rstrip(".") for lines in told))
