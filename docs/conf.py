"""How the site is built: ``make docs``. Needs no network, and a broken link is an error."""

from tessy import __version__

project = "tessy"
author = copyright = "The tessy developers"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["make_cli.py"]
# Pages read as well where Markdown is shown as it is, so of MyST only what Markdown has.
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_class_signature = "separated"
default_role = "py:obj"  # `Name` in a docstring links to it
napoleon_use_ivar = True  # "Attributes:" is a list, not a second entry for each

html_theme = "furo"
html_title = f"tessy {__version__}"
html_copy_source = False
html_show_sphinx = False
pygments_style = "sphinx"
