# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest
from tests.components.audit.conftest import MakeBundle, only_refused, refused

from radbundles.components.audit import audit_bundle

HOSTILE = [
    "os.system('touch MARK')",
    "__import__('os').system('touch MARK')",
    "__import__('radbundles').components",
    "__import__('radbundles', 'x').require('>=0')",
    "__import__('radbundles').require(os.system('touch MARK'))",
    "eval('1')",
    "exec('1')",
    "compile('1', '', 'eval')",
    "open('MARK', 'w')",
    "getattr(torch, 'load')('x')",
    "globals()",
    "vars()",
    "breakpoint()",
    "type('x', (), {})",
    "torch.load('x')",
    "torch.hub.load('a', 'b')",
    "torch.serialization.os.system('touch MARK')",
    "torch.ops.load_library('x')",
    "np.load('x', allow_pickle=True)",
    "monai.bundle.run()",
    "@network_def.__class__",
    "@network_def.forward.__globals__['os']",
    "(1).__class__.__base__.__subclasses__()",
    "(lambda f: f('touch MARK'))(torch.serialization.os.system)",
    "(lambda: os.system('touch MARK'))()",
    "lambda x: os.system('touch MARK')",
    "lambda x=os.system('touch MARK'): x",
    "lambda os: os.path.join('a')",
    "[f('touch MARK') for f in [torch.serialization.os.system]]",
    "[0 for torch.load in [1]]",
    "[0 for @network_def.forward in [1]]",
    "[0 for x[0] in [1]]",
    "[os for os in [1]]",
    "(x for x in os.popen('touch MARK'))",
    "{k: os.system('touch MARK') for k in [1]}",
    "(x := os.system('touch MARK'))",
    "f'{os.system(1)}'",
    "'{0.__class__}'.format(1)",
    "'%s' % 'x'",
    "'x' * 10",
    "@run.format(1)",
    "@run(1)",
    "@run[0](1)",
    "@run.pop()",
    "os",
    "torch",
    "[torch][0]",
    "os.system",
    "os.environ",
    "os.environ['HOME']",
    "os.environ.get('SECRET')",
    "os.environ[@run]",
    "os.environ.copy()",
    "unknown_name",
    "__builtins__",
    "__local_refs['imports::0']",
    "__local_refs",
    "@imports#0",
    "@imports",
    "1 @ 2",
    "2 ** 64",
    "1 << 64",
    "b'x'",
    "yield 1",
    "await x",
    "x = 1",
    "1; 2",
    "pass",
    "",
    "(",
    "not an expression",
    "(" * 300 + ")" * 300,
    "a" + ".a" * 1900,
    "-" * 3000 + "1",
    "1 + " * 2000 + "1",
    "@a" * 500_000,
    "-" * 500_000 + "__import__",
    "'@f{__import__(1)}'",
    "'@output_dir'",
    '"@output_dir"',
    "'@or'",
    "\uff45val('1')",
    "os.path.join(@output_dir, '..', 'x')",
    "os.path.join(@output_dir, '/etc/passwd')",
    "os.path.join(@output_dir, '.bashrc')",
    "os.path.join(@output_dir, 'x.py')",
    "os.path.join(@dot + @dot, 'x')",
    "os.path.join('~', 'x')",
    "os.makedirs('/etc/x')",
    "os.makedirs(@output_dir + '/../../x')",
    "@dot + '.' + '/x'",
    "@empty + '/etc/x'",
    "'' + '/etc/x'",
    "glob.glob('/etc/*')",
    "torch.distributed.init_process_group(init_method='tcp://example.org:1')",
]
HARMLESS = [
    "__import__('radbundles').require('>=0.1,<0.2')",
    "@network_def.to(@device)",
    "torch.device('cuda' if torch.cuda.is_available() else 'cpu')",
    "torch.device('cuda', int(os.environ['LOCAL_RANK']))",
    "os.path.join(@bundle_root, 'models', 'model.pt')",
    "@bundle_root + '/models/model.pt'",
    "[p for p in @network_def.parameters() if p.requires_grad]",
    "lambda new, best: new < best",
    "max(1, @n * len(@run) // 2)",
    "@run[0] if @n > 0 else None",
    "{'a': [1, 2.5, True]}",
    "@run + ['x']",
    "sorted(glob.glob(os.path.join(@output_dir, '*.png')))",
    "@_meta_#version",
    "list(@table.values())",
    "torch.bfloat16",
    "None",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_expression_is_refused_and_not_run(make_bundle: MakeBundle, mark: Path, text: str) -> None:
    expression = "$" + text.replace("MARK", str(mark))
    values = {"f": 1, "or": 1, "dot": ".", "empty": "", "evil": expression, "imports": ["$import os", "$import glob"]}
    found = refused(audit_bundle(make_bundle(inference=values)))
    assert found and all(finding.key == "evil" for finding in found)


@pytest.mark.parametrize("text", HARMLESS)
def test_what_configs_need_passes(make_bundle: MakeBundle, text: str) -> None:
    values = {"n": 2, "table": {}, "device": "cpu", "x": f"${text}", "imports": ["$import os", "$import glob"]}
    report = audit_bundle(make_bundle(inference=values))
    assert report.passed, [str(finding) for finding in report.findings]


@pytest.mark.parametrize(
    "text",
    [
        "import subprocess",
        "import os, subprocess",
        "import os; os.system('touch MARK')",
        "import scripts.net",
        "import antigravity as torch",
        "from os import system",
        "from . import x",
        "from torch import *",
        "from radbundles.components.hub.pack import os",
        "import math as len",
        "import math as _x",
        "import importlib",
        "import torch.hub",
    ],
)
def test_imports_beyond_the_list_are_refused(make_bundle: MakeBundle, mark: Path, text: str) -> None:
    values = {"imports": ["$import os", "$" + text.replace("MARK", str(mark))]}
    assert (
        all(finding.key == "imports#1" for finding in refused(audit_bundle(make_bundle(inference=values))))
        and not audit_bundle(make_bundle(inference=values)).passed
    )


def test_imports_elsewhere_hand_modules_on(make_bundle: MakeBundle) -> None:
    assert "outside of `imports`" in only_refused(make_bundle(inference={"x": "$import os"})).message


@pytest.mark.parametrize(
    "text",
    ["import torch.distributed as dist", "from radbundles.transforms import ECAMP_ENTITIES", "import numpy as np"],
)
def test_usual_imports_pass(make_bundle: MakeBundle, text: str) -> None:
    assert audit_bundle(make_bundle(inference={"imports": ["$import os", f"${text}"]})).passed


def test_aliases_are_followed(make_bundle: MakeBundle) -> None:
    values = {"imports": ["$import os as harmless"], "run": [], "x": "$harmless.system('x')"}
    assert "os.system" in only_refused(make_bundle(inference=values)).message


def test_allowed_names_are_exact(make_bundle: MakeBundle) -> None:
    folder = make_bundle(inference={"x": "$np.arange(4)", "y": "$np.array([1])"})
    assert "numpy.array" in only_refused(folder, allow=["numpy.arange"]).message
    assert audit_bundle(folder, allow=["numpy.arange", "numpy.array"]).passed
    assert not audit_bundle(folder, allow=["numpy", "numpy.", "numpy.*"]).passed
