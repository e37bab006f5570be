"""Removes from an environment what packages bring and no part of Keyprint runs, and compiles what is left.

usage: python trim.py ENVIRONMENT
"""

from __future__ import annotations

import compileall
import shutil
import sys
from pathlib import Path

UNUSED = {
    # Headers, and copies under other names, are for those who build against Arrow; Flight and file systems far away
    # are not spoken.
    "pyarrow": [
        "include",
        "src",
        "tests",
        "includes",
        "*.pxi",
        "*.pyx",
        "*.pxd",
        "*flight*",
        "*s3*",
        "*_azurefs*",
        "*_gcsfs*",
        "*_hdfs*",
        "*_cpp_tests*",
        "*_encryption*",
        "*_orc*",
        "_feather*",
        "_substrait*",
        "libarrow_python*.so",
        "libarrow_python*.so.*.*",
    ],
    # The pages load its JavaScript, and nothing loads its Python.
    "plotly": [
        "graph_objs",
        "labextension",
        "validators",
        "matplotlylib",
        "figure_factory",
        "express",
        "package_data/datasets",
        "package_data/templates",
        "package_data/widgetbundle.js",
    ],
    # numpy.testing, which SciPy loads, takes one file of its tests.
    "numpy": [
        "*/tests/test_*",
        "*/tests/data",
        "*/tests/examples",
        "distutils",
        "f2py/tests",
        "f2py/src",
        "_core/include",
        "_core/lib",
        "**/*.pyi",
    ],
    "scipy": ["*/tests", "*/*/tests"],
    "sklearn": ["*/tests", "*/*/tests"],
    # Of these only google.rpc's statuses are sent.
    "google": ["api", "cloud", "gapic", "logging", "longrunning", "type"],
    # SQLite and PostgreSQL are spoken.
    "sqlalchemy": ["testing", "dialects/mssql", "dialects/mysql", "dialects/oracle"],
    "alembic": ["testing"],
    "croniter": ["tests"],
    "greenlet": ["tests", "platform", "*.cpp", "*.hpp"],
    "onnx": ["backend/test"],
    "onnxruntime": ["datasets", "quantization", "tools", "transformers"],
    # Headers and tools for those who build operations.
    "tensorflow": ["include", "xla_aot_runtime_src"],
    "clang": ["*"],
}
"""Package to what goes, below it."""


def main(environment: Path) -> None:
    """Does so; says how much went and how much is left."""
    (packages,) = environment.glob("lib/python3.*/site-packages")
    before = size(packages)
    for package, patterns in UNUSED.items():
        if not (packages / package).is_dir():
            continue
        for pattern in patterns:
            found = list((packages / package).glob(pattern))
            if not found:
                sys.exit(f"error: {package} no longer has {pattern}; trim.py is out of date")
            for path in found:
                remove(path)
    removed = before - size(packages)
    # Some packages hold files that are no Python.
    compileall.compile_dir(packages, quiet=2, workers=0)
    sys.stdout.write(f"trimmed {removed / 1e6:.0f} MB, left {size(packages) / 1e6:.0f} MB, compiled\n")


def remove(path: Path) -> None:
    """A file or a folder."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def size(folder: Path) -> int:
    """Bytes of all files in it."""
    return sum(path.lstat().st_size for path in folder.rglob("*"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
