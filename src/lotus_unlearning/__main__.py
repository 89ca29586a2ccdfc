"""``python -m lotus_unlearning`` is ``lotus``."""

import sys

from lotus_unlearning.cli import main

if __name__ == "__main__":
    sys.exit(main())
