# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""``python -m radbundles.components.phantom --out DIR --count N --seed S --size P``."""

from __future__ import annotations

import argparse
from pathlib import Path

from radbundles.components.phantom.write import write_phantoms


def main() -> None:
    """Write a dataset of phantoms and print the path of its datalist."""
    parser = argparse.ArgumentParser(prog="python -m radbundles.components.phantom", description=main.__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--count", type=int, default=64, help="number of images")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int, default=512, help="pixels a side")
    parser.add_argument("--workers", type=int, default=0, help="processes; 0 works in this one")
    options = parser.parse_args()
    path = write_phantoms(
        options.out, count=options.count, seed=options.seed, size=options.size, workers=options.workers
    )
    print(path)


if __name__ == "__main__":
    main()
