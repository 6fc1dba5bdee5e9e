from __future__ import annotations

import subprocess
import sys


def test_pyarrow_is_imported_when_it_is_used() -> None:
    look = "import sys, holdfast.data.sources.table; assert 'pyarrow' not in sys.modules"
    use = "from holdfast.data.arrow import pa; assert pa.int64() is sys.modules['pyarrow'].int64()"
    subprocess.run([sys.executable, "-c", f"{look}; {use}"], check=True)
