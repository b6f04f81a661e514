"""Files that come from the same tools but hold no layer profile: what they are and what to give instead."""

from __future__ import annotations

import re

PROFILE_IT = "profile the engine with trtexec --loadEngine=ENGINE --exportProfile=profile.json --separateProfileRun"
KNOWN = (
    (re.compile(rb'^\s*\{\s*"replay"\s*:'), "is a Polygraphy tactic replay, it names tactics but no times"),
    (re.compile(rb'"polygraphy_class"\s*:\s*"(?:RunResults|IterationResult)"'), "holds Polygraphy's outputs of a run, no layers"),
    (re.compile(rb'"polygraphy_class"'), "holds Polygraphy's saved arrays, no layers"),
    (
        re.compile(rb'^\s*\{\s*"(?:[^"\\]|\\.){0,20000}"\s*:\s*-?[\d.eE+-]+\s*[,}]'),
        "gives every name one bare number without saying of what",
    ),
    (re.compile(rb'"(?:traceEvents|schemaVersion)"'), "is a trace of a framework, not of TensorRT's layers"),
    (re.compile(rb"^ptrt|^ftrt"), "is a TensorRT engine, not a profile of one"),
    (re.compile(rb"^PK\x03\x04"), "is a zip archive"),
    (re.compile(rb"(?i)^\s*<(?:!doctype|html)"), "is a web page"),
    (re.compile(rb"(?m)\[TRT\]|^\[TensorRT-Cookbook\]"), "is a log of TensorRT in which no layer was timed or described"),
)
KEY = re.compile(rb'"((?:[^"\\]|\\.){1,40})"\s*:')


def name(head: bytes) -> str:
    """One sentence about a file that no source knows."""
    for pattern, sentence in KNOWN:
        if pattern.search(head):
            return f"{sentence}: {PROFILE_IT}"
    keys = [match[1].decode("utf-8", "replace") for match, _ in zip(KEY.finditer(head[:4096]), range(3), strict=False)]
    if head.startswith((b"{", b"[", b'"')) and keys:
        return f"is JSON of a kind that is not known here (it begins with {', '.join(keys)}): {PROFILE_IT}"
    return f"holds no layer profile: {PROFILE_IT}"
