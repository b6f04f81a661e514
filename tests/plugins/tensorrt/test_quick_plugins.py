"""Registration under NVIDIA's real bindings, and the launches that TensorRT would make."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from plugins.discovery import families, kernels
from plugins.gpu import TARGETS
from plugins.kernel import Unsupported
from plugins.tensorrt.bindings import Bindings, NoPlugins, load
from plugins.tensorrt.dry_run import Launch, evaluate
from plugins.tensorrt.op import BadNode, Op, ops
from plugins.tensorrt.recipe import SHARED_LIMIT, Range, cook
from plugins.tensorrt.register import register_all
from tests.plugins.tensorrt import standin

H200 = TARGETS["sm_90"]
OPS = {op.name: op for family in families().values() for op in ops(family)}
SHAPES: dict[str, list[tuple[int, ...]]] = {
    "attention": [(2, 3, 197, 64)] * 3,
    "attention_masked": [(2, 3, 197, 64)] * 3 + [(2, 197)],
    "gelu": [(8, 197, 3072)],
    "layernorm": [(8, 197, 768)],
    "layernorm_affine": [(8, 197, 768), (768,), (768,)],
    "skip_layernorm": [(8, 197, 768)] * 2 + [(768,)] * 3,
    "skip_layernorm_keep": [(8, 197, 768)] * 2 + [(768,)] * 3,
    "softmax": [(8, 12, 197, 197)],
    "softmax_masked": [(8, 12, 197, 197), (8, 197)],
    "swish": [(8, 250, 1024)],
}


@pytest.fixture(scope="module")
def trt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bindings]:
    reason = standin.unavailable()
    if reason:
        pytest.skip(reason)
    with standin.bindings(tmp_path_factory.mktemp("libraries")) as bindings:
        register_all(bindings, H200, lazy=True)
        yield bindings


def attributes(op: Op, version: str) -> dict[str, str | float | bool]:
    chosen: dict[str, str | float | bool] = {"version": version}
    for name in op.attributes:
        if name in op.family.options:
            chosen[name] = op.family.options[name][-1]
    return chosen | dict(op.family.constants)


def launch(trt: Bindings, name: str, version: str, dtype: str = "float16") -> Launch:
    return evaluate(trt, f"trtbench::{name}", SHAPES[name], dtype, attributes(OPS[name], version))


VERSIONS = [(op.name, kernel) for op in OPS.values() for kernel in kernels(op.family)]
CASES = [(name, kernel.name) for name, kernel in VERSIONS if "steps =" not in kernel.launch]
# All of them on a GPU. Here, where each is a second of compiling: all versions of the op with the most inputs, the first of the others.
BROADEST = {
    name: max((o.name for o in OPS.values() if o.family is op.family), key=lambda n: len(OPS[n].inputs + OPS[n].outputs))
    for name, op in OPS.items()
}
COMPILED = [(name, v) for name, v in CASES if BROADEST[name] == name or v == next(w for n, w in CASES if n == name)]
SEVERAL = [(name, kernel.name) for name, kernel in VERSIONS if "steps =" in kernel.launch]


@pytest.mark.parametrize(("name", "version"), SEVERAL)
def test_a_version_of_several_launches_says_that_a_plugin_is_one(trt: Bindings, name: str, version: str) -> None:
    with pytest.raises(Unsupported, match="several launches and a plugin is one"):
        launch(trt, name, version)


@pytest.mark.parametrize(("name", "version"), COMPILED)
def test_every_version_gives_tensorrt_one_launch_with_its_dimensions_and_output_shapes(trt: Bindings, name: str, version: str) -> None:
    got = launch(trt, name, version)
    family = OPS[name].family
    assert got.entry == f"{family.name}_{version}"
    assert f".entry {got.entry}(".encode() in got.code
    assert len(got.extra) == len(family.dims)
    assert all(shape == SHAPES[name][0] for shape in got.output_shapes)
    assert got.shared <= SHARED_LIMIT
    assert got.block[0] <= 1024


def test_every_kernel_takes_inputs_then_dimensions_then_outputs(trt: Bindings) -> None:
    for name, version in COMPILED:
        got = launch(trt, name, version)
        op = OPS[name]
        signature = got.code.decode().split(f".entry {got.entry}(")[1].split(")")[0]
        kinds = ["pointer" if ".u64" in line or ".b64" in line else "int" for line in signature.splitlines() if ".param" in line]
        assert kinds == ["pointer"] * len(op.inputs) + ["int"] * len(op.family.dims) + ["pointer"] * len(op.outputs), name


def test_leading_axes_fold_into_the_dimension_before_the_last(trt: Bindings) -> None:
    assert launch(trt, "layernorm_affine", "v1_tree").extra == (8 * 197, 768)
    assert launch(trt, "softmax_masked", "v1_basic").extra == (8, 12 * 197, 197)
    assert launch(trt, "swish", "v1_basic").extra == (8 * 250 * 1024,)


def test_the_grid_follows_the_rows(trt: Bindings) -> None:
    few = evaluate(trt, "trtbench::layernorm", [(5, 768)], "float32", attributes(OPS["layernorm"], "v1_tree"))
    assert few.grid == (5, 1, 1)
    none = evaluate(trt, "trtbench::layernorm", [(0, 768)], "float32", attributes(OPS["layernorm"], "v1_tree"))
    assert none.grid == (1, 1, 1), "an empty grid is refused by the driver"


def test_constants_are_compiled_in(trt: Bindings) -> None:
    coarse = attributes(OPS["layernorm"], "v1_tree") | {"eps": 0.5}
    fine = attributes(OPS["layernorm"], "v1_tree") | {"eps": 1e-6}
    codes = [evaluate(trt, "trtbench::layernorm", SHAPES["layernorm"], "float16", a).code for a in (coarse, fine)]
    assert codes[0] != codes[1]


def test_every_dtype_compiles_its_own_code(trt: Bindings) -> None:
    codes = {launch(trt, "layernorm", "v4_welford", dtype).code for dtype in ("float32", "float16", "bfloat16")}
    assert len(codes) == 3


def test_integers_are_refused_with_a_sentence(trt: Bindings) -> None:
    with pytest.raises(NoPlugins, match="cast the input"):
        launch(trt, "layernorm", "v1_tree", "int32")


def test_an_op_is_registered_once(trt: Bindings) -> None:
    assert [op.name for op in register_all(trt, H200, lazy=True)] == sorted(OPS)


def test_tensorrt_rtx_is_refused_before_it_is_imported() -> None:
    with pytest.raises(NoPlugins, match="takes no plugins"):
        load("tensorrt_rtx")


def ranges(**dims: tuple[int, int, int] | int) -> dict[str, Range]:
    return {n: Range(*(d if isinstance(d, tuple) else (d, d, d))) for n, d in dims.items()}


def test_a_dimension_that_is_compiled_in_must_not_be_dynamic() -> None:
    op = OPS["layernorm"]
    chosen = attributes(op, "v5_hopper")
    recipe = cook(op, ranges(rows=(1, 197, 6304), cols=768), "fp16", chosen, H200)
    assert "rows" not in recipe.frozen
    with pytest.raises(BadNode, match="export with a fixed cols"):
        cook(op, ranges(rows=197, cols=(64, 768, 1024)), "fp16", chosen, H200)


def test_a_version_that_needs_more_shared_memory_than_a_plugin_gets_is_refused() -> None:
    op = OPS["layernorm"]
    with pytest.raises(Unsupported, match=r"layernorm/v4_welford needs 65536 bytes of shared memory .* gives a block 49152: use another"):
        cook(op, ranges(rows=64, cols=16384), "fp32", attributes(op, "v4_welford"), H200)


def test_the_batch_of_attention_may_be_dynamic() -> None:
    op = OPS["attention"]
    recipe = cook(op, ranges(batch=(1, 8, 32), heads=12, seq=197, width=64), "fp16", attributes(op, "v3_hopper"), H200)
    assert recipe.frozen >= {"seq"}
    assert "batch" not in recipe.frozen


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"version": "v9_missing"}, "no version v9_missing; there are: v1_basic"),
        ({"form": "cubic"}, "form is one of erf, tanh"),
    ],
)
def test_a_wrong_attribute_is_named_with_what_there_is(change: dict[str, str], sentence: str) -> None:
    op = OPS["gelu"]
    with pytest.raises(BadNode, match=sentence):
        cook(op, ranges(count=3072), "fp16", attributes(op, "v1_basic") | change, H200)


def test_a_missing_attribute_is_named() -> None:
    with pytest.raises(BadNode, match="set the attribute eps"):
        cook(OPS["layernorm"], ranges(rows=4, cols=64), "fp16", {"version": "v1_tree"}, H200)


def test_inputs_that_disagree_are_named() -> None:
    from plugins.tensorrt.op import bind

    with pytest.raises(BadNode, match="gamma has cols 64, an earlier input has 768"):
        bind(OPS["layernorm_affine"], [(8, 768), (64,), (768,)], lambda a, b: a * b)
    with pytest.raises(BadNode, match="needs at least 4 axes"):
        bind(OPS["attention"], [(8, 197, 64)] * 3, lambda a, b: a * b)
