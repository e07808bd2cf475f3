"""How Sphinx builds the documentation: ``make docs``."""

import os
import runpy
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

project = "gamenet"
author = "the gamenet developers"
project_copyright = "2026, the gamenet developers"
version = release = runpy.run_path(str(ROOT / "gamenet" / "_version.py"))["__version__"]

# All of it comes from this repository: no inventories of other projects, no fonts or scripts from
# elsewhere, so that it builds and reads the same without a network.
extensions = ["sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
default_role = "literal"
highlight_language = "python"

# The docstrings are reST already; types are in the signatures, as in the code.
sys.path.insert(0, str(ROOT))
os.environ["PYGAME_HIDE_SUPPORT_PROMPT"] = "1"
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True}
# Defaults and types as the code names them, instead of all that they can be.
autodoc_type_aliases = {
    name: name for name in ("AnyGame", "Event", "Payload", "Address", "Command")
}
autodoc_preserve_defaults = True
add_module_names = False
python_use_unqualified_type_names = True
# A signature that would be wider than the page has a line for each parameter.
maximum_signature_line_length = 80
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_title = f"gamenet {release}"
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "navigation_with_keys": True,
    # A line of 100 characters, the longest there is in a listing, is as wide as the text.
    "light_css_variables": {"code-font-size": "0.735rem"},
}
# For light and for dark pages; both can be read by those who see colours otherwise.
pygments_style = "a11y-light"
pygments_dark_style = "a11y-high-contrast-dark"


def drop_alias(app, what, name, obj, options, lines):
    """What Python says of a field of a named tuple that says nothing itself."""
    if lines and lines[0].startswith("Alias for field number"):
        lines.clear()


def setup(app):
    app.connect("autodoc-process-docstring", drop_alias)
