"""The command line: `keyprint`."""

from __future__ import annotations

import sys


def main() -> None:
    """Runs the command; exits with 2 where words or settings are off, with 1 and a sentence where Keyprint refuses."""
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
        sys.stderr.write(f"error: {error.told}\n")
        sys.exit(2 if error.reason == "SETTING_INVALID" else 1)
