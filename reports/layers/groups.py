"""Which part of a network a layer belongs to: by its type, then by the operators of its ONNX nodes, then by the module in its name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

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
SCORES = re.compile(r"(?:^|[/._])(?:(?:self_?|cross_?)?att(?:entio)?n|self)$", re.IGNORECASE)
"""A module whose own products are those of two activations; its sub-modules (query, out_proj) hold the weights."""
PLUGINS = (
    (ATTENTION, re.compile(r"qkv|attention|mha|fmha", re.IGNORECASE)),
    (NORM, re.compile(r"layer_?norm|rms_?norm|groupnorm", re.IGNORECASE)),
    (ACTIVATION, re.compile(r"gelu", re.IGNORECASE)),
)
RESHAPES = re.compile(r"(?:copied_)?(?:un)?(?:squeeze|reshape)_(?:node_)?(?:before|after)_|\[(?:DevicetoShapeHost|ShapeHostToDevice)")
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


def group(name: str, layer: Described, inside: Sequence[str]) -> str:
    """One of reports.layers.layer.GROUPS.

    A product of two activations is attention, one with a weight is not; a soft-max over at most two dimensions is a classifier's.
    """
    kind = layer.type
    if kind == "Reformat" or name.startswith(("Reformatting CopyNode", "Forced Cast")):
        return "Q/DQ" if layer.origin == "QDQ" else "reformat / copy"
    known = _of_type(kind)
    if known == "matrix product":
        return _product(layer, inside)
    if known == "elementwise":
        return _written_out(name, inside) or known
    if known == "other":
        return _by_nodes(name, layer, inside)
    if known == "convolution":
        made = {_of_node(node) for node in inside}
        return "matrix product" if "matrix product" in made and known not in made else known
    return _softmax(name, layer, inside) if known == ATTENTION else known


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


def _product(layer: Described, inside: Sequence[str]) -> str:
    if layer.weighted is not None:
        return "matrix product" if layer.weighted else ATTENTION
    return ATTENTION if any(SCORES.search(node.rpartition("/")[0]) for node in inside) else "matrix product"


def _softmax(name: str, layer: Described, inside: Sequence[str]) -> str:
    """A soft-max outside attention is a classifier's: over at most two dimensions, or in a module of another name."""
    if layer.type and "softmax" not in layer.type.lower() and not layer.type.startswith(("kgen", "Myelin")):
        return ATTENTION
    if layer.outputs and 0 < len(layer.outputs[0].shape) <= 2:
        return "other"
    modules = [path for node in inside or (name,) if (path := node.rpartition("/")[0].strip("/"))]
    return ATTENTION if layer.outputs or not modules or any(_of_module(path) == ATTENTION for path in modules) else "other"


def _written_out(name: str, inside: Sequence[str]) -> str:
    """The module whose small operators these are, or the operator itself where it belongs to one; "" where neither says so."""
    for node in inside or (name,):
        if (made := _of_node(node)) in (NORM, ACTIVATION):
            return made
    modules = {_of_module(node.rpartition("/")[0] if "/" in node else node) for node in inside or (name,)}
    return modules.pop() if len(modules) == 1 else ""


def _by_nodes(name: str, layer: Described, inside: Sequence[str]) -> str:
    """The heaviest group among the nodes; of nodes that only add and copy, the module that they are written out from."""
    named = _named(name, layer)
    if named:
        return _softmax(name, layer, inside) if named == ATTENTION and layer.type == "kgen" else named
    if name.startswith("{"):
        return _written_out(name, inside) or "other"
    found = {_of_node(node) for node in inside or name.split(" + ")}
    if "matrix product" in found and any(_of_scores(node) for node in inside):
        found = found - {"matrix product"} | {ATTENTION}
    best = next((one for one in RANKED if one in found), "other")
    if best == ATTENTION and not any(_of_scores(node) for node in inside):
        return _softmax(name, layer, inside)
    return _written_out(name, inside) or best if best in UNDECIDED else best


def _of_scores(node: str) -> bool:
    return _of_node(node) == "matrix product" and SCORES.search(node.rpartition("/")[0]) is not None


def _named(name: str, layer: Described) -> str:
    """By the words in a plugin's or a Myelin kernel's name, or by what TensorRT puts before another name; "" where they say nothing."""
    if layer.type.startswith("Plugin"):
        words = name + layer.tactic
        return next((found for found, pattern in PLUGINS if pattern.search(words)), "")
    if RESHAPES.match(name):
        return "shape"
    kernel = KERNEL.search(name) if name.startswith("__my") else None
    return next((found for found, pattern in WRITTEN_OUT if pattern.search(kernel[1])), "") if kernel else ""


@lru_cache(65536)
def _of_module(path: str) -> str:
    return next((found for found, pattern in MODULES if pattern.search(path)), "")


def _of_node(node: str) -> str:
    """The group of the operator that an exporter puts into a node's name: "/mlp/fc1/MatMul_1", "Conv_12", "node_conv2d_1"."""
    if node.endswith("]") and "-[" in node:
        return _of_torch(node)
    return _of_leaf(node.rpartition("/")[2])


def _of_torch(node: str) -> str:
    """[CONVOLUTION]-[aten_ops.convolution.default]-[/features_0/convolution], as Torch-TensorRT writes it."""
    words = node.split("]-[")
    operator = words[1].split(".")[-2:-1] if len(words) > 1 else []
    return _of_leaf(operator[0]) if operator else "other"


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
