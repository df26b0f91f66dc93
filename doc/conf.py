"""Configuration of the documentation. It builds offline and without warnings."""

import os
import re
import sys
from html import escape
from pathlib import Path

from docutils.nodes import SkipNode
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.util.logging import getLogger

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from skcf import __version__

LOGGER = getLogger(__name__)

project = "skcf"
author = "the skcf developers"
copyright = f"2026, {author}"
version = release = __version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "_templates", "**sg_execution_times.rst"]
default_role = "literal"
highlight_language = "python"

autosummary_generate = True
autodoc_typehints = "none"
numpydoc_show_class_members = False

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    # an example on data that has to be downloaded is shown, and run where the data is at hand
    "filename_pattern": r"plot_" if "SKCF_DATA" in os.environ else r"plot_(?!\d+_.*_adult)",
    "ignore_pattern": r"(^|/)(?!plot_)[^/]*\.py$",
    "within_subsection_order": "FileNameSortKey",
    "doc_module": ("skcf",),
    "backreferences_dir": "generated/backreferences",
    "reference_url": {"skcf": None},
    "download_all_examples": False,
    "show_memory": False,
    "show_signature": False,
    "image_srcset": ["2x"],
}

html_theme = "pydata_sphinx_theme"
html_title = f"skcf {release}"
html_static_path = ["_static"]
html_css_files = ["skcf.css"]
html_show_sourcelink = False
html_math_renderer = "mathml"
html_theme_options = {
    "show_prev_next": False,
    "header_links_before_dropdown": 8,
    "secondary_sidebar_items": ["page-toc"],
    "navbar_end": ["theme-switcher"],
}
html_sidebars = {
    name: []
    for name in (
        "index",
        "getting_started",
        "contract",
        "constraints",
        "nearest",
        "exact",
        "prototype",
        "latent",
        "collective",
        "metrics",
        "tuning",
        "pitfalls",
        "glossary",
        "changelog",
    )
}


def write_math(translator, node, display):
    """Write a formula as MathML, which browsers draw by themselves: no MathJax from a network."""
    try:
        formula = tex2mathml(node.astext(), as_block=display)
    except MathError as error:
        LOGGER.warning("%s", error, location=node)
        formula = f"<code>{escape(node.astext())}</code>"
    translator.body.append(f'<div class="math">{formula}</div>' if display else formula)
    raise SkipNode


def visit_math(translator, node):
    write_math(translator, node, display=False)


def visit_displaymath(translator, node):
    write_math(translator, node, display=True)


def quote_fitted_names(app, what, name, obj, options, lines):
    """Quote names as in "shape (n_features_in_,)", whose underscore would make them links."""
    lines[:] = [re.sub(r"\((\w+_)(?=[,)])", r"(``\1``", line) for line in lines]


def setup(app):
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_displaymath, None))
    app.connect("autodoc-process-docstring", quote_fitted_names, priority=400)  # before numpydoc
