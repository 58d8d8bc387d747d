"""Writes ``crds/`` from the models; ``--check`` only says whether it is up to date.

Run it after every change of a model: ``python scripts/generate_crds.py``.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import yaml

from reconciler.api.crds import build_crds

FOLDER = Path(__file__).resolve().parent.parent / "crds"
HEADER = "# Generated from reconciler/api by scripts/generate_crds.py; do not edit.\n"


class _Plain(yaml.SafeDumper):
    """Writes shared values out: a CRD with anchors is hard to read and some tools refuse it."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002
        return True


def render_all() -> dict[str, str]:
    """Returns the text of each CustomResourceDefinition by file name."""
    return {
        name: HEADER + yaml.dump(definition, Dumper=_Plain, sort_keys=True, width=110)
        for name, definition in build_crds().items()
    }


def main() -> int:
    """Writes or checks; 1 when a check finds a difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a file would change")
    check = parser.parse_args().check
    stale = 0
    for name, text in render_all().items():
        path = FOLDER / name
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale += 1
        print(f"{'stale' if check else 'written'}: {path}")
        if not check:
            FOLDER.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
