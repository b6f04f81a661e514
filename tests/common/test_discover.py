"""One file declares one thing; a file that does not is named with what to do."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from common.discover import discover
from common.errors import UserError

Folder = Callable[..., str]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    """Makes a package of the given files (stem=source) and gives its name, a new one for each test."""
    monkeypatch.syspath_prepend(tmp_path)

    def make(**files: str) -> str:
        package = f"room_{hashlib.sha256(str(tmp_path).encode()).hexdigest()[:12]}"
        (tmp_path / package).mkdir()
        for stem, source in ({"__init__": '"""A room."""\n'} | files).items():
            (tmp_path / package / f"{stem}.py").write_text(source, encoding="utf-8")
        return package

    return make


def test_every_file_declares_the_thing_that_has_its_name(folder: Folder) -> None:
    source = '"""Number two.\n\nMore about it.\n"""\ntwo = 2\n'
    found = discover(folder(two=source, one='"""Number one."""\none = 1\nother = 7\n'), int)
    assert list(found) == ["one", "two"]
    assert (found["two"].name, found["two"].label, found["two"].value) == ("two", "Number two.", 2)
    assert found["two"].digest == hashlib.sha256(source.encode()).hexdigest()


def test_a_file_that_begins_with_an_underscore_declares_nothing(folder: Folder) -> None:
    assert list(discover(folder(_shared="raise RuntimeError", one='"""One."""\none = 1\n'), int)) == ["one"]


def test_a_folder_without_files_declares_nothing(folder: Folder) -> None:
    assert not discover(folder(), int)


MISTAKES = {
    "nothing of that name": ('"""A label."""\nother = 1\n', r"/oops\.py: define a int called 'oops'$"),
    "something of another kind": ('"""A label."""\noops = "text"\n', r"/oops\.py: define a int called 'oops'$"),
    "an import that fails": (
        '"""A label."""\nimport no_such_module\n',
        r"/oops\.py: cannot be imported \(ModuleNotFoundError: .*'no_such_module'\): mend the file or remove it$",
    ),
    "a syntax error": ('"""A label."""\noops = = 1\n', r"/oops\.py: cannot be imported \(SyntaxError: .*\): mend the file or remove it$"),
    "an error while it runs": ("1 / 0\n", r"/oops\.py: cannot be imported \(ZeroDivisionError: "),
    "no docstring": ("oops = 1\n", r"/oops\.py: begin with a docstring; its first line is the label in the report$"),
    "an empty docstring": ('"""\n   """\noops = 1\n', r"/oops\.py: begin with a docstring"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_file_that_breaks_the_promise_of_its_folder_is_named_with_the_remedy(mistake: str, folder: Folder) -> None:
    source, message = MISTAKES[mistake]
    package = folder(oops=source, right='"""Right."""\nright = 1\n')
    with pytest.raises(UserError, match=message) as refused:
        discover(package, int)
    assert "\n" not in str(refused.value)


def test_what_was_discovered_cannot_be_changed(folder: Folder) -> None:
    found = discover(folder(one='"""One."""\none = 1\n'), int)
    with pytest.raises(TypeError):
        found["two"] = found["one"]  # type: ignore[index]
