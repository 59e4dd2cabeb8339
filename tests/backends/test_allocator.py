"""What the tuned PyTorch implementation says of freed memory is what is in force."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from backends import BACKENDS
from tests.command import environment
from tests.frameworks import marks

ALLOCATOR = "#include <stddef.h>\nvoid *__libc_malloc(size_t);\nvoid *malloc(size_t n) { return __libc_malloc(n); }\n"
ASK = "from backends.torch.tuned import keep_freed_memory; print(keep_freed_memory())"

pytestmark = [
    *marks(BACKENDS["torch"]),
    pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc"),
    pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler"),
]


def test_memory_is_kept_by_glibc_and_not_by_a_preloaded_allocator(tmp_path: Path) -> None:
    library = tmp_path / "allocator.so"
    (tmp_path / "allocator.c").write_text(ALLOCATOR)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, tmp_path / "allocator.c"], check=True)
    for preloaded, expected in (({}, "True\n"), ({"LD_PRELOAD": str(library)}, "False\n")):
        asked = [sys.executable, "-c", ASK]
        variables = {**environment(), **preloaded}
        variables = variables if preloaded else {key: each for key, each in variables.items() if key != "LD_PRELOAD"}
        finished = subprocess.run(asked, capture_output=True, text=True, env=variables, timeout=500)
        assert finished.stdout == expected, finished.stderr
