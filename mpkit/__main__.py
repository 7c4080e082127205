"""`python -m mpkit` is `mpkit`; `accelerate launch -m mpkit train ...` trains in several processes."""

import sys

from mpkit.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
