"""A file's content -> what it says, its kind recognised by that content alone."""

from __future__ import annotations

from functools import cache

import msgspec

from common.discover import discover
from common.errors import UserError
from reports.layers import strangers
from reports.layers.found import Found, Source
from reports.layers.sources._numbers import bounded

HEAD = 1 << 16
LONGEST = 600
BLANK = b"\xef\xbb\xbf \t\r\n"
"""White space and the bytes of a byte-order mark."""


def parse(data: bytes) -> Found:
    """What the content says. Raises UserError, one sentence without the path, where it is damaged or of no known kind."""
    try:
        return _parse(data)
    except UserError as error:
        raise UserError(_printable(str(error))) from error


def _parse(data: bytes) -> Found:
    data = data.lstrip(BLANK)
    head = data[:HEAD]
    if not head:
        raise UserError("is empty: export it again")
    if head.startswith(b'"') and len(data) < HEAD:
        return _parse(_inner(data))
    if b"\0" in head:
        raise UserError(f"is binary, not a profile: {strangers.PROFILE_IT}")
    text = not head.startswith((b"[", b"{", b'"')) or _stamped(head)
    for kind in _kinds():
        if kind.text == text and kind.marks.search(data if text else head):
            found = kind.parse(data)
            bounded(max(len(found.times), len(found.described)))
            return found
    raise UserError(strangers.name(head))


def _printable(sentence: str) -> str:
    """What a file says of itself may hold line breaks and terminal codes, and be long."""
    shown = "".join([character if character.isprintable() else "?" for character in sentence[:LONGEST]])
    return shown if len(sentence) <= LONGEST else f"{shown}..."


@cache
def _kinds() -> tuple[Source, ...]:
    sources = discover("reports.layers.sources", Source).values()
    return tuple(sorted((declared.value for declared in sources), key=lambda kind: kind.order))


def _stamped(head: bytes) -> bool:
    """A console log may begin with "[07/02/2026-..." or "[TensorRT..."; JSON never does."""
    return head[:1] == b"[" and (head[1:2].isalpha() or head[3:4] == b"/")


def _inner(data: bytes) -> bytes:
    """The text of a file that is one JSON string, as json.dump(json.dumps(...)) writes it."""
    try:
        inner = msgspec.json.decode(data, type=str).encode().lstrip(BLANK)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise UserError(f"is a JSON string that does not end ({error}): export it again") from error
    if inner.startswith(b'"'):
        raise UserError("is JSON inside JSON inside JSON: export it again")
    return inner
