# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Judges texts of a config as what they may be used for: a path or an address."""

from __future__ import annotations

import re
from functools import lru_cache

ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.:-]*://")
_DRIVE = re.compile(r"[A-Za-z]:(?:[\\/]|$)")
# Escape sequences of terminals, and signs that turn the direction of reading.
CONTROLS = re.compile("[\x01-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
# Of names that start with a dot these are endings of files, and what else does is hidden.
_ENDINGS = re.compile(
    r"\.(?:nii|dcm|nrrd|mha|mhd|png|jpe?g|tiff?|bmp|npy|npz|pt|pth|ts|onnx|safetensors|jsonl?|ya?ml|csv|tsv|txt|log|md)"
    r"(?:\.gz)?",
    re.IGNORECASE,
)
# What a program of the machine would run, or read its settings from, if a bundle could have it written.
_RUNNABLE = re.compile(r"\.(?:py[cdiwx]?|so|dll|dylib|exe|sh|bash|bat|cmd|ps1|jar|desktop|service)$", re.IGNORECASE)


def path_fault(text: str, *, joined: bool = False) -> str | None:
    """Say what is wrong with a text, read as a path or an address; None if nothing is.

    Args:
        text: any text of a config.
        joined: it stands to the right of another part of a path, so that a leading slash does not make it absolute.
    """
    if "\0" in text:
        return "has a zero byte in it"
    text = text.strip()  # which readers of settings may do, too
    if ADDRESS.match(text):
        return "is an address: a bundle fetches nothing itself"
    if text.startswith(("/", "\\")) and not joined or _DRIVE.match(text):
        return "is an absolute path"
    if text.startswith("~"):
        return "is a path into a home folder"
    segments = re.split(r"[/\\]", text)
    if ".." in segments:
        return "climbs out of its folder"
    hidden = segments if len(segments) > 1 else [text] if re.fullmatch(r"\.\w\S*", text) else []
    if any(re.fullmatch(r"\.[^.\s].*", one) for one in hidden) and not _ENDINGS.fullmatch(text):
        return "is the path of a hidden file"
    if _RUNNABLE.search(text) and not re.search(r"\s", text):
        return "names a file that can be run"
    return None


def looks_like_path(text: str) -> bool:
    """Whether a text is worth listing among the paths and addresses of a bundle."""
    return bool(ADDRESS.match(text)) or ("/" in text and not re.search(r"\s", text))


@lru_cache(maxsize=10_000)  # a list of a hundred thousand values has the keys above it as often
def key_fault(key: str) -> str | None:
    """Say what is wrong with a key, which expressions can read as a text and MONAI as a place in a list."""
    if not key.isprintable():
        return "has signs that cannot be printed"
    if fault := path_fault(key):
        return fault
    try:
        return None if str(int(key)) == key and not key.startswith("-") else "counts in an unusual way"
    except ValueError:
        return None
