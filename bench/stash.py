"""What conftest.py and the plugin share through pytest's stash."""

from __future__ import annotations

import pytest

from bench.matrix import Choice

CHOICE = pytest.StashKey[Choice]()
