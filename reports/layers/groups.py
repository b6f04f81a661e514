"""Which part of a network a layer belongs to: by its type, then by the operators of its ONNX nodes, then by the module in its name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import TypeAlias

from reports.layers.found import Described

OPERATORS = {
    "LayerNorm": "LayerNormalization SkipLayerNormalization SimplifiedLayerNormalization SkipSimplifiedLayerNormalization layer_norm "
    "RMSNormalization RMSNorm GroupNormalization",
    "GELU": "Gelu FastGelu BiasGelu QuickGelu QGelu Erf",
    "attention": "Softmax Attention MultiHeadAttention QAttention GroupQueryAttention scaled_dot_product_attention",
    "convolution": "Conv FusedConv QLinearConv ConvInteger ConvTranspose NhwcFusedConv Convolution Deconvolution ConvActPool convolution "
    "conv1d conv2d conv3d",
    "matrix product": "MatMul Gemm FullyConnected MatrixMultiply linear matmul addmm mm bmm baddbmm",
    "reformat / copy": "Transpose Concat Split Slice Gather Expand Pad Tile Identity Cast ReorderInput ReorderOutput Memcpy MemcpyFromHost "
    "MemcpyToHost Where Reformat Shuffle Concatenation Padding Copy permute transpose cat slice contiguous _to_copy",
    "Q/DQ": "QuantizeLinear DequantizeLinear DynamicQuantizeLinear Quantize Dequantize DynamicQuantize",
    "elementwise": "Add Sub Mul Div Pow Sqrt Neg Abs Exp Log Relu LeakyRelu PRelu Elu Clip Sigmoid HardSigmoid HardSwish Tanh Min Max Sum "
    "Reciprocal Equal Less Greater And Or Not QLinearAdd QLinearMul PointWise PointWiseV2 ElementWise Activation Unary Scale PWN add "
    "mul sub div relu sigmoid tanh pow sqrt clamp BatchNormalization batch_norm _native_batch_norm_legit_no_training silu",
    "shape": "Shape Reshape Squeeze Unsqueeze Flatten ConstantOfShape Range Constant shape_call view reshape flatten unsqueeze squeeze "
    "NoOp signal wait",
}
GROUP_OF = {operator: group for group, operators in OPERATORS.items() for operator in operators.split()}
_LOWER = {operator.lower().replace("_", ""): group for operator, group in GROUP_OF.items()}
FUSED = frozenset(("kgen", "Myelin", "", "Unknown"))
"""Types that do not tell what is inside."""
RANKED = ("convolution", "matrix product", "attention", "LayerNorm", "GELU", "Q/DQ", "elementwise", "reformat / copy", "shape", "other")
"""Where a layer holds operators of several groups it counts as the first: what costs most gives it its name."""
UNDECIDED = frozenset(("elementwise", "other", "reformat / copy", "shape"))
"""Groups whose layers may be part of a module written out in small operators."""
PRODUCT = re.compile(r"MatMul|Gemm(?!Conv)|^gemm|MatrixMultiply|FullyConnected|^fc$")
NORM, ACTIVATION, ATTENTION = "LayerNorm", "GELU", "attention"
MODULES = (
    (NORM, re.compile(r"(?:^|[/._])(?:layer_?norm|norm|ln|rms_?norm)[\d_a-z]*(?:[/._]|$)", re.IGNORECASE)),
    (ACTIVATION, re.compile(r"(?:^|[/._])(?:gelu|act)(?:[/._]|$)", re.IGNORECASE)),
    (ATTENTION, re.compile(r"(?:^|[/._])(?:self_?|cross_?|multi_?head_?)?att(?:entio)?n(?:[/._]|$)", re.IGNORECASE)),
)
GROUP_AT = (*(found for found, _ in MODULES), "")
SCORES = re.compile(r"(?:^|[/._])(?:(?:self_?|cross_?)?att(?:entio)?n|self)$", re.IGNORECASE)
"""A module whose own products are those of two activations; its sub-modules (query, out_proj) hold the weights."""
PLUGINS = (
    (ATTENTION, re.compile(r"qkv|attention|mha|fmha", re.IGNORECASE)),
    (NORM, re.compile(r"layer_?norm|rms_?norm|groupnorm", re.IGNORECASE)),
    (ACTIVATION, re.compile(r"gelu", re.IGNORECASE)),
)
RESHAPES = re.compile(r"(?:copied_)?(?:un)?(?:squeeze|reshape)_(?:node_)?(?:before|after)_|\[(?:DevicetoShapeHost|ShapeHostToDevice)")
COPIES = ("Reformatting CopyNode", "Forced Cast")
REGION = "{"
"""What the name of a Myelin region begins with: it holds a range of nodes of which only the ends are told."""
PATTERN = bytes.maketrans(b"456789", b"000000")
"""Digits beyond 3 tell no operator from another, so that names of a thousand blocks become a few."""
NOWHERE = "?"
"""The module of a name without a path."""
KERNEL = re.compile(r"__myl_([A-Za-z0-9]+)_myl\d")
STEM = re.compile(r"[_.]?\d+$")
WRITTEN_OUT = (
    (ATTENTION, re.compile(r"Max.*Sub.*Exp|ExpSum|Softmax|_?mha|fmha")),
    (NORM, re.compile(r"Mean.*(?:Sqrt|Rsq)|MeanSub|Sqr.*Mean")),
    (ACTIVATION, re.compile(r"Erf|Gelu")),
    ("Q/DQ", re.compile(r"^(?:Cast)?(?:Quan|Dequ)")),
    ("reformat / copy", re.compile(r"^(?:Tran|Move|Slic|Conc|Casts?|Cas|Repl|Gath|Pad|Copy|Resh|Res|Shuf|Unsq|Sque|Rev)+$")),
    (
        "elementwise",
        re.compile(r"^(?:Add|Mul|Sub|Div|Max|Min|Pow|Sqrt|Sqr|Sigm|Sig|Tanh|Exp|Neg|Abs|Relu|Clip|Sele|Cast|Cas|Resh|Tran|Move)+$"),
    ),
)
"""What Myelin abbreviates in the names of its own kernels, "__myl_MaxrSubExpSum"."""


Mark: TypeAlias = tuple[str, str, bool]
"""What a node's name says: the group of its operator, the group of its module, whether products there are attention's."""


def group(name: str, layer: Described, inside: Sequence[str]) -> str:
    """One of reports.layers.layer.GROUPS.

    A product of two activations is attention, one with a weight is not; a soft-max over at most two dimensions is a classifier's.
    """
    kind = layer.type
    if kind == "Reformat" or name.startswith(COPIES):
        return "Q/DQ" if layer.origin == "QDQ" else "reformat / copy"
    rank = len(layer.outputs[0].shape) if layer.outputs else 0
    tactic = layer.tactic if kind.startswith("Plugin") else ""
    held = tuple([_pattern(node) for node in inside]) if inside != (name,) else None
    return _of_pattern(_pattern(name), held, kind, tactic, (layer.weighted, rank))


def _pattern(name: str) -> bytes:
    return name.encode("utf-8", "surrogatepass").translate(PATTERN)


@lru_cache(65536)
def _of_pattern(name: bytes, held: tuple[bytes, ...] | None, kind: str, tactic: str, told: tuple[bool | None, int]) -> str:
    whole = name.decode("utf-8", "surrogatepass")
    inside = [whole] if held is None else [one.decode("utf-8", "surrogatepass") for one in held] or whole.split(" + ")
    named = _named(whole, kind, tactic) if _of_type(kind) == "other" else ""
    return _decide(kind, named, *told, tuple(map(_mark, inside)))


def _decide(kind: str, named: str, weighted: bool | None, rank: int, marks: tuple[Mark, ...]) -> str:
    known = _of_type(kind)
    if known == "matrix product":
        scores = any(mark[2] for mark in marks) if weighted is None else not weighted
        return ATTENTION if scores else known
    if known == "convolution":
        made = {mark[0] for mark in marks}
        return "matrix product" if "matrix product" in made and known not in made else known
    if known == "elementwise":
        return _written_out(marks) or known
    if known == ATTENTION:
        return _softmax(rank, marks) if "softmax" in kind.lower() else known
    if known != "other":
        return known
    if named == REGION:
        return _written_out(marks) or known
    if named:
        return _softmax(rank, marks) if named == ATTENTION and kind == "kgen" else named
    return _by_nodes(rank, marks)


@lru_cache(4096)
def _of_type(kind: str) -> str:
    known = GROUP_OF.get(kind) or _LOWER.get(kind.lower().replace("_", ""))
    if known:
        return known
    if PRODUCT.search(kind):
        return "matrix product"
    if "Conv" in kind or "conv" in kind:
        return "convolution"
    return next((found for found, pattern in PLUGINS if pattern.search(kind)), _LOWER.get(kind.lower().removeprefix("cuda"), "other"))


def _softmax(rank: int, marks: tuple[Mark, ...]) -> str:
    """A soft-max outside attention is a classifier's: over at most two dimensions, or without a shape in a module of another name."""
    if rank:
        return ATTENTION if rank > 2 else "other"
    return ATTENTION if any(mark[1] in (ATTENTION, NOWHERE) for mark in marks) else "other"


def _written_out(marks: tuple[Mark, ...]) -> str:
    """The module whose small operators these are, or the operator itself where it belongs to one; "" where neither says so."""
    made = next((mark[0] for mark in marks if mark[0] in (NORM, ACTIVATION)), "")
    modules = {mark[1] for mark in marks} - {NOWHERE}
    return made or (modules.pop() if len(modules) == 1 else "")


def _by_nodes(rank: int, marks: tuple[Mark, ...]) -> str:
    """The heaviest group among the nodes; of nodes that only add and copy, the module that they are written out from."""
    scores = any(mark[2] and mark[0] == "matrix product" for mark in marks)
    found = {mark[0] for mark in marks} | ({ATTENTION} if scores else set())
    best = next((one for one in RANKED if one in found and not (scores and one == "matrix product")), "other")
    if best == ATTENTION and not scores:
        return _softmax(rank, marks)
    return _written_out(marks) or best if best in UNDECIDED else best


def _named(name: str, kind: str, tactic: str) -> str:
    """By the words in a plugin's or a Myelin kernel's name, or by what TensorRT puts before another name; "" where they say nothing."""
    if kind.startswith("Plugin"):
        words = name + tactic
        return next((found for found, pattern in PLUGINS if pattern.search(words)), "")
    if name.startswith(REGION):
        return REGION
    if RESHAPES.match(name):
        return "shape"
    if kind not in FUSED or not name.startswith("__my"):
        return ""
    kernel = KERNEL.search(name)
    return next((found for found, pattern in WRITTEN_OUT if pattern.search(kernel[1])), "") if kernel else ""


def _mark(node: str) -> Mark:
    if node[-1:] == "]" and "]-[" in node:
        return _torch_mark(node)
    path, _, leaf = node.rpartition("/")
    if not path:
        return _of_leaf(leaf), GROUP_AT[at] if (at := _of_part(leaf)) < len(MODULES) else NOWHERE, False
    parent, _, part = path.rpartition("/")
    found = _of_part(part)
    if parent and (above := _of_parents(parent)) < found:
        found = above
    return _of_leaf(leaf), GROUP_AT[found], _is_scores(part)


def _torch_mark(node: str) -> Mark:
    """[CONVOLUTION]-[aten_ops.convolution.default]-[/features_0/convolution], as Torch-TensorRT writes it."""
    words = node.split("]-[")
    operator = words[1].split(".")[-2:-1]
    _, module, scores = _mark(words[-1][:-1])
    return _of_leaf(operator[0]) if operator else "other", module, scores


@lru_cache(65536)
def _of_parents(path: str) -> int:
    return min(map(_of_part, path.split("/")))


@lru_cache(65536)
def _of_part(part: str) -> int:
    """The index in MODULES of the first that one part of a path matches, their number where none does."""
    return next((at for at, (_, pattern) in enumerate(MODULES) if pattern.search(part)), len(MODULES))


@lru_cache(65536)
def _is_scores(part: str) -> bool:
    return SCORES.search(part) is not None


@lru_cache(65536)
def _of_leaf(leaf: str) -> str:
    leaf = leaf.removeprefix("node_")
    for _ in range(3):
        found = GROUP_OF.get(leaf) or _LOWER.get(leaf.lower().replace("_", ""))
        if found:
            return found
        leaf = STEM.sub("", leaf)
    bracket = leaf.rpartition("[")[2].rstrip("]").replace(" ", "")
    return _LOWER.get(bracket.lower(), "other")
