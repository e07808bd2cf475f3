"""How Sphinx builds the documentation: ``make docs``."""

import runpy
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

project = "gamenet"
author = "the gamenet developers"
project_copyright = "2026, the gamenet developers"
version = release = runpy.run_path(str(ROOT / "gamenet" / "_version.py"))["__version__"]

extensions = []
exclude_patterns = ["_build"]
default_role = "literal"
highlight_language = "python"

html_theme = "furo"
html_title = f"gamenet {release}"
html_copy_source = False
html_show_sourcelink = False
