"""Set before anything is imported or started: threads, and what Ctrl-C means to the programs that tests start."""

import os
import signal

# Tiny models gain nothing from threads, and threads that spin starve a busy machine. Before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A shell that starts the tests in the background has them ignore Ctrl-C, and their children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
