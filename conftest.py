"""pytest options and parametrisation, nothing else."""

from __future__ import annotations

import pytest

from bench.matrix import AXES, choose, plan
from bench.own_models import add_options, with_own
from bench.stash import CHOICE
from common.errors import UserError

pytest_plugins = ["bench.plugin"]

HELP = {
    "variants": "models and sizes, such as vit_digits,bert:base; opset17, sequence384 or static may follow: vit:base:opset17",
    "sources": "where the network comes from: onnx (default), api (TensorRT's network API; variants/api), or both",
    "passes": "graph passes; + joins them to a pipeline: none,fold,fold+fuse_layernorm",
    "precisions": "such as fp32,fp16,int8_entropy~group:attention,int8_entropy+fp16 (docs/precisions.md)",
    "batches": "such as 1,8,32",
    "backends": "such as onnxruntime,tensorrt_rtx",
}
ALSO = {"sources": ("--source",)}
KEEP = "nodes that every lowered precision leaves as they are: names, globs, op:TYPE, group:NAME (docs/precisions.md)"
CHECKPOINT = "weights for a variant: a .safetensors or .pt file, or a folder that holds one (may be given several times)"


def pytest_addoption(parser: pytest.Parser) -> None:
    """One option an axis, each a comma list in place of the preset's own."""
    group = parser.getgroup("trtbench", "the matrix (trtbench plan lists the cases)")
    group.addoption("--preset", default="quick", help="which matrix of bench/presets.toml: quick (default), families or full")
    for axis in AXES:
        group.addoption(f"--{axis}", *ALSO.get(axis, ()), metavar="LIST", help=HELP[axis])
    group.addoption("--keep", metavar="LIST", help=KEEP)
    add_options(group.addoption)
    group.addoption("--checkpoint", action="append", default=[], metavar="NAME=PATH", help=CHECKPOINT)
    group.addoption("--threads", type=int, metavar="N", help="CPU threads of one inference (default: the preset's, 1)")
    group.addoption("--results", default="results", metavar="DIR", help="where runs are recorded (default: results)")
    group.addoption("--cache", default=".trtbench/cache", metavar="DIR", help="where artefacts are kept (default: .trtbench/cache)")


def pytest_configure(config: pytest.Config) -> None:
    """Refuse what is misspelt before anything is collected."""
    try:
        given = {axis: config.getoption(f"--{axis}") for axis in AXES}
        given["variants"] = with_own(given["variants"], config.getoption)
        more = (config.getoption(option) for option in ("--threads", "--checkpoint", "--keep"))
        config.stash[CHOICE] = choose(config.getoption("--preset"), given, *more)
    except UserError as error:
        raise pytest.UsageError(str(error)) from None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test a case."""
    if "case" in metafunc.fixturenames and "bench_session" in metafunc.fixturenames:
        cases = [planned.case for planned in plan(metafunc.config.stash[CHOICE]) if not planned.left_out]
        metafunc.parametrize("case", cases, ids=[case.id for case in cases])
