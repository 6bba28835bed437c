"""How the site is built: `make docs`. Nothing is fetched, and a warning is an error."""

import sys
from pathlib import Path

import scalekern

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "scalekern"
author = "the scalekern authors"
copyright = author  # noqa: A001 - Sphinx's word
version = release = scalekern.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "numpydoc",
    "api_pages",
    "page_runs",
]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["_ext", "_static", "recorded", "benchmarks/*.md"]
nitpicky = False  # types of parameters are words ("array of shape (n, d)"), not names
default_role = "code"

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

autodoc_member_order = "groupwise"
toc_object_entries_show_parents = "hide"
autodoc_typehints = "none"  # the docstrings say shapes and units, which types do not
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

html_theme = "pydata_sphinx_theme"
html_title = "scalekern"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_sidebars = {page: [] for page in ("index", "peers", "limits", "commands", "changelog")}
html_theme_options = {
    "navbar_align": "left",
    "header_links_before_dropdown": 8,
    "show_toc_level": 2,
    "show_prev_next": True,
    "footer_start": ["copyright"],
    "footer_end": ["theme-version"],
    "secondary_sidebar_items": ["page-toc"],
}
