"""The command line: `keyprint`."""

from __future__ import annotations

import sys


def main() -> None:
    """Runs the command; exits with 1 and one sentence where Keyprint refuses, with 2 where the words are off."""
    try:
        from keyprint.cli.app import app
    except ModuleNotFoundError as error:
        if error.name not in ("typer", "rich", "numpy", "pyarrow"):
            raise
        sys.exit(f"error: the command line needs {error.name}: pip install 'keyprint[cli]'")
    from keyprint.errors import KeyprintError

    try:
        app()
    except KeyprintError as error:
        where = f"{error.reason}, {error.field}" if error.field else error.reason
        sys.exit(f"error: {error.message} [{where}]")
