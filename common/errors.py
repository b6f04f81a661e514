"""Errors that end in one sentence: what is wrong, where, and what to do next."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """Something the user can mend; its text is shown as it is, without a traceback."""


class Unsupported(UserError):
    """The asked-for thing cannot be done here by its nature; the text says why."""


def unknown(kind: str, name: str, known: Iterable[str]) -> UserError:
    """The error for a misspelt name: the near match, then the whole list.

    >>> str(unknown("pass", "fold_", ["fold", "onnxsim"]))
    "unknown pass 'fold_': did you mean 'fold'? known: fold, onnxsim"
    """
    names = sorted(known)
    near = get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean '{near[0]}'? " if near else ""
    return UserError(f"unknown {kind} '{name}': {hint}known: {', '.join(names)}")
