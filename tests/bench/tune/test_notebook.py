"""What was found out is not found out again, whatever became of the process."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.tune.notebook import Notebook
from common.errors import UserError


def test_a_second_notebook_of_the_same_file_knows_what_the_first_wrote(tmp_path: Path) -> None:
    Notebook(tmp_path / "notes").remember("probe", "a", lambda: [1.5, 2.0], list[float])
    again = Notebook(tmp_path / "notes")
    assert again.remember("probe", "a", lambda: pytest.fail("asked again"), list[float]) == [1.5, 2.0]
    assert again.written == 0


@pytest.mark.parametrize("torn", [b'{"kind":"probe","key":"b","val', b'{"kind":"probe","key":"b","value":2}', b"\xff\xfe\n"])
def test_a_torn_last_line_is_found_out_again(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "notes"
    Notebook(path).remember("probe", "a", lambda: 1, int)
    with path.open("ab") as file:
        file.write(torn)
    again = Notebook(path)
    assert again.remember("probe", "b", lambda: 3, int) == 3
    assert Notebook(path).remember("probe", "b", lambda: 4, int) == 3
    assert Notebook(path).remember("probe", "a", lambda: 4, int) == 1


def test_a_file_that_takes_no_more_is_an_error_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere/notes: cannot be written"):
        Notebook(tmp_path / "nowhere" / "notes").remember("probe", "a", lambda: 1, int)
