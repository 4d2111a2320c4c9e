"""Set before torch is imported: tiny models gain nothing from threads, and threads that spin starve a busy machine."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
