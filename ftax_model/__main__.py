"""``python -m ftax_model`` is ``ftax``."""

import sys

from ftax_model.cli import run

sys.exit(run())
