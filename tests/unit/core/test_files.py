from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.core.errors import InputError
from holdfast.core.files import check_new_file


def test_new_files(tmp_path: Path) -> None:
    check_new_file(tmp_path / "not" / "there.onnx", overwrite=False)
    with pytest.raises(InputError, match="is a folder"):
        check_new_file(tmp_path, overwrite=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        check_new_file(tmp_path / "file" / "below.onnx", overwrite=False)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"^--output: .*file exists; next: name another file, or --overwrite$"):
        check_new_file(tmp_path / "file")
    with pytest.raises(InputError, match=r"^--out: .*file exists; next: name another file$"):
        check_new_file(tmp_path / "file", "--out", overwrite=None)
    check_new_file(tmp_path / "file", overwrite=True)
