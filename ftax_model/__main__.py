"""``python -m ftax_model`` is ``ftax``."""

import sys

from ftax_model.cli import main

sys.exit(main())
