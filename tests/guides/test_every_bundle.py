# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Every bundle goes to the Hub and comes back, byte for byte, and answers where nothing but the wheel is installed."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.guides.conftest import SMALL
from tests.hub_client import send_client_to
from tests.hub_server import LocalHub

from radbundles.components.phantom import write_phantoms
from radbundles.components.publish import publish_bundle

# Runs in the other environment: downloads every bundle in three ways, and asks it.
SCRIPT = """
import json, sys, warnings
from pathlib import Path

warnings.simplefilter("ignore")
import monai.bundle
import radbundles
from radbundles.components.hub import download_bundle

asked = json.loads(sys.argv[1])
for name, words in asked.items():
    repo = f"zoo/{name}"
    monai.bundle.download(name=name, source="huggingface_hub", repo=repo, version="0.1.0", bundle_dir="monai")
    folder = download_bundle(repo, revision="0.1.0", out=Path("ours") / name)
    configs = folder / "configs"
    run = {"dataset_dir": "films", "output_dir": f"found/{name}", "num_workers": 0, **words}
    monai.bundle.run(config_file=str(configs / "inference.json"), bundle_root=str(folder), **run)
    loaded = radbundles.load(repo, revision="0.1.0")
    image = loaded.prepare("films/one.dcm")
    print("features", name, tuple(loaded.encoder(image[None]).shape) if name != "ecamp_pretrain" else "")
print(Path(radbundles.__file__).resolve())
"""


@pytest.fixture(scope="module")
def returned(
    zoo: dict[str, Path], bin_folder: Path, wheels: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, LocalHub, str]]:
    """Folder in which the other environment has downloaded and asked every bundle, the Hub, and what was said."""
    folder, home = tmp_path_factory.mktemp("elsewhere"), tmp_path_factory.mktemp("elsewhere_home")
    films = write_phantoms(folder / "made", count=2, seed=4, size=96).parent / "images"
    (folder / "films").mkdir()
    for film, name in zip(sorted(films.iterdir(), reverse=True), ("one.dcm", "two.png"), strict=True):
        assert film.suffix == Path(name).suffix
        film.rename(folder / "films" / name)
    with LocalHub() as hub:
        with pytest.MonkeyPatch.context() as patch, send_client_to(hub, home / "maker", patch):
            for name, bundle in zoo.items():
                published = publish_bundle(bundle, f"zoo/{name}", dry_run=False, checks=())
                assert published.version == "0.1.0"
        environment = {
            **{key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")},
            **hub.environment(home / "hf", token=None),
            "OMP_NUM_THREADS": "1",
            "PYTHONWARNINGS": "ignore",
        }
        pip = [
            str(bin_folder / "python"),
            "-m",
            "pip",
            "install",
            "-q",
            "--no-index",
            "--find-links",
            str(wheels),
            "radbundles",
        ]
        subprocess.run(pip, check=True, capture_output=True)
        words = {name: {"phrases": ["effusion"]} if name.startswith("dcxfm") else {} for name in SMALL}
        words["dcxfm_dense"]["classes"] = words["dcxfm_pretrain"]["classes"] = ["Cardiomegaly"]
        command = [str(bin_folder / "python"), "-c", SCRIPT, json.dumps(words)]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
        yield folder, hub, done.stdout


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and ".cache" not in path.parts and path.name != ".gitattributes"
    }


@pytest.mark.parametrize("name", SMALL)
def test_a_bundle_comes_back_byte_for_byte(
    name: str, zoo: dict[str, Path], returned: tuple[Path, LocalHub, str]
) -> None:
    """By our download and by MONAI's own; weights and configs are those of the maker."""
    folder, hub, _ = returned
    there = {path: hashlib.sha256(content).hexdigest() for path, content in hub.files(f"zoo/{name}").items()}
    there.pop(".gitattributes", None)
    assert digests(folder / "ours" / name) == digests(folder / "monai" / name) == there
    maker = digests(zoo[name])
    for path in ("models/model.pt", "configs/train.json", "configs/inference.json", "configs/metadata.json", "LICENSE"):
        assert there[path] == maker[path], path
    assert "models/model.safetensors" in there and "manifest.json" in there


@pytest.mark.parametrize("name", SMALL)
def test_a_bundle_answers_where_only_the_wheel_is(name: str, returned: tuple[Path, LocalHub, str]) -> None:
    folder, _, said = returned
    assert str(folder) not in said.splitlines()[-1] and "site-packages" in said.splitlines()[-1]
    found = {path.name.split(".")[0] for path in (folder / "found" / name).iterdir()}
    assert {"one", "two"} <= found
    assert f"features {name}" in said
