"""``python -m corten``."""

import sys

from corten.cli.entry import main

if __name__ == "__main__":
    sys.exit(main())
