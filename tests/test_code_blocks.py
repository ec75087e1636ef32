# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Every code block of the pages agrees with the project: commands, configs, overrides, names, arguments, targets."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import REPOSITORY
from tests.pages.commands import shell_faults
from tests.pages.json_code import json_faults
from tests.pages.markdown import Block, read_blocks
from tests.pages.python_code import python_faults
from tests.pages.runs import Place

PAGES = (
    REPOSITORY / "README.md",
    REPOSITORY / "CONTRIBUTING.md",
    *sorted((REPOSITORY / "docs").glob("*.md")),
    *sorted((REPOSITORY / "bundles").glob("*/docs/README.md")),
)
# What a command says that is named and not given: "`radbundles predict` writes ...".
LACKING = re.compile(r"[Mm]issing|are required|name (?:the configs|bundles)|no command ''")
BLOCKS = [block for page in PAGES for block in read_blocks(page)]


def faults(language: str, text: str, place: Place) -> Iterator[tuple[int, str]]:
    """Yield line within a block, from 1, and message of each fault."""
    if language in ("bash", "console"):
        yield from shell_faults(re.sub(r"^[$] ", "", text, flags=re.MULTILINE), place)
    elif language == "python":
        yield from python_faults(text)
    elif language == "json":
        yield from json_faults(text)
    elif language == "bibtex":
        yield from bibtex_faults(text)
    elif language == "{toctree}":
        for number, line in enumerate(text.splitlines(), 1):
            if line and not line.startswith(":") and not (REPOSITORY / "docs" / f"{line}.md").is_file():
                yield number, f"there is no page {line}"
    elif language not in ("", "text"):
        yield 0, f"nobody has said how blocks of {language!r} are checked"


def bibtex_faults(text: str) -> Iterator[tuple[int, str]]:
    if not re.match(r"@\w+\{[\w:-]+,\n", text) or text.count("{") != text.count("}"):
        yield 1, "this is no entry of BibTeX"
    fields = re.findall(r"^ *(\w+) *=", text, re.MULTILINE)
    if lacking := {"author", "title", "year"} - set(fields):
        yield 1, f"the entry lacks {', '.join(sorted(lacking))}"


def name(block: Block) -> str:
    return f"{block.page.relative_to(REPOSITORY)}-{block.number}-{block.language or 'plain'}"


@pytest.mark.parametrize("block", BLOCKS, ids=name)
def test_block_agrees_with_the_project(block: Block, tmp_path: Path) -> None:
    bundle = block.page.parents[1] if block.page.parents[2].name == "bundles" else None
    found = faults(block.language, block.text, Place(REPOSITORY, tmp_path, bundle))
    page = block.page.relative_to(REPOSITORY)
    told = [f"{page}:{block.line + line}: {message}" for line, message in found]
    assert not told, "\n" + "\n".join(told)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_commands_between_the_blocks_are_known(page: Path, tmp_path: Path) -> None:
    """They may leave out what a command needs; what they name must exist."""
    told = []
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        for command in re.findall(r"`((?:radbundles|make|python -m) [^`]+)`", line):
            found = faults("bash", command, Place(REPOSITORY, tmp_path))
            told += [f"{page.name}:{number}: {message}" for _, message in found if not LACKING.search(message)]
    assert not told, "\n" + "\n".join(told)


@pytest.mark.parametrize(
    "config",
    sorted((REPOSITORY / "bundles").glob("*/configs/*.json")),
    ids=lambda path: f"{path.parts[-3]}-{path.stem}",
)
def test_config_opens_with_a_command_that_agrees(config: Path, tmp_path: Path) -> None:
    about = json.loads(config.read_text(encoding="utf-8")).get("about", [])
    commands = [line.partition(": ")[2] for line in about if line.startswith(("Run: ", "Shorter: "))]
    place = Place(REPOSITORY, tmp_path, config.parents[1])
    told = [f"{config.name}: {message}" for line in commands for _, message in faults("bash", line, place)]
    assert not told, "\n" + "\n".join(told)
    assert commands or config.stem in ("metadata", "verify")


RUN = "python -m monai.bundle run --bundle_root bundles/ecamp_classification --config_file "
CONFIGS = "bundles/ecamp_classification/configs"


@pytest.mark.parametrize(
    ("language", "text", "line", "message"),
    [
        ("bash", "radbundles list\nradbundles predikt a.png --out b", 2, "predikt"),
        ("bash", "radbundles tokenizer learn a.json --out b", 1, "learn"),
        ("bash", "radbundles predict a.png --bundel mine --out b", 1, "--bundel"),
        ("bash", "radbundles predict a.png --bundle mine", 1, "--out"),
        ("bash", "radbundles predict a.png --out", 1, "--out"),
        ("bash", "radbundles predict --out b", 1, "IMAGE"),
        ("bash", "radbundles list now", 1, "now"),
        ("bash", "radbundles distill a.json --backend magic", 1, "magic"),
        ("bash", "radbundles predict a.png --batch-size few --out b", 1, "--batch-size"),
        ("bash", "radbundles verify ecamp_pretrain --check V9", 1, "V9"),
        ("bash", "radbundles verify ecamp_pretrian", 1, "ecamp_pretrain"),
        ("bash", "radbundles export ecamp_pretrain --out a.pt", 1, ".pt2"),
        ("bash", "radbundles data check a.json --images all", 1, "pixels"),
        ("bash", "radbundles data build chexprt CheXpert --out a.json", 1, "chexpert"),
        ("bash", "radbundles data build chexpert CheXpert --out a.json --option blnk=absent", 1, "blank"),
        ("bash", "radbundles data build csv a.csv --out a.json --map imgae=file", 1, "imgae"),
        ("bash", "radbundles pack ecamp_pretrain --config tyni --weights a --tokenizer b --out c", 1, "tyni"),
        ("bash", "# all\nfor n in 1 2; do\n  radbundles predict $n.png --nifty --out b\ndone", 3, "--nifty"),
        ("bash", "ls && radbundles windows a \\\n  b.json --owt c", 1, "--owt"),
        ("console", "$ radbundles --verbose", 1, "--verbose"),
        ("bash", "radbundles run ecamp_classification trian", 1, "trian"),
        ("bash", "radbundles run ecamp_clasification train", 1, "ecamp_classification"),
        ("bash", "radbundles run ecamp_classification train --epoch 2", 1, "did you mean 'epochs'"),
        ("bash", "radbundles run ecamp_classification train --encoder#depth", 1, "no value"),
        ("bash", "torchrun --standalone -m radbundles run ecamp_classification train multi_gpu", 1, "multi_gpu"),
        ("bash", f"{RUN}{CONFIGS}/trian.json", 1, "trian.json"),
        ("bash", f"{RUN}\"['{CONFIGS}/train.json','{CONFIGS}/tyni.json']\"", 1, "tyni.json"),
        ("bash", f"{RUN}{CONFIGS}/train.json --epoch 2", 1, "did you mean 'epochs'"),
        ("bash", f"{RUN}{CONFIGS}/train.json --objective_def#los#x 2", 1, "los"),
        ("bash", f"{RUN}bundles/ecamp_detection/configs/train.json", 1, "not of the bundle"),
        ("bash", "python -m monai.bundle run --config_file configs/train.json --bundle_root .", 1, "which bundle"),
        ("bash", "python -m monai.bundle rum --config_file configs/train.json", 1, "rum"),
        ("bash", "ls\nB=$(radbundles list --path ecamp)", 2, "ecamp_pretrain"),
        (
            "bash",
            'B=$(radbundles list --path ecamp_pretrain)\npython -m monai.bundle run --bundle_root "$B" '
            '--config_file "$B/configs/train.json" --dataset_dri data',
            2,
            "dataset_dir",
        ),
        (
            "bash",
            'cp -r "$(radbundles list --path ecamp_pretrain)" mine\n'
            "cat > mine/configs/mine.json <<'END'\n{\"depht\": 2}\nEND\nradbundles run mine train mine --dpth 3",
            5,
            "dpth",
        ),
        ("bash", "cat > a.json <<'END'\n{\n  1\n}\nEND", 3, "no JSON"),
        ("bash", "cat > a.py <<'END'\nfrom torch import nm\nEND", 2, "'nm'"),
        ("bash", "python -m radbundles.components.fantom --out a", 1, "fantom"),
        ("bash", "python -m radbundles.components.phantom --out a --sice 3", 1, "--sice"),
        ("bash", "python -c '\nimport radbundels'", 1, "radbundels"),
        ("bash", "make lint tset", 1, "target tset"),
        ("bash", "make demo DATE=a.json", 1, "variable DATE"),
        ("bash", "python -m pytest tests/loses", 1, "tests/loses"),
        ("bash", "pip install 'radbundles[jpg]'", 1, "jpg"),
        ("python", "import radbundles\nimport radbundles.networcs", 2, "networcs"),
        ("python", "from radbundles.networks import ECAMB", 1, "ECAMB"),
        ("python", "from radbundles.networks import ECAMP\nECAMP(vocab=3)", 2, "'vocab'"),
        ("python", "import radbundles.networks as n\nx = n.ECAMB()", 2, "ECAMB"),
        ("python", "from radbundles.networks import EncoderClassifier as E\nE(num_classes=3)", 2, "'encoder'"),
        ("python", "import radbundles\nmodel = radbundles.load('a', revison='b')", 2, "revison"),
        (
            "python",
            "from radbundles.components.distillation import RuleDistiller as R\nR('chest').distil({})",
            2,
            "distil",
        ),
        (
            "python",
            "from radbundles.components.distillation import RuleDistiller\nd = RuleDistiller()\nd.distill({}, deep=1)",
            3,
            "deep",
        ),
        ("python", "x = 1\nx = = 2", 2, "no Python"),
        ("json", '{"a": 1,\n "b": }', 2, "no JSON"),
        ("json", '{"a": 1, "a": 2}', 1, "twice"),
        ("json", '{"network": {\n"_target_": "radbundles.networks.ECAMB"}}', 2, "ECAMP"),
        ("json", '{"network": {"_target_": "radbundles.networks.ECAMP", "vocab": 3}}', 1, "vocab"),
        ("bibtex", "@article{a2025,\n  title = {A},\n}\n", 1, "author"),
        ("{toctree}", "quickstart\nquickerstart\n", 2, "quickerstart"),
        ("yaml", "a: 1", 0, "yaml"),
    ],
)
def test_planted_fault_is_told(language: str, text: str, line: int, message: str, tmp_path: Path) -> None:
    found = list(faults(language, text, Place(REPOSITORY, tmp_path)))
    assert len(found) == 1, found
    assert found[0][0] == line and message in found[0][1]


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("bash", 'for n in 1 2; do radbundles predict "$n.png" --batch-size $n --out "found/$n"; done > log 2>&1'),
        ("bash", "radbundles run your_bundle train --epoch 2  # not ours: nobody knows its ids"),
        ("bash", "HF_TOKEN=… radbundles publish mine org/name --upload && ls | wc -l"),
        ("bash", f"{RUN}{CONFIGS}/train.json --encoder#depth=6 \\\n  --epochs 2 --tracking mlflow"),
        ("bash", "vllm serve MODEL --port 8000  # or 'another one"),
        (
            "python",
            "import radbundles\nargs = {}\nmodel = radbundles.load(*args, **args)\nmodel.encoder, model.class_names",
        ),
        ("json", '[{"_target_": "my_package.MyEncoder", "channels": 512}]'),
        ("", "anything = goes"),
    ],
)
def test_what_is_right_or_cannot_be_known_passes(language: str, text: str, tmp_path: Path) -> None:
    assert not list(faults(language, text, Place(REPOSITORY, tmp_path)))


def test_block_without_an_end_is_told(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A\n\n```bash\nls\n```\n\n```json\n{}\n", encoding="utf-8")
    with pytest.raises(ValueError, match="page.md:7"):
        read_blocks(page)
