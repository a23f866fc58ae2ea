"""How Sphinx builds the documentation."""

from importlib.metadata import version as installed_version
from importlib.util import find_spec

__all__ = ["extensions", "project"]

project = "unionlayers"
author = "The unionlayers authors"
copyright = f"2026, {author}"
release = installed_version(project)
version = release

# The page of names is the same where the extra is not installed.
autodoc_mock_imports = [] if find_spec("fsspec") else ["fsspec"]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
default_role = "py:obj"

html_theme = "furo"
html_title = f"unionlayers {release}"
html_copy_source = False

myst_enable_extensions = ["deflist", "fieldlist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
python_maximum_signature_line_length = 88
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_custom_sections = ["Cost", "Source", "Spec"]
