"""How Sphinx builds the documentation; ``make docs`` calls it with warnings as errors.

Reference pages that follow from the code are written before anything is read, so they are never old. Pages
are Markdown (MyST), and read well on their own: links between them are relative paths.
"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "scripts"), str(HERE.parent)]

import generate_reference  # noqa: E402  (needs the path above)

from reconciler import __version__  # noqa: E402

project = "reconciler"
author = "The reconciler authors"
version = release = __version__
language = "en"

extensions = ["myst_parser", "sphinxcontrib.mermaid"]
# As code hosts render it, too.
myst_fence_as_directive = ["mermaid"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
nitpicky = True

html_theme = "furo"
html_title = f"reconciler {__version__}"
html_show_copyright = False
html_copy_source = False
html_show_sourcelink = False

generate_reference.write(HERE / "reference" / "generated")
