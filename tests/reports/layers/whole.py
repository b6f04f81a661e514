"""What must hold of any bytes that are read as a profile, for the property tests and the fuzzer."""

from __future__ import annotations

import math

from common.errors import UserError
from reports.layers.found import Found
from reports.layers.join import join
from reports.layers.layer import GROUPS
from reports.layers.rank import rank
from reports.layers.recognise import parse
from tests.reports.layers import files

LOG = "Name: a, LayerType: gemm, Inputs: [ { Name: x, Dimensions: [2,8], Format/Datatype: Half }], Outputs: [], StreamId: 0, Metadata: "
SEEDS = [
    files.profile(),
    files.profile([('say "hi"', 1.0), ("b", 0.0)], median=False),
    files.info(files.layer("a", "CaskConvolution", ParameterType="Convolution", Kernel=[3, 3], Weights={"Type": "Half", "Count": 9})),
    files.info("a", "PWN(b + c)", "{ForeignNode[d...e]}"),
    *(files.times(generation) for generation in files.TIMES),
    files.log("7200", files.SUMMARY_7, files.TABLE_FIRST),
    files.log("101601", files.SUMMARY_10, "Layers:", LOG, files.TABLE_LAST, files.STREAMS),
    '{"a": [[0.5, "then"], [0.25, "later"]], "b": [1]}',
    "Timing: 1.5us -> a\nb: 0.25ms\n",
    '[{"cat":"Session","ts":0,"dur":9,"name":"model_run"},{"cat":"Node","ts":1,"dur":2,"name":"a_kernel_time","args":{"op_name":"Add"}}]',
    '{"performance_summary": {"GPU Compute Time": [1, 2, 1.5, 1.25]}}',
]


def whole(data: bytes) -> None:
    """Recognise, parse, join and rank: a refusal is one sentence, and nothing else is raised."""
    try:
        found = parse(data)
    except UserError as error:
        refused = str(error)
    else:
        check(found)
        return
    assert refused
    assert "\n" not in refused


def check(found: Found) -> None:
    """No layer is lost, shares are of the whole, every number is one."""
    joined = join(found.times, found.described)
    layers = rank(joined.rows)
    assert len(layers) == len(found.times) + joined.untimed if found.times else len(layers) == len(found.described)
    assert {layer.group for layer in layers} <= set(GROUPS)
    assert all(-1e-9 <= layer.share <= 1 + 1e-9 for layer in layers)
    total = sum(layer.share for layer in layers)
    assert abs(total - 1) < 1e-6 or not any((layer.mean_us or 0) > 0 for layer in layers)
    assert all(layer.mean_us is None or (math.isfinite(layer.mean_us) and layer.mean_us >= 0) for layer in layers)
