"""`python -m keyprint.child PARENT MODULE`: runs MODULE as `python -m MODULE` would, but not longer than its parent.

Set here and not between fork and exec, where a process with threads must run no Python.
"""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import sys

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def main() -> None:
    """Asks the kernel for a SIGTERM on the parent's death, where it can, and becomes MODULE."""
    parent, module = int(sys.argv[1]), sys.argv[2]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            # It died before we asked.
            sys.exit(1)
    del sys.argv[1:3]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
