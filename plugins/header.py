"""Read a `.cu` file: idea and source from its first comment, and the launch block it declares.

A launch block is `/* launch ... */` with Python assignments and calls of the functions below,
evaluated top to bottom by a small interpreter (no attribute access, no imports, no loops).
UPPERCASE names become macros; `grid`, `block`, `shared` and the like describe the launch.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from plugins.gpu import Gpu
from plugins.kernel import (
    ITEMSIZE,
    BadKernelFile,
    Family,
    Kernel,
    Plan,
    Problem,
    Step,
    Unsupported,
)

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.In: lambda a, b: a in b,
}
_LAUNCH_BLOCK = re.compile(r"/\*\s*launch\b[^\n]*\n(.*?)\*/", re.DOTALL)


def read(family: Family, path: Path) -> Kernel:
    """The version that `path` declares; raises BadKernelFile naming what is missing."""
    text = path.read_text(encoding="utf-8")
    comment = re.match(r"((?://[^\n]*\n)+)", text)
    lines = [ln.lstrip("/").strip() for ln in comment.group(1).splitlines()] if comment else []
    idea = [ln for ln in lines if ln and not ln.startswith("Source:")]
    origin = [ln.removeprefix("Source:").strip() for ln in lines if ln.startswith("Source:")]
    if not idea or not origin:
        raise BadKernelFile(f"{path}:1: begin with '// <idea>' and '// Source: <where it is from>'")
    found = _LAUNCH_BLOCK.search(text)
    if not found:
        raise BadKernelFile(f"{path}: add a '/* launch ... */' block that assigns grid and block")
    line = text[: found.start(1)].count("\n") + 1
    return Kernel(family, path.stem, path, " ".join(idea), origin[0], found.group(1), line)


def plan(kernel: Kernel, problem: Problem, gpu: Gpu, pick: int = 0) -> Plan:
    """Evaluate the launch block. `pick` chooses among the arguments of `occupancy(...)`.

    Raises Unsupported when a `require` does not hold, BadKernelFile when the block is wrong.
    """
    block = _Block(kernel, problem, gpu, pick)
    block.run()
    return block.plan()


def choices(kernel: Kernel, problem: Problem, gpu: Gpu) -> int:
    """How many block sizes the version leaves to occupancy; 1 when it names its own."""
    block = _Block(kernel, problem, gpu, 0)
    block.run()
    return block.width


def grid_expression(chosen: Plan, symbols: Mapping[str, Any], calls: Mapping[str, Any]) -> Any:
    """The `grid` line again, with `symbols` (say a dynamic row count) in place of the numbers.

    `calls` replaces functions, e.g. {"cdiv": trtp.cdiv, "min": ...}; every other name keeps the
    value it had in the plan, so only what `grid` mentions directly can follow a dynamic shape.
    """
    block = _Block(chosen.kernel, chosen.problem, Gpu("sm_90", 132, 2048, 32, 0, 1 << 30), 0)
    block.names.update(chosen.macros)
    block.names.update(symbols)
    block.calls.update(calls)
    return block.evaluate(block.assigned("grid"))


def _split(packs: int, *counts: int) -> int:
    """Threads that share `packs`: the first count a thread that leaves none over, else ragged.

    A power of two within a warp, whole warps above, 1,024 at most.
    """
    even = [packs // n for n in counts if packs % n == 0]
    teams = [t for t in even if t & (t - 1) == 0 or t % 32 == 0]
    if teams:
        return min(1024, teams[0])
    ragged = -(-packs // counts[0])
    return 1 << (ragged - 1).bit_length() if ragged <= 32 else min(1024, -(-ragged // 32) * 32)


class _Block:
    """One evaluation of one launch block."""

    def __init__(self, kernel: Kernel, problem: Problem, gpu: Gpu, pick: int) -> None:
        if kernel.fault:
            raise BadKernelFile(kernel.fault)
        self.kernel, self.problem, self.gpu, self.pick = kernel, problem, gpu, pick
        self.width = 1
        self.workspace: dict[str, int] = {}
        self.weak: dict[str, str] = {}
        self.names: dict[str, Any] = {
            **problem.dims,
            **problem.options,
            "dtype": problem.dtype,
            "itemsize": ITEMSIZE[problem.dtype],
            "align": problem.align,
            "sms": gpu.sms,
            "arch": gpu.capability,
            "shared_limit": gpu.shared_per_block,
            "threads_per_sm": gpu.threads_per_sm,
        }
        self.calls: dict[str, Callable[..., Any]] = {
            "cdiv": lambda a, b: -(-a // b),
            "min": min,
            "max": max,
            "pow2": lambda n: 1 << max(0, (int(n) - 1).bit_length()),
            "vector": self._vector,
            "split": _split,
            "occupancy": self._occupancy,
            "require": self._require,
            "weak": self._weak,
            "hint": lambda value: value,
            "workspace": self.workspace.__setitem__,
            "launch": lambda *names: Step("launch", names),
            "matmul": lambda *names: Step("matmul", names),
        }
        try:
            self.tree = ast.parse(kernel.launch)
        except SyntaxError as error:
            line = kernel.launch_line + (error.lineno or 1) - 1
            raise BadKernelFile(f"{kernel.path}:{line}: launch block: {error.msg}") from error

    def run(self) -> None:
        for statement in self.tree.body:
            if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
                self.names[statement.targets[0].id] = self.evaluate(statement.value)
            elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
                self.evaluate(statement.value)
            else:
                raise self._bad(statement, "only 'name = expression' and calls are allowed")

    def plan(self) -> Plan:
        shared = int(self.names.get("shared", 0))
        if shared > self.gpu.shared_per_block:
            raise Unsupported(
                f"{self.kernel.id} needs {shared} bytes of shared memory for {self.problem.id} and "
                f"{self.gpu.arch} gives a block {self.gpu.shared_per_block}: use another version"
            )
        steps = self.names.get("steps", Step("launch", ()))
        return Plan(
            kernel=self.kernel,
            problem=self.problem,
            macros={k: v for k, v in self.names.items() if k.isupper()},
            grid=self._triple("grid"),
            block=self._triple("block"),
            shared=shared,
            pdl=bool(self.names.get("pdl", False)) and self.gpu.capability >= 90,
            steps=steps if isinstance(steps, tuple) else (steps,),
            workspace=self.workspace,
            weak=self.weak,
            feature=str(self.names.get("feature", "")),
        )

    def assigned(self, name: str) -> ast.expr:
        """The last expression assigned to `name`."""
        for statement in reversed(self.tree.body):
            match statement:
                case ast.Assign(targets=[ast.Name(id=target)], value=value) if target == name:
                    return value
        raise BadKernelFile(f"{self.kernel.path}: launch block: assign {name}")

    def evaluate(self, node: ast.expr) -> Any:
        """Value of one expression; raises BadKernelFile on anything outside the language."""
        match node:
            case ast.Constant(value=value):
                return value
            case ast.Name(id=name) if name in self.names:
                return self.names[name]
            case ast.Name(id=name):
                raise self._bad(node, f"unknown name '{name}'")
            case ast.Tuple(elts=items):
                return tuple(self.evaluate(item) for item in items)
            case ast.Call(func=ast.Name(id=name), args=args) if name in self.calls:
                return self.calls[name](*[self.evaluate(a) for a in args])
        return self._operation(node)

    def _operation(self, node: ast.expr) -> Any:
        match node:
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
                return _BINARY[type(op)](self.evaluate(left), self.evaluate(right))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -self.evaluate(operand)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return not self.evaluate(operand)
            case ast.BoolOp(op=op, values=values):
                return self._bool(op, values)
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARE:
                return _COMPARE[type(op)](self.evaluate(left), self.evaluate(right))
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return self.evaluate(body if self.evaluate(test) else orelse)
        raise self._bad(node, f"'{ast.unparse(node)}' is not allowed here")

    def _bool(self, op: ast.boolop, values: list[ast.expr]) -> Any:
        result: Any = None
        for value in values:
            result = self.evaluate(value)
            if bool(result) is isinstance(op, ast.Or):
                return result
        return result

    def _vector(self, length: int, limit: int = 16) -> int:
        """Elements of the widest access, at most `limit` bytes, that divides length and pointer."""
        itemsize = ITEMSIZE[self.problem.dtype]
        width = min(limit, self.problem.align) // itemsize
        while width > 1 and length % width:
            width //= 2
        return max(1, width)

    def _occupancy(self, *sizes: int) -> int:
        self.width = len(sizes)
        return sizes[min(self.pick, len(sizes) - 1)]

    def _weak(self, input_class: str, reason: str, applies: bool = True) -> None:
        if applies:
            self.weak[input_class] = reason

    def _require(self, holds: bool, reason: str) -> None:
        if not holds:
            raise Unsupported(f"{self.kernel.id} cannot take {self.problem.id}: {reason}")

    def _triple(self, name: str) -> tuple[int, int, int]:
        if name not in self.names:
            raise BadKernelFile(f"{self.kernel.path}: launch block: assign {name}")
        value = self.names[name]
        x, y, z = (*(value if isinstance(value, tuple) else (value,)), 1, 1)[:3]
        return (max(1, int(x)), max(1, int(y)), max(1, int(z)))

    def _bad(self, node: ast.AST, what: str) -> BadKernelFile:
        line = self.kernel.launch_line + getattr(node, "lineno", 1) - 1
        return BadKernelFile(f"{self.kernel.path}:{line}: launch block: {what}")
