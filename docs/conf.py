"""Sphinx's configuration: `make docs` builds the pages, and a warning is an error."""

from __future__ import annotations

from importlib import metadata

project = "FlowJob"
author = "The FlowJob authors"
copyright = author
version = release = metadata.version("airflow-provider-flowjob")

extensions = ["myst_parser", "sphinx.ext.autodoc"]
source_suffix = {".md": "markdown"}
# What pages include is no page.
exclude_patterns = ["_build", "bench", "examples"]

html_theme = "furo"
html_title = f"FlowJob {version}"
html_static_path = ["_static"]

# A heading is linked to by its text, as on the usual public forges.
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence", "deflist"]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autoclass_content = "class"
# What Airflow's base classes say is in Airflow's own documentation.
autodoc_inherit_docstrings = False
