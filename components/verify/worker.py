# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""What happens in the process of one bundle."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path

from radbundles.components.verify import progress


def work(folder: str, checks: list[str], data: str, out: str) -> None:
    """Make checks of the bundle in ``folder``; ``progress`` says how far it has come, in ``out``."""
    _be_quiet(Path(out))
    from radbundles.components.verify.checks import run_checks

    run_checks(Path(folder), checks, data=Path(data), out=Path(out))


def make(folder: str) -> None:
    """Make the radiographs that bundles are verified on."""
    _be_quiet(Path(folder))
    from radbundles.components.verify.made_data import make_data

    make_data(Path(folder))


def _be_quiet(folder: Path) -> None:
    """Send what is said to a file, also what libraries say that are not written in Python; use one thread."""
    log = os.open(folder / progress.LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    os.environ |= {"OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg", "TQDM_DISABLE": "1"}
    warnings.simplefilter("ignore")  # what matters raises an error
    import torch

    torch.set_num_threads(1)
