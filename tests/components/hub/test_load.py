# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Bundles by name, folder or Hub id as networks with their weights."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import huggingface_hub
import pytest
import torch
from safetensors.torch import save_file
from tests.hub_server import LocalHub

import radbundles
from radbundles.components.hub import AuditError, ManifestError, write_manifest
from radbundles.components.hub.sound import is_shipped
from radbundles.components.zero_shot import ZeroShotInferer

REPO = "someone/lungs_classification"


@pytest.fixture
def folder(small_bundle: Callable[[str], Path], tmp_path: Path) -> Path:
    """A small classifier that a test may change."""
    return Path(shutil.copytree(small_bundle("ecamp_classification"), tmp_path / "lungs_classification"))


def change(folder: Path, **values: object) -> None:
    path = folder / "configs" / "inference.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | values), encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "shape", "names"),
    [
        ("ecamp_pretrain", (44, 4, 4), 44),
        ("dcxfm_pretrain", None, 2),
        ("dcxfm_dense", None, 2),
        ("ecamp_classification", (14,), 14),
        ("ecamp_segmentation", (2, 64, 64), 2),
        ("ecamp_detection", None, 1),
    ],
)
def test_every_bundle_gives_its_parts_and_answers_about_files(
    name: str, shape: tuple[int, ...] | None, names: int, small_bundle: Callable[[str], Path], film: Path
) -> None:
    folder = small_bundle(name)
    bundle = radbundles.load(folder)
    weights = torch.load(folder / "models" / "model.pt", weights_only=True)
    assert all(torch.equal(value, weights[key]) for key, value in bundle.network.state_dict().items())
    assert not bundle.network.training and not bundle.encoder.training
    assert len(bundle.class_names) == names and bundle.version == bundle.metadata["version"]

    image = torch.as_tensor(bundle.preprocessing({"image": str(film)})["image"])
    with torch.no_grad():
        features = bundle.encoder(image[None])
    side = image.shape[-1] // int(bundle.encoder.stride)  # type: ignore[arg-type]
    assert features.shape == (1, bundle.encoder.out_channels, side, side)

    answer = bundle([film, film, film], batch_size=2)
    one = bundle(film)
    if isinstance(bundle.inferer, ZeroShotInferer):
        assert answer["similarity"].shape == (3, names)
        torch.testing.assert_close(answer["maps"][2:], one["maps"])
        assert bundle.inferer.zero_shot.ground(film, ["effusion"])[0].map.shape == (130, 120)
        return
    answer, one = (found["pred"] if isinstance(found, dict) else found for found in (answer, one))
    assert answer.shape[0] == 3 and not answer.requires_grad
    assert shape is None or answer.shape[1:] == shape
    torch.testing.assert_close(answer[2:], one)


def test_safetensors_come_before_model_pt(folder: Path) -> None:
    state = torch.load(folder / "models" / "model.pt", weights_only=True)
    save_file({key: value + 1 for key, value in state.items()}, folder / "models" / "model.safetensors")
    bias = radbundles.load(folder).network.state_dict()["head.bias"]
    assert torch.equal(bias, state["head.bias"] + 1)


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (lambda state: state.pop("head.bias"), "1 tensors are missing: head.bias"),
        (lambda state: state.update(more=torch.zeros(1)), "1 tensors are not of this network: more"),
        (lambda state: state.update({"head.bias": torch.zeros(3)}), r"head.bias \(3,\) for \(14,\)"),
    ],
)
def test_weights_that_do_not_fit_are_refused(
    folder: Path, fault: Callable[[dict[str, torch.Tensor]], object], told: str
) -> None:
    path = folder / "models" / "model.pt"
    state = torch.load(path, weights_only=True)
    fault(state)
    torch.save(state, path)
    with pytest.raises(ValueError, match=told):
        radbundles.load(folder)


def test_without_weights_it_says_how_to_get_them(folder: Path) -> None:
    weights = (folder / "models" / "model.pt").rename(folder.parent / "mine.pt")
    with pytest.raises(FileNotFoundError, match=r"comes without weights: give weights=FILE .*untrained=True"):
        radbundles.load(folder)
    state = torch.load(weights, weights_only=True)
    given = radbundles.load(folder, weights=weights).network.state_dict()
    drawn = radbundles.load(folder, untrained=True).network.state_dict()
    assert torch.equal(given["head.weight"], state["head.weight"])
    assert not torch.equal(drawn["head.weight"], state["head.weight"])
    with pytest.raises(FileNotFoundError, match="no weights at .*nowhere.pt"):
        radbundles.load(folder, weights=folder / "nowhere.pt")
    with pytest.raises(ValueError, match="untrained=True leaves no use for weights="):
        radbundles.load(folder, weights=weights, untrained=True)


def test_a_bundle_that_is_asked_in_words_wants_its_tokenizer(
    small_bundle: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(small_bundle("dcxfm_pretrain"), tmp_path / "words"))
    tokenizer = (folder / "models" / "tokenizer.json").rename(tmp_path / "tokenizer.json")
    with pytest.raises(FileNotFoundError, match="comes without a tokenizer.*give tokenizer=FILE"):
        radbundles.load(folder)
    assert radbundles.load(folder, tokenizer=tokenizer).class_names == ("Cardiomegaly", "Pleural Effusion")
    with pytest.raises(ValueError, match="is not asked in words: leave out tokenizer="):
        radbundles.load("ecamp_classification", untrained=True, tokenizer=tokenizer)


def test_bundles_of_this_package_load_by_name() -> None:
    bundle = radbundles.load("ecamp_segmentation", untrained=True, device="meta")
    assert bundle.class_names == ("optic disc", "optic cup") and next(bundle.network.parameters()).is_meta


def test_what_is_nothing_is_told_with_what_there_is() -> None:
    with pytest.raises(LookupError, match="no bundle 'ecamp'.* ecamp_pretrain.* nor ORG/NAME on the Hugging Face Hub"):
        radbundles.load("ecamp")
    with pytest.raises(ValueError, match="'ecamp_pretrain' is no ORG/NAME .* has no revision, got '1.0'"):
        radbundles.load("ecamp_pretrain", revision="1.0")


def test_nothing_of_a_bundle_that_the_audit_refuses_is_run(folder: Path) -> None:
    marker = folder.parent / "marker"
    change(folder, network=f"$open({str(marker)!r}, 'w')")
    with pytest.raises(AuditError, match="inference.json: network") as error:
        radbundles.load(folder)
    assert not marker.exists() and error.value.findings[0].key == "network"


def test_the_user_may_allow_names(folder: Path) -> None:
    change(folder, inferer={"_target_": "monai.inferers.SimpleInferer"}, output_dir="$shutil.os.sep")
    change(folder, imports=["$import os", "$import torch", "$import shutil"])
    with pytest.raises(AuditError, match="shutil"):
        radbundles.load(folder)
    assert radbundles.load(folder, allow=["shutil", "shutil.os.sep"]).version == "0.1.0"


def test_only_the_bundles_of_the_package_are_trusted(
    repository: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert is_shipped(repository / "bundles" / "ecamp_pretrain") and not is_shipped(folder)
    (folder.parent / "wheel").mkdir()
    folder = folder.rename(folder.parent / "wheel" / "mine")
    change(folder, network="$open('marker', 'w')")
    monkeypatch.chdir(folder.parents[1])
    monkeypatch.setenv("RADBUNDLES_PATH", "wheel")
    with pytest.raises(AuditError):
        radbundles.load("mine")


def test_a_changed_file_is_refused_where_there_is_a_manifest(folder: Path) -> None:
    write_manifest(folder)
    radbundles.load(folder)
    with (folder / "models" / "model.pt").open("ab") as file:
        file.write(b"x")
    with pytest.raises(ManifestError, match=r"is not as it was published: models/model.pt has \d+ bytes, not"):
        radbundles.load(folder)


def test_a_bundle_for_another_version_of_the_package_says_so(folder: Path) -> None:
    change(folder, initialize=[{"_target_": "radbundles.require", "spec": ">=9"}])
    with pytest.raises(ImportError, match="needs radbundles >=9, but .* pip install"):
        radbundles.load(folder)


def test_files_that_are_no_images_are_named(folder: Path) -> None:
    bundle = radbundles.load(folder)
    (folder.parent / "notes.png").write_text("no image", encoding="utf-8")
    with pytest.raises(ValueError, match="notes.png"):
        bundle(folder.parent / "notes.png")
    with pytest.raises(ValueError, match="nowhere.dcm"):
        bundle([folder.parent / "nowhere.dcm"])
    with pytest.raises(ValueError, match="at least one image"):
        bundle([])


def test_a_tag_of_the_hub_loads_and_loads_again_without_a_connection(
    folder: Path, local_hub: LocalHub, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_manifest(folder)
    commit = local_hub.put(REPO, folder, tag="0.1.0")
    bundle = radbundles.load(REPO, revision="0.1.0")
    assert bundle.commit == commit and (bundle.folder / "models" / "model.pt").is_symlink()
    torch.testing.assert_close(bundle(film), radbundles.load(folder)(film))
    with pytest.warns(UserWarning, match=f"commit {commit} is taken, the newest"):
        assert radbundles.load(REPO).commit == commit
    with pytest.raises(FileNotFoundError, match=f"{REPO} has no revision '9.9'"):
        radbundles.load(REPO, revision="9.9")

    asked = len(local_hub.requests)
    with monkeypatch.context() as patch:
        patch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        assert radbundles.load(REPO, revision=commit).commit == commit
        with pytest.raises(ConnectionError, match="someone/other at 1.0 is not in the cache"):
            radbundles.load("someone/other", revision="1.0")
    assert len(local_hub.requests) == asked
    local_hub.stop()
    getattr(huggingface_hub, "close_session", lambda: None)()  # a connection that is open goes on
    assert radbundles.load(REPO, revision="0.1.0").commit == commit
    with pytest.raises(OSError, match="someone/other at 1.0 is not in the cache"):
        radbundles.load("someone/other", revision="1.0")


def test_another_blob_than_the_published_one_is_refused_each_time(folder: Path, local_hub: LocalHub) -> None:
    write_manifest(folder)
    local_hub.put(REPO, folder, tag="0.1.0")
    content = bytearray((folder / "models" / "model.pt").read_bytes())
    content[-40] ^= 1
    local_hub.serve_instead(REPO, "models/model.pt", bytes(content))
    for _ in range(2):
        with pytest.raises(ManifestError, match="models/model.pt has the sha256"):
            radbundles.load(REPO, revision="0.1.0")


def test_a_hostile_bundle_of_the_hub_is_refused(folder: Path, local_hub: LocalHub) -> None:
    marker = folder.parent / "marker"
    change(folder, inferer=f"$open({str(marker)!r}, 'w')")
    local_hub.put(REPO, folder, tag="0.1.0")
    with pytest.raises(AuditError):
        radbundles.load(REPO, revision="0.1.0")
    assert not marker.exists()


def test_the_modules_import_neither_torch_nor_monai_nor_the_client_of_the_hub() -> None:
    code = "import sys, radbundles.components.hub; print({'torch', 'monai', 'huggingface_hub'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
