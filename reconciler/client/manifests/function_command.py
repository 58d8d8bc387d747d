"""Builds the container's command for a function, as the SDK's Kubernetes backend does.

pip installs packages, a here-document writes the function to a file, ``torchrun`` (or ``python``, or
``mpirun``) runs it. Unlike upstream's the here-document is quoted, so that the shell leaves the user's code
alone. What can go wrong: a line of the code equals the delimiter (another delimiter is used), and the script
is longer than an argument may be on Linux (an error here, where its author is).
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Final

from reconciler.client.client_errors import FunctionSourceError
from reconciler.client.constants import constants
from reconciler.client.manifests.function_source import FunctionProgram

#: Bytes: Linux's limit for one argument (MAX_ARG_STRLEN), less the terminating zero.
MAX_ARGUMENT_LENGTH: Final = 128 * 1024 - 1

_PIP: Final = """
if ! [ -x "$(command -v pip)" ]; then
    python -m ensurepip || python -m ensurepip --user || apt-get install python-pip
fi


PACKAGES=({packages})
PIP_OPTS=({options})
LOG_FILE="{log}"
rm -f "$LOG_FILE"

export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_BREAK_SYSTEM_PACKAGES=1
PIP="python -m pip install --quiet --no-warn-script-location"
if $PIP "${{PIP_OPTS[@]}}" --user "${{PACKAGES[@]}}" >"$LOG_FILE" 2>&1; then
    echo "Successfully installed Python packages (user): ${{PACKAGES[*]}}"
elif $PIP "${{PIP_OPTS[@]}}" "${{PACKAGES[@]}}" >>"$LOG_FILE" 2>&1; then
    echo "Successfully installed Python packages (system-wide): ${{PACKAGES[*]}}"
else
    echo "ERROR: Failed to install Python packages: ${{PACKAGES[*]}}" >&2
    cat "$LOG_FILE" >&2
    exit 1
fi

"""


def build_function_command(
    template: Sequence[str], program: FunctionProgram, *, packages: Sequence[str], index_urls: Sequence[str]
) -> list[str]:
    """Returns the container's command.

    Args:
        template: command of the runtime's trainer; the part with ``{func_code}`` becomes the script.
        program: the function.
        packages: for pip; empty: pip is not run.
        index_urls: the first is pip's index, the others are extra ones; empty: pip's own.

    Raises:
        FunctionSourceError: the script is longer than an argument can be.
    """
    home = f"{constants.DEFAULT_MPI_USER_HOME}/" if template[0] == "mpirun" else ""
    install = _install_script(packages, index_urls, log=f"{home}pip_install.log") if packages else ""
    command = [_fill(part, install, program, f"{home}{program.file_name}") for part in template]
    longest = max(len(part.encode()) for part in command)
    if longest > MAX_ARGUMENT_LENGTH:
        raise FunctionSourceError(
            f"The function and its arguments are {longest} bytes long; Linux passes {MAX_ARGUMENT_LENGTH}.",
            remedy="Put data into a file (a volume, an initializer) or code into an image.",
        )
    return command


def _fill(part: str, install: str, program: FunctionProgram, file: str) -> str:
    if "{func_file}" not in part:
        return part
    # Not by format(): the script's own braces are the shell's, the code's are Python's.
    script = part.replace("__DELIMITER__", _delimiter(program.code)).replace("{func_file}", file)
    return install + script.replace("{func_code}", program.code)


def _delimiter(code: str) -> str:
    lines = set(code.splitlines())
    delimiter = "EOM"
    while delimiter in lines:
        delimiter += "_"
    return delimiter


def _install_script(packages: Sequence[str], index_urls: Sequence[str], *, log: str) -> str:
    options = [f"--index-url {shlex.quote(index_urls[0])}"] if index_urls else []
    options += [f"--extra-index-url {shlex.quote(url)}" for url in index_urls[1:]]
    quoted = " ".join(shlex.quote(package) for package in packages)
    return _PIP.format(packages=quoted, options=" ".join(options), log=log)
