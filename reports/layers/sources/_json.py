"""JSON as TensorRT's tools really write it: separator bytes, nan and unescaped names mended only where strict reading fails."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import msgspec

from common.errors import UserError

T = TypeVar("T")
LONGEST_REPAIR = 16 << 20
"""Bytes up to which a broken file is mended; trtexec writes a hundred times less."""
NAN = re.compile(rb"([:\[,]\s*)-?(?:nan|inf|NaN|Infinity)(?:\(\w*\))?(?=\s*[,}\]])")
BACKSLASH = re.compile(rb'\\(?:(u[0-9a-fA-F]{4}|["\\/bfnrt])|)')
LINE = re.compile(rb'^(\s*(?:[{\[,]\s*)*(?:"[\w /-]+"\s*:\s*(?:[\[{]\s*)?)?)"(.*)"(\s*[,\]}]*\s*)$')
BARE_QUOTE = re.compile(rb'(?<!\\)((?:\\\\)*)"')
CONTROLS = {code: b"\\u%04x" % code for code in range(32) if code not in (9, 10, 13)}


def decode(data: bytes, strictly: Callable[[bytes], T], what: str) -> T:
    """The typed content; a file that is broken in TensorRT's own ways is mended first. UserError says what is wrong and where."""
    try:
        return strictly(data)
    except RecursionError as error:
        raise UserError(f"nested too deeply to be {what}: export it again") from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        first = error
    if len(data) <= LONGEST_REPAIR and data[-64:].rstrip()[-1:] in (b"]", b"}"):
        for mended in mend(data):
            try:
                return strictly(mended)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                continue
    raise UserError(damage(data, first, what)) from first


def mend(data: bytes) -> Iterator[bytes]:
    """The text with more and more of what real writers get wrong put right."""
    text = data if _utf8(data) else data.decode("utf-8", "replace").encode()
    for code, escaped in CONTROLS.items():
        text = text.replace(bytes([code]), escaped)
    text = NAN.sub(rb"\1null", text)
    yield text
    text = BACKSLASH.sub(lambda match: match[0] if match[1] else b"\\\\", text)
    yield text
    yield b"\n".join(map(_requote, text.split(b"\n")))


def damage(data: bytes, error: Exception, what: str) -> str:
    """One sentence: empty, binary, cut off, or not this kind of file."""
    tail = data.rstrip()
    if not tail:
        return "is empty: export it again"
    if b"\0" in data[:4096]:
        return f"is binary, not {what}: an engine (.plan, .engine) is no profile; export one with trtexec"
    reason = str(error).removesuffix(".")
    if "truncated" in reason or tail[-1:] not in b"]}":
        return f"is cut off before its end, so {what} cannot be read from it: export it again"
    return f"is not {what} ({reason}): export it again"


def anything(data: bytes, what: str) -> Any:
    """Untyped content, for the kinds whose shape is only known by looking."""
    return decode(data, msgspec.json.decode, what)


def _utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _requote(line: bytes) -> bytes:
    match = LINE.match(line)
    if match is None or b'"' not in match[2] or b'" : "' in match[2]:
        return line
    return match[1] + b'"' + BARE_QUOTE.sub(rb'\1\\"', match[2]) + b'"' + match[3]
