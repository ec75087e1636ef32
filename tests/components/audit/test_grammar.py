# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Forms of expressions by which texts, calls or hours could come about that nobody has judged."""

from __future__ import annotations

from typing import Any

import pytest
from tests.components.audit.conftest import MakeBundle, refused

from radbundles.components.audit import audit_bundle

IMPORTS = ["$import os", "$import glob"]


@pytest.mark.parametrize(
    "expression",
    [
        "$lambda x: os.path.join(x[1], 'etc')",
        "$lambda x: x + x",
        "$lambda x: x % 47",
        "$lambda x: x * 2",
        "$lambda x: x / 'etc'",
        "$lambda x: x[1:]",
        "$lambda x: max(x)",
        "$lambda x: x('os.system')",
        "$lambda x, *, y: x",
        "$lambda x, /: x",
        "$str",
        "$list",
        "$isinstance(str, list)",
        "$sorted(glob.glob('a'), key=@output_dir)",
        "$@d[@output_dir]",
        "$@d['a':]",
        "${**@d}",
        "${@output_dir: 1}",
        "${1}",
        "$[*@d]",
        "${k: 1 for k in [1]}",
        "$(p for p in @network_def.parameters())",
        "$[p for p in @d]",
        "$[p for p in @network_def.parameters() for q in p]",
        "$os.path.join([n for n, p in @network_def.named_parameters()][0], 'x')",
        "$os.path.join(list(@d.values())[0], 'x')",
        "$os.path.join(@absent, 'x')",
        "$os.path.exists(@network_def.encoder)",
        "$min('.', 'b') + '.' + '/x'",
        "$sum([@d], [])",
        "$@n * 2",
        "$@two_faced + @two_faced",
        "$@list#0 * 2",
        "$@absent * 2",
        "$9**9**9",
        "$'a' * 10**9",
        "$list(range(1000000000000))",
        "$[0] * 1000000000",
        "$[p for p in range(1000000000000)]",
        "$1" + "0" * 3000,
        "$load_weights",
    ],
)
def test_other_forms_are_refused(make_bundle: MakeBundle, expression: str) -> None:
    beside = {"d": {"a": "x"}, "n": "@m", "m": ".", "two_faced": 1, "list": [1], "made": expression}
    folder = make_bundle(inference={"imports": IMPORTS, **beside}, train={"two_faced": "."})
    assert {finding.key for finding in refused(audit_bundle(folder))} == {"made"}


@pytest.mark.parametrize(
    ("expression", "beside"),
    [
        ("$max(1, @n * len(@network_def) // 2)", {"n": "@m", "m": 3}),
        ("$min(1, 0.25 * @n)", {"n": "$int(os.environ['WORLD_SIZE'])"}),
        ("$[@n] + @l + @l", {"n": 1, "l": ["a"]}),
        ("$isinstance(@l, list)", {"l": ["a"]}),
        ("$range(@n, len(@l), 2)", {"n": 1, "l": []}),
        ("$os.path.join(@n, 'x') if @l else None", {"n": "$os.path.join(@output_dir, 'y')", "l": 1}),
        ("$os.path.join(@n, 'x')", {"n": None}),
        ("$lambda years: torch.tensor([years / 100])", {}),
        ("$-1 * 2.0", {}),
    ],
)
def test_what_configs_compute_passes(make_bundle: MakeBundle, expression: str, beside: dict[str, Any]) -> None:
    report = audit_bundle(make_bundle(inference={"imports": IMPORTS, **beside, "made": expression}))
    assert report.passed, [str(finding) for finding in report.refused]


@pytest.mark.parametrize("form", ["$os.path.join({})", "$[1] * len(@k0) + {}"])
def test_ids_that_lead_to_ids_do_not_multiply(make_bundle: MakeBundle, form: str) -> None:
    values = {
        f"k{place}": form.format((", " if "join" in form else " + ").join([f"@k{place + 1}"] * 100))
        for place in range(30)
    }
    assert refused(audit_bundle(make_bundle(inference={"imports": IMPORTS, **values, "k30": "@k0"})))


def test_classes_and_functions_are_not_imported(make_bundle: MakeBundle) -> None:
    for name in ("radbundles.components.hub import load_weights", "radbundles.networks import ECAMP"):
        folder = make_bundle(inference={"imports": [*IMPORTS, f"$from {name}"]})
        assert {finding.key for finding in refused(audit_bundle(folder))} == {"imports#2"}


@pytest.mark.parametrize(
    "macro",
    [
        "%x\nmodels/t.json#run",
        "%configs/train.json\n#x",
        "%configs/train.json.json#x",
        "%configs/train.JSON#x",
        "%train::x.json#y",
        "%configs/train.json\u2028",
    ],
)
def test_macros_are_parted_in_one_way(make_bundle: MakeBundle, macro: str) -> None:
    folder = make_bundle(inference={"x": macro}, train={"x": 1})
    assert {finding.key for finding in refused(audit_bundle(folder))} == {"x"}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("configs/TRAIN.JSON", '{"x": {"_target_": "os.system"}}'),
        ("configs/inference.yaml", "x: {_target_: os.system}\n"),
        ("configs/bom.json", '\ufeff{"x": 1}'),
        ("configs/sixteen.json", '{"x": {"_target_": "os.system"}}'.encode("utf-16")),
        ("configs/pairs.yaml", "x: !!pairs [a: /etc]\n"),
        ("configs/binary.yaml", "x: !!binary aGk=\n"),
        ("configs/merge.yaml", "a: &a {_target_: os.system}\nb: {<<: *a}\n"),
        ("configs/two.yaml", "a: 1\n---\na: {_target_: os.system}\n"),
        ("models/config.json", "[" * 10_000),
        ("monai/__init__.py", ""),
        ("torch.py", ""),
        ("sitecustomize.PY", ""),
        ("configs/__init__.py", ""),
        ("os.pyc", ""),
        ("radbundles.so", ""),
        ("monai.zip", "PK"),
        ("hook.pth", "import os"),
    ],
)
def test_files_that_would_be_code_or_other_configs(make_bundle: MakeBundle, name: str, content: str | bytes) -> None:
    path = make_bundle() / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert name in {finding.file for finding in refused(audit_bundle(path.parents[name.count("/")]))}


@pytest.mark.parametrize(
    "target",
    [
        *("LMDBDataset", "GDSDataset", "CSVDataset", "DecathlonDataset", "monai.apps.DecathlonDataset"),
        *("MLFlowHandler", "ClearMLHandler", "ClearMLStatsHandler", "PerceptualLoss", "Transchex"),
        *("monai.utils.optional_import", "monai.networks.nets.FlexUNetEncoderRegister", "monai.bundle.load"),
        *("monai.apps.download_and_extract", "torch.hub.load_state_dict_from_url", "ResNetFeatures"),
    ],
)
def test_what_fetches_unpickles_or_imports_is_not_known(make_bundle: MakeBundle, target: str) -> None:
    found = refused(audit_bundle(make_bundle(inference={"x": {"_target_": target}})))
    assert {finding.key for finding in found} == {"x#_target_"}
