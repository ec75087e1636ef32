# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""What the bundles for classification, segmentation and detection have in common."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigWorkflow, verify_metadata, verify_net_in_out
from typer.testing import CliRunner

import radbundles.cli.predict_command as predict_command
from radbundles.cli.app import app
from radbundles.components.data import SplitLeakError
from radbundles.components.hub.record_evaluation import record_evaluation
from radbundles.components.hub.workflow import bundle_workflow
from radbundles.networks import DCXFM, ECAMP, ImageTower, ResNetEncoder, TextTower, build_bert

assert predict_command  # its import is what registers the command

Command = Callable[..., list[str]]
Make = Callable[..., ConfigWorkflow]
Settings = dict[str, Any]
VIT = {"kind": "vit", "patch_size": 8, "dim": 16, "depth": 1, "heads": 2}
RESNET = {"kind": "resnet", "depth": 50, "widths": [4, 4, 8, 8]}
OWN: dict[str, Settings] = {
    "ecamp_classification": {"classes": ["calcified", "rotated"], "stored_size": 72},
    "ecamp_segmentation": {"classes": ["left lung", "heart"], "decoder_widths": [8, 8, 8]},
    "ecamp_detection": {"classes": ["left lung", "heart"], "detector": {"kind": "retinanet", "out_channels": 16}},
}


@pytest.fixture(scope="module", params=OWN)
def bundle(request: pytest.FixtureRequest, repository: Path) -> Path:
    return repository / "bundles" / str(request.param)


def small(name: str, data: Path) -> Settings:
    """Settings of a training in a moment."""
    return {
        "dataset_dir": str(data),
        "image_size": 64,
        "encoder": VIT,
        "epochs": 1,
        "epoch_batches": 3,
        "batch_size": 4,
        "num_workers": 0,
        "warmup_epochs": 0,
        **OWN[name],
    }


@pytest.fixture(scope="module")
def settings(bundle: Path, annotated: Path) -> Settings:
    return small(bundle.name, annotated)


@pytest.fixture(scope="module")
def finished(bundle: Path, settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a training run."""
    folder = tmp_path_factory.mktemp(bundle.name)
    bundle_workflow(bundle, ("train", "tiny"), kind="train", **settings, output_dir=str(folder)).run()
    return folder


@pytest.fixture
def one_thread() -> Iterator[None]:
    """As the commands of the tests have, so that sums come in the same order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def test_metadata_is_valid(bundle: Path, repository: Path, finished: Path) -> None:
    """Of the bundle as it is shipped, and of the one that a run leaves."""
    schema = repository / "components" / "hub" / "metadata.schema.json"
    for folder in (bundle, finished / "bundle"):
        meta = folder / "configs" / "metadata.json"
        code = hashlib.md5(schema.read_bytes()).hexdigest()
        verify_metadata(meta_file=str(meta), filepath=str(schema), hash_val=code)
        metadata = read(meta)
        assert metadata["version"] in metadata["changelog"]


def test_network_of_a_run_fits_its_metadata(finished: Path) -> None:
    configs = finished / "bundle" / "configs"
    verify_net_in_out(
        "network_def",
        meta_file=str(configs / "metadata.json"),
        config_file=str(configs / "inference.json"),
        device="cpu",
    )


def pretrained_vit() -> torch.nn.Module:
    """ECAMP in pre-training on images of half the size, 4 x 4 cells in place of 8 x 8."""
    sizes = {"patch_size": 8, "dim": 16, "depth": 1, "heads": 2, "decoder_dim": 16, "decoder_depth": 1}
    text = {"decoder_heads": 2, "vocab_size": 20, "text_dim": 16, "text_layers": 1, "text_heads": 2, "text_ffn": 16}
    return ECAMP(image_size=64, **sizes, **text)  # type: ignore[arg-type]


def pretrained_resnet() -> torch.nn.Module:
    """DCXFM in pre-training."""
    text = TextTower(build_bert(vocab_size=12, dim=16, layers=1, heads=2, ffn=16), dim=8)
    return DCXFM(ImageTower(ResNetEncoder(depth=50, widths=(4, 4, 8, 8)), dim=8), text)


@pytest.mark.parametrize(
    ("make", "prefix", "form", "options"),
    [
        (pretrained_vit, "encoder.", "ecamp_pretrain", {}),
        (pretrained_resnet, "image.encoder.", "dcxfm_pretrain", {"encoder": RESNET, "pixel_mean": 0, "pixel_std": 1}),
    ],
)
def test_encoder_comes_from_pre_training_and_every_key_is_told(
    bundle: Path,
    settings: Settings,
    workflow: Make,
    tmp_path: Path,
    make: Callable[[], torch.nn.Module],
    prefix: str,
    form: str,
    options: Settings,
) -> None:
    state = make().state_dict()
    torch.save(state, tmp_path / "model.pt")
    if "encoder" in options and "decoder_widths" in settings:
        options = {**options, "decoder_widths": [8] * 5}
    made = workflow(
        *("train", "tiny"),
        **{**settings, **options, "encoder_weights": str(tmp_path / "model.pt"), "output_dir": str(tmp_path / "run")},
    )
    own = made.parser.get_parsed_content("network").encoder.state_dict()
    same = {key for key, value in own.items() if torch.equal(value, state.get(prefix + key, torch.empty(0)))}
    report = read(tmp_path / "run" / "encoder_report.json")
    left_out = [entry["key"] for entry in report["left_out"]]
    assert report["format"] == form and report["untouched"] == []
    assert sorted([*report["loaded"], *left_out]) == sorted(state)
    if form == "ecamp_pretrain":
        sizes = {"key": "encoder.pos_embed", "from": [1, 17, 16], "to": [1, 65, 16]}
        assert report["resized"] == [sizes] and same == set(own) - {"pos_embed"}
        assert list(own["pos_embed"].shape) == sizes["to"]
    else:
        assert report["resized"] == [] and same == set(own)
    made.run()
    assert read(tmp_path / "run" / "bundle" / "docs" / "encoder.json") == report
    config = read(tmp_path / "run" / "bundle" / "configs" / "inference.json")
    assert {key: config[key] for key in options} == options


def test_fraction_of_the_patients_trains(annotated: Path, settings: Settings, workflow: Make, tmp_path: Path) -> None:
    """A part is drawn by patients and lies in every larger part; validation stays whole."""
    content = read(annotated / "datalist.json")
    patients: list[set[str]] = []
    for fraction in (0.2, 0.6, 1.0):
        made = workflow("train", "tiny", fraction=fraction, output_dir=str(tmp_path), **settings)
        items, kept = (made.parser.get_parsed_content(f"{part}#items") for part in ("train", "validate"))
        assert len(kept) == len(content["validation"])
        patients.append({item["patient"] for item in items})
        assert len(items) == sum(item["patient"] in patients[-1] for item in content["training"]), "all their films"
    few, some, every = patients
    assert 0 < len(few) < len(some) < len(every) and few < some < every


def test_patient_in_two_sections_stops_the_run(
    annotated: Path, settings: Settings, workflow: Make, tmp_path: Path
) -> None:
    content = read(annotated / "datalist.json")
    content["validation"][0]["patient"] = content["training"][0]["patient"]
    leaky = tmp_path / "leaky.json"
    leaky.write_text(json.dumps(content), encoding="utf-8")
    options = {**settings, "datalist": str(leaky), "output_dir": str(tmp_path / "run")}
    with pytest.raises(RuntimeError, match="guard_splits") as error:
        workflow("train", "tiny", **options)
    told = str(error.value.__cause__)
    assert isinstance(error.value.__cause__, SplitLeakError)
    assert "1 patient stands in two splits" in told and content["training"][0]["id"] in told
    assert content["training"][0]["patient"] not in told and "--allow_leaks true" in told
    workflow("train", "tiny", allow_leaks=True, **options).run()
    assert (tmp_path / "run" / "model.pt").is_file()


@pytest.mark.usefixtures("one_thread")
def test_killed_training_ends_with_the_state_of_an_undisturbed_one(
    settings: Settings,
    command: Command,
    workflow: Make,
    killed_and_whole: Callable[..., tuple[Settings, Settings]],
    assert_equal: Callable[[Any, Any], None],
) -> None:
    """SIGKILL in the middle, the same configs again: network and optimizer bit for bit."""
    every = {**settings, "epochs": 8, "epoch_batches": 6, "checkpoint_every": 1, "val_interval": 4}

    def train(folder: Path) -> list[str]:
        return command("train", "tiny", **every, output_dir=str(folder))

    def again(folder: Path) -> None:
        workflow("train", "tiny", **every, output_dir=str(folder)).run()

    killed, whole = killed_and_whole(train, epochs=8, again=again)
    for part in ("objective", "optimizer"):
        assert_equal(killed[part], whole[part])


def test_evaluation_takes_its_points_from_validation(
    bundle: Path, annotated: Path, finished: Path, settings: Settings, workflow: Make, tmp_path: Path
) -> None:
    points = read(finished / "operating_points.json")
    assert points["section"] == "validation" and list(points["thresholds"]) == settings["classes"]
    weights = {"output_dir": str(finished), "results": str(tmp_path)}
    made = workflow("train", "tiny", "evaluate", **settings, **weights, report=str(tmp_path / "run.json"))
    made.run()
    result = read(tmp_path / "evaluation.json")
    test = read(annotated / "datalist.json")["test"]
    assert (result["section"], result["samples"]) == ("test", len(test))
    assert result["patients"] == len({item["patient"] for item in test})
    assert list(result["classes"]) == settings["classes"] and {"sex", "view"} <= set(result["subgroups"])
    assert result["operating_points"]["thresholds"] == points["thresholds"]
    assert result["calibration"]["temperature"] == points["temperature"]
    assert all(len(entry) == 3 for entry in result["mean"].values())
    [table] = tmp_path.glob("predictions.*")
    text = table.read_text(encoding="utf-8")
    assert table.suffix == (".jsonl" if "detection" in bundle.name else ".csv")
    assert all(item["id"] in text and item["patient"] not in text for item in test)
    assert "<html" in (tmp_path / "report.html").read_text(encoding="utf-8")
    card = read(finished / "bundle" / "docs" / "evaluation.json")
    assert card["mean"] == result["mean"] and "subgroups" not in card
    metrics = read(finished / "bundle" / "configs" / "metadata.json")["eval_metrics"]
    assert list(metrics.values()) == [values[0] for values in result["mean"].values()]
    manifest = read(tmp_path / "run.json")
    assert manifest["metrics"] and not any(item["patient"] in json.dumps(manifest) for item in test)


def test_evaluation_after_a_training_on_several_processes_judges_everything(
    annotated: Path, finished: Path, settings: Settings, workflow: Make, tmp_path: Path
) -> None:
    folders = {"output_dir": str(finished), "results": str(tmp_path)}
    made = workflow("train", "tiny", "multi_gpu_train", "evaluate", **settings, **folders)
    made.run()
    made.finalize()
    assert read(tmp_path / "evaluation.json")["samples"] == len(read(annotated / "datalist.json")["test"])


def test_scores_of_other_weights_stay_out_of_the_bundle(finished: Path, tmp_path: Path) -> None:
    folder, results = tmp_path / "bundle", tmp_path / "evaluation"
    shutil.copytree(finished / "bundle", folder)
    results.mkdir()
    (results / "evaluation.json").write_text(json.dumps({"mean": {"auroc": [0.9, 0.8, 1.0]}}), encoding="utf-8")
    before = (folder / "configs" / "metadata.json").read_bytes()
    torch.save({"weight": torch.zeros(1)}, tmp_path / "other.pt")
    assert record_evaluation(folder, results, weights=tmp_path / "other.pt") is None
    assert record_evaluation(tmp_path / "none", results, weights=finished / "model.pt") is None
    assert (folder / "configs" / "metadata.json").read_bytes() == before
    assert record_evaluation(folder, results, weights=finished / "model.pt") == folder / "docs" / "evaluation.json"


def test_evaluation_without_points_is_refused(
    finished: Path, settings: Settings, workflow: Make, tmp_path: Path
) -> None:
    lacking = {"points": str(tmp_path / "none.json"), "results": str(tmp_path), "output_dir": str(finished)}
    with pytest.raises(RuntimeError) as error:
        workflow("train", "tiny", "evaluate", **settings, **lacking).run()
    assert isinstance(error.value.__cause__, FileNotFoundError) and "none.json" in str(error.value.__cause__)


def test_bundle_of_a_run_answers_with_its_own_classes_and_thresholds(
    bundle: Path, annotated: Path, finished: Path, settings: Settings, tmp_path: Path
) -> None:
    """A DICOM and a PNG, and nothing said but where they are."""
    images = sorted((annotated / "images").iterdir())
    films = [next(path for path in images if path.suffix == suffix) for suffix in (".dcm", ".png")]
    metadata = read(finished / "bundle" / "configs" / "metadata.json")
    points = read(finished / "operating_points.json")
    channels = metadata["network_data_format"]["outputs"]["pred"]["channel_def"]
    assert list(channels.values()) == settings["classes"] and metadata["operating_points"] == points
    asked = ["predict", *map(str, films), "--bundle", str(finished / "bundle"), "--out", str(tmp_path)]
    done = CliRunner().invoke(app, asked, env={"COLUMNS": "400"})
    assert done.exit_code == 0, done.output
    assert "2 images answered" in done.stdout
    for film in films:
        record = read(tmp_path / f"{film.name}.json")
        assert [one["name"] for one in record["classes"]] == settings["classes"]
        for one in record["classes"]:
            wanted = points["thresholds"][one["name"]]
            assert one["threshold"] == (0.5 if wanted is None else pytest.approx(wanted))
    names = {"classification": "predictions", "segmentation": "areas", "detection": "boxes"}
    with (tmp_path / f"{names[bundle.name.removeprefix('ecamp_')]}.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["image"] for row in rows} <= {film.name for film in films}
