"""`python -m keyprint.container`: becomes the part that KEYPRINT_PART names; with `health`, asks it how it is.

A container's image sets KEYPRINT_PART and needs no shell so.
"""

from __future__ import annotations

import os
import sys

from keyprint.addresses import Address, setting_of
from keyprint.processes import MODULES, is_healthy


def main() -> None:
    """Ends with status 2 where no part is named, and with 1 where a part that is asked for is not healthy."""
    part = os.environ.get("KEYPRINT_PART", "")
    if part not in MODULES:
        sys.stderr.write(f"error: KEYPRINT_PART is {part!r}; it must be one of {', '.join(MODULES)}.\n")
        sys.exit(2)
    if sys.argv[1:] == ["health"]:
        setting = setting_of(part)
        sys.exit(0 if is_healthy(part, Address.parse(os.environ[setting], setting)) else 1)
    # The same process, so that it gets the signals.
    os.execv(sys.executable, [sys.executable, "-m", MODULES[part]])  # noqa: S606 - our own interpreter and modules


if __name__ == "__main__":
    main()
