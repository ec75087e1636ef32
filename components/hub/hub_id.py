# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Bundles by their name on the Hugging Face Hub."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_TOKEN = re.compile(r"(?<=Bearer )[^'\"]+|hf_\w+")


def is_hub_id(text: str) -> bool:
    """Whether a text has the form of a name on the Hub, ``ORG/NAME``."""
    return _HUB_ID.fullmatch(text) is not None and ".." not in text


def cached_snapshot(repo_id: str, *, revision: str | None = None, token: str | None = None) -> tuple[Path, str]:
    """Return the folder of a bundle in the cache of huggingface_hub, and its commit; downloads what is not there.

    Without a connection, or with ``HF_HUB_OFFLINE=1``, the cache alone is looked into.

    Args:
        repo_id: ``ORG/NAME``.
        revision: tag or commit; without one the newest is taken, with a warning that names it.
        token: of the Hub; by default that of ``HF_TOKEN`` or ``hf auth login``.

    Raises:
        OSError: if there is no such bundle or revision, or it is neither cached nor to be had.
    """
    with hub_call(repo_id, revision, token):
        from huggingface_hub import snapshot_download

        folder = Path(snapshot_download(repo_id, revision=revision, token=token))
    commit = folder.name
    if revision is None:
        _warn_moving(repo_id, commit)
    return folder, commit


def find_commit(repo_id: str, *, revision: str | None = None, token: str | None = None) -> str:
    """Ask the Hub which commit a tag stands for; without a revision, warn and name the newest.

    Raises:
        OSError: if there is no such bundle or revision, or the Hub cannot be asked.
    """
    with hub_call(repo_id, revision, token):
        from huggingface_hub import HfApi

        commit = HfApi(token=token).model_info(repo_id, revision=revision).sha
    if not isinstance(commit, str) or not _COMMIT.fullmatch(commit):
        raise OSError(f"the Hub names no commit for {repo_id} at {revision or 'its newest'}: {commit!r}")
    if revision is None:
        _warn_moving(repo_id, commit)
    return commit


@contextmanager
def hub_call(repo_id: str, revision: str | None = None, token: str | None = None) -> Iterator[None]:
    """Speak with the Hub: progress bars on a terminal alone, and errors in words that never hold a token.

    Raises:
        OSError: in place of whatever huggingface_hub and the HTTP client of its release raise.
    """
    from huggingface_hub import errors
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    where = f"{repo_id} at {revision}" if revision else repo_id
    quiet = not sys.stderr.isatty() and not are_progress_bars_disabled()
    if quiet:
        disable_progress_bars()
    fault: OSError
    try:
        yield
        return
    except errors.RevisionNotFoundError:
        fault = FileNotFoundError(f"{repo_id} has no revision {revision!r} on the Hub: name one of its tags or commits")
    except errors.GatedRepoError:
        fault = PermissionError(f"{repo_id} is gated: ask for access on its page, then log in (hf auth login)")
    except errors.RepositoryNotFoundError:
        fault = FileNotFoundError(
            f"no bundle {repo_id} on the Hub, or it is private: check the name, log in (hf auth login) or set HF_TOKEN"
        )
    except errors.LocalEntryNotFoundError:
        fault = ConnectionError(
            f"{where} is not in the cache of the Hub, and the Hub was not reached: connect once without "
            "HF_HUB_OFFLINE, or name the folder of a bundle"
        )
    except errors.OfflineModeIsEnabled:
        fault = ConnectionError(f"{where} cannot be had: HF_HUB_OFFLINE is set, unset it to connect")
    except Exception as error:  # the HTTP client is another in each major release
        told = _TOKEN.sub("(token)", str(error).strip() or type(error).__name__)
        told = told.replace(token, "(token)") if token else told
        fault = OSError(f"{where} cannot be had from the Hub: {told.splitlines()[0]}")
    finally:
        if quiet:
            enable_progress_bars()
    raise fault from None  # a chained error of the client may hold the headers of its request


@contextmanager
def real_files(snapshot: Path) -> Iterator[Path]:
    """Give a folder with the files of a snapshot for as long as they are examined.

    The cache of huggingface_hub holds links to blobs. Whoever examines a bundle refuses links that leave it, so the
    blobs themselves are shown, by a second name where the file system can do so.

    Raises:
        ValueError: if a link leads elsewhere than into the blobs of this cache.
    """
    blobs = (snapshot.parents[1] / "blobs").resolve()
    with _folder_beside(snapshot.parents[1]) as folder:
        for parent, folders, names in os.walk(snapshot):
            place = folder / Path(parent).relative_to(snapshot)
            place.mkdir(exist_ok=True)
            for name in [*names, *(name for name in folders if os.path.islink(os.path.join(parent, name)))]:
                link = Path(parent, name)
                file = link.resolve()
                if link.is_symlink() and not (file.parent == blobs and file.is_file()):
                    raise ValueError(f"{link} leads out of the cache of the Hub: remove {snapshot} and download again")
                try:
                    os.link(file, place / name)
                except OSError:
                    shutil.copyfile(file, place / name)
        yield folder


@contextmanager
def _folder_beside(parent: Path) -> Iterator[Path]:
    try:
        folder = tempfile.mkdtemp(prefix=".radbundles-", dir=parent)
    except OSError:  # a cache that others share may be read only
        folder = tempfile.mkdtemp(prefix="radbundles-")
    try:
        yield Path(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _warn_moving(repo_id: str, commit: str) -> None:
    warnings.warn(
        f"{repo_id} was asked for without a revision: commit {commit} is taken, the newest that is known. "
        f"It may be another next time; pin it with revision={commit!r}, or a tag",
        stacklevel=3,
    )
