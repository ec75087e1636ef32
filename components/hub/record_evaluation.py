# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Scores of a trained bundle's weights go into the bundle, where its card takes them from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import radbundles

# Figures over all samples. Subgroups stay with the run: a small one may tell of a person.
_KEPT = ("task", "section", "samples", "patients", "mean", "classes", "notes")


def record_evaluation(
    bundle: str | os.PathLike[str], results: str | os.PathLike[str], *, weights: str | os.PathLike[str]
) -> Path | None:
    """Write ``docs/evaluation.json``, ``eval_metrics`` and the card of a bundle that a training run has made.

    Args:
        bundle: folder of the bundle, ``OUTPUT_DIR/bundle``; where there is none, nothing is done.
        results: folder that evaluate.json has written.
        weights: the file that was judged. A bundle that was packed of other weights is left as it is.

    Returns:
        The file written, or None.

    Raises:
        FileNotFoundError: if there are no results.
        ValueError: if they are no JSON object.
    """
    from radbundles.components.evaluation.result import read_json, write_json
    from radbundles.components.hub.packed_folder import write_card
    from radbundles.components.hub.packed_folder import write_json as write_config
    from radbundles.networks.checkpoint_file import file_provenance

    bundle, judged = Path(bundle), file_provenance(Path(weights))["sha256"]
    record = bundle / "docs" / "packed.json"
    if not record.is_file() or read_json(record, "record of a packed bundle")["weights"]["sha256"] != judged:
        return None
    result = read_json(Path(results) / "evaluation.json", "result of an evaluation")
    kept: dict[str, Any] = {key: result[key] for key in _KEPT if key in result}
    calibration = result.get("calibration") or {}
    kept["calibration"] = {key: value for key, value in calibration.items() if key != "bins"}
    kept |= {"weights_sha256": judged, "radbundles": radbundles.__version__}
    metadata = read_json(bundle / "configs" / "metadata.json", "metadata of a bundle")
    metadata["eval_metrics"] = {
        f"{name} ({result.get('section', 'test')} section)": values[0] for name, values in result["mean"].items()
    }
    write_json(bundle / "docs" / "evaluation.json", kept)
    write_config(bundle / "configs" / "metadata.json", metadata)
    write_card(bundle)
    return bundle / "docs" / "evaluation.json"
