"""`python -m soundfold` is `soundfold`."""

import sys

from soundfold.cli import main

if __name__ == "__main__":
    sys.exit(main())
