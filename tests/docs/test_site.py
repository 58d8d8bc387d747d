"""The site is built without a warning, and links lead somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, pages

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_SCHEME = re.compile(r"[a-z]+://|mailto:")


@pytest.mark.timeout(240)
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-E", "-d", tmp_path / "trees",
         "docs", tmp_path / "html"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert (done.returncode, done.stderr) == (0, "")
    for page in ("index", "tutorial/first-job", "reference/generated/trainjob", "reference/status"):
        assert (tmp_path / "html" / f"{page}.html").exists()


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for target in _LINK.findall(text):
        path = target.partition("#")[0]
        if not path or _SCHEME.match(target):
            continue
        # Generated pages are not in a checkout, where people read these pages first.
        assert "/generated/" not in path, f"{page.relative_to(ROOT)}: {target}: link to reference/index.md"
        assert (page.parent / path).exists(), f"{page.relative_to(ROOT)}: {target}"
