"""Sizes that are not known yet: polynomials with integer coefficients over named dimensions, and what bounds them.

2 * time - 1 stays what it is; what is no polynomial, such as (frames - 3) // 2, becomes a name of its own with bounds. Equal
expressions get equal names, so they still cancel. Bounds are those of interval arithmetic (Moore, Kearfott and Cloud 2009).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import product

Span = tuple[float, float]
"""Smallest and largest value, both included; infinite where nothing bounds it."""
Monomial = tuple[str, ...]
FREE: Span = (0, math.inf)
"""What every dimension keeps to."""


@dataclass(frozen=True, slots=True)
class Size:
    """A sum of products of names, each with its coefficient; sorted, so that equal sizes compare equal."""

    terms: tuple[tuple[Monomial, int], ...]

    def __add__(self, other: Size | int) -> Size:
        terms = dict(self.terms)
        for names, factor in sized(other).terms:
            terms[names] = terms.get(names, 0) + factor
        return _size(terms)

    def __sub__(self, other: Size | int) -> Size:
        return self + sized(other) * -1

    def __mul__(self, other: Size | int) -> Size:
        terms: dict[Monomial, int] = {}
        for (left, a), (right, b) in product(self.terms, sized(other).terms):
            names = tuple(sorted(left + right))
            terms[names] = terms.get(names, 0) + a * b
        return _size(terms)

    def __str__(self) -> str:
        return " + ".join("*".join((str(factor), *names)) for names, factor in self.terms) or "0"

    @property
    def number(self) -> int | None:
        """The value where no name is in it."""
        if not self.terms:
            return 0
        (names, factor), *more = self.terms
        return factor if not names and not more else None

    def over(self, divisor: Size) -> Size | None:
        """The exact quotient by a single term, None where it is not one."""
        if len(divisor.terms) != 1:
            return None
        ((below, by),) = divisor.terms
        terms: dict[Monomial, int] = {}
        for names, factor in self.terms:
            left = _without(names, below)
            if left is None or factor % by:
                return None
            terms[left] = factor // by
        return _size(terms)


def sized(value: Size | int) -> Size:
    """A number as a Size."""
    return value if isinstance(value, Size) else _size({(): int(value)})


def named(name: str) -> Size:
    """One dimension."""
    return _size({(name,): 1})


@dataclass(slots=True)
class Spans:
    """What bounds each name; short names stand for expressions that are no polynomials."""

    of: dict[str, Span] = field(default_factory=dict)
    free: Span = FREE
    names: dict[Hashable, str] = field(default_factory=dict)
    members: dict[Size, frozenset[Size]] = field(default_factory=dict)

    @classmethod
    def declared(cls, ranges: Mapping[str, tuple[int, int, int]]) -> Spans:
        """From (min, best, max) by dimension."""
        return cls({name: (low, high) for name, (low, _, high) in ranges.items()})

    def span(self, size: Size) -> Span:
        """Bounds of a size; not always the narrowest."""
        low: float = 0
        high: float = 0
        for names, factor in size.terms:
            part: Span = (factor, factor)
            for name in names:
                part = times(part, self.of.get(name, self.free))
            low, high = low + part[0], high + part[1]
        return low, high

    def at_most(self, left: Size, right: Size) -> bool:
        """Whether left <= right is certain."""
        return self.span(right - left)[0] >= 0

    def fresh(self, key: Hashable, span: Span) -> Size:
        """The name of an expression that is no polynomial; the same for the same `key`."""
        name = self.names.setdefault(key, f"#{len(self.names)}")
        low, high = self.of.setdefault(name, span)
        return sized(int(low)) if low == high else named(name)

    def either(self, sizes: Iterable[Size]) -> Size:
        """One of these, it is not known which, as in a broadcast of two dimensions that may be 1."""
        members = frozenset(member for size in sizes for member in self.members.get(size, (size,)))
        if len(members) == 1:
            return next(iter(members))
        spans = [self.span(size) for size in members]
        found = self.fresh(members, (min(low for low, _ in spans), max(high for _, high in spans)))
        self.members[found] = members
        return found

    def quotient(self, size: Size, by: Size) -> Size:
        """size // by, rounded down, which is what ONNX does with what is not negative."""
        exact = size.over(by) if by.number != 0 else None
        if exact is not None:
            return exact
        low, high = self.span(size)
        below, above = self.span(by)
        corners = [_down(end, divisor) for end in (low, high) for divisor in (below, above)] if below > 0 else _UNBOUND
        return self.fresh(("//", size, by), (min(corners), max(corners)))

    def least(self, left: Size, right: Size) -> Size:
        """min(left, right)."""
        if self.at_most(left, right):
            return left
        if self.at_most(right, left):
            return right
        (a, b), (c, d) = self.span(left), self.span(right)
        return self.fresh(("min", left, right), (min(a, c), min(b, d)))

    def most(self, left: Size, right: Size) -> Size:
        """max(left, right)."""
        if self.at_most(left, right):
            return right
        if self.at_most(right, left):
            return left
        (a, b), (c, d) = self.span(left), self.span(right)
        return self.fresh(("max", left, right), (max(a, c), max(b, d)))


_UNBOUND: Span = (-math.inf, math.inf)


def times(left: Span, right: Span) -> Span:
    """The span of a product."""
    corners = [0 if 0 in (a, b) else a * b for a, b in product(left, right)]
    return min(corners), max(corners)


def _down(number: float, divisor: float) -> float:
    if math.isinf(number):
        return number
    return number // divisor if math.isfinite(divisor) else (-1 if number < 0 else 0)


def _size(terms: Mapping[Monomial, int]) -> Size:
    return Size(tuple(sorted((names, factor) for names, factor in terms.items() if factor)))


def _without(names: Monomial, taken: Monomial) -> Monomial | None:
    left = list(names)
    for name in taken:
        if name not in left:
            return None
        left.remove(name)
    return tuple(left)
