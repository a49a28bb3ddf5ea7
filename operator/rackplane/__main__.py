"""`python -m rackplane`."""

import sys

from rackplane.cli import main

if __name__ == "__main__":
    sys.exit(main())
