"""Every block of the documentation is run, or validated, or has a reason why not."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from reconciler.cli.main import app
from tests.config.loading import load
from tests.docs import shells
from tests.docs.pages import SHELL, SHOWN, TESTED, Block, blocks, pages
from tests.support import images
from tests.support.workspaces import ROOT

PAGES = pages()
#: Those with YAML to validate, and with commands to run.
WITH_YAML = [page for page in PAGES if any(b.language == "yaml" and not b.untested for b in blocks(page))]
WITH_COMMANDS = [
    page
    for page in PAGES
    if any(not b.untested and (b.language in SHELL or "run" in b.words) for b in blocks(page))
]
#: Blocks that nothing is done with, of all shell, YAML and Python blocks.
UNTESTED_AT_MOST = 0.3


def ids(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shells.make_python(tmp_path_factory.mktemp("python"))


@pytest.fixture(scope="session")
def python_with_torch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shells.python_version() != (3, 11):
        pytest.skip("PyTorch for tests is installed for Python 3.11, which this is not")
    try:
        site = images.ensure_site()
    except images.ImageMissing as error:
        pytest.skip(str(error))
    return shells.make_python(tmp_path_factory.mktemp("torch"), [site])


def test_every_language_is_known() -> None:
    strange = [b.place for page in PAGES for b in blocks(page) if b.language not in TESTED | SHOWN]

    assert strange == [], "a block's language says what is done with it; see tests/docs/pages.py"


def test_few_blocks_go_untested_and_each_has_a_reason() -> None:
    found = [block for page in PAGES for block in blocks(page) if block.language in TESTED]
    untested = [block for block in found if block.untested]

    print(f"{len(found)} blocks, {len(untested)} of them untested:")
    for block in untested:
        print(f"  {block.place}: {block.untested}")
    assert all(len(block.untested) > 10 for block in untested)
    assert len(untested) <= UNTESTED_AT_MOST * len(found)


@pytest.mark.parametrize("page", WITH_YAML, ids=ids)
def test_yaml_is_what_the_program_takes(page: Path, tmp_path: Path) -> None:
    found = [b for b in blocks(page) if b.language == "yaml" and not b.untested]

    for block in found:
        if "kind:" in block.text:
            _check_manifests(block, found, tmp_path)
        else:
            _check_settings(block, tmp_path)


def _check_manifests(block: Block, others: Sequence[Block], folder: Path) -> None:
    """Without an error, and each job has a plan; ``with=`` names what stands in another block."""
    wanted = block.words.get("with", "").split(",")
    texts = [block.text, *(o.text for o in others if o.words.get("file") in wanted)]
    file = folder / f"line-{block.line}.yaml"
    file.write_text("\n---\n".join(texts))

    done = CliRunner().invoke(app, ["plan", str(file), "-o", "json"])

    made = json.loads(done.stdout)
    assert (done.exit_code, made["errors"]) == (0, []), f"{block.place}: {done.output[-2000:]}"
    jobs = [d for d in yaml.safe_load_all(file.read_text()) if d and d["kind"] == "TrainJob"]
    assert len(made["jobs"]) == len(jobs), block.place


def _check_settings(block: Block, folder: Path) -> None:
    (folder / "reconciler.yaml").write_text(block.text)
    assert isinstance(yaml.safe_load(block.text), dict), block.place
    load(folder=folder)


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_python_compiles(page: Path) -> None:
    for block in blocks(page):
        if block.language == "python" and not block.untested:
            ast.parse(block.text, filename=block.place)


@pytest.mark.timeout(480)
@pytest.mark.parametrize("page", WITH_COMMANDS, ids=ids)
def test_what_a_reader_would_type_works(page: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    mine = [b for b in blocks(page) if not b.untested]
    torch = any("torch" in block.words for block in mine)
    interpreter = request.getfixturevalue("python_with_torch" if torch else "python")
    shell = shells.prepare(tmp_path, interpreter)

    try:
        for block in mine:
            _play(block, shell)
    except AssertionError:
        print(shell.close()[-4000:])
        raise
    finally:
        _clean(shell)


def _play(block: Block, shell: shells.Shell) -> None:
    if example := block.words.get("setup"):
        source = ROOT / "specs" / "examples" / f"{example}.yaml"
        (shell.home / "jobs" / source.name).write_bytes(source.read_bytes())
    if name := block.words.get("file"):
        path = shell.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text)
    if block.language in SHELL and "background" in block.words:
        for command, _ in _commands(block):
            shell.background(command)
    elif block.language in SHELL and "file" not in block.words:
        wanted = int(block.words.get("exit", "0"))
        for command, shown in _commands(block):
            status, output = shell.run(command)
            assert status == wanted, f"{block.place}: {command}\n{output[-4000:]}"
            if shown:
                assert shells.matches(shown, output), f"{block.place}: {command}\nprinted:\n{output[-4000:]}"
    elif block.language == "python" and "run" in block.words:
        script = shell.home / f"block-{block.line}.py"
        script.write_text(block.text)
        status, output = shell.run(f"python {script}")
        assert status == 0, f"{block.place}\n{output[-4000:]}"


def _commands(block: Block) -> Iterator[tuple[str, list[str]]]:
    if block.language == "console":
        yield from shells.commands(block.text)
    else:
        yield block.text, []


def _clean(shell: shells.Shell) -> None:
    """An empty folder leaves no process of a job."""
    if shell.process.poll() is None:
        shell.close()
    again = shells.Shell(shell.home, shell.environment)
    again.run("rm -f jobs/*.yaml; test ! -d .local/state || reconciler run --specs jobs --once --allow-empty")
    again.close()
