"""Commands that run a shipped function: the shape of the SDK's Kubernetes backend.

A here-document writes the function to a file, ``torchrun`` (or ``python``, or ``mpirun``) runs it, and pip
comes before. Unlike upstream's the here-document is quoted, so that the shell leaves the user's code alone.
What can go wrong: a line of the code equals the delimiter (another one is taken), and an argument longer than
Linux lets a program have (refused here, where it can be said).
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Final

from reconciler.client.client_errors import FunctionNotShippable
from reconciler.client.constants import constants
from reconciler.client.manifests.function_source import Shipped

#: Linux's limit for one argument (MAX_ARG_STRLEN), less the end.
LONGEST_ARGUMENT: Final = 128 * 1024 - 1

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


def function_command(
    shape: Sequence[str], shipped: Shipped, *, packages: Sequence[str], indexes: Sequence[str]
) -> list[str]:
    """The container's command.

    Args:
        shape: of the runtime's trainer; the part with ``{func_code}`` becomes the script.
        shipped: the function.
        packages: for pip; none: pip is not run.
        indexes: URLs, the first pip's index; none: pip's own.

    Raises:
        FunctionNotShippable: the script is longer than an argument can be.
    """
    home = f"{constants.DEFAULT_MPI_USER_HOME}/" if shape[0] == "mpirun" else ""
    install = _install(packages, indexes, log=f"{home}pip_install.log") if packages else ""
    command = [_filled(part, install, shipped, f"{home}{shipped.file}") for part in shape]
    longest = max(len(part.encode()) for part in command)
    if longest > LONGEST_ARGUMENT:
        raise FunctionNotShippable(
            f"The function and its arguments are {longest} bytes long; Linux passes {LONGEST_ARGUMENT}.",
            remedy="Put data into a file (a volume, an initializer) or code into an image.",
        )
    return command


def _filled(part: str, install: str, shipped: Shipped, file: str) -> str:
    if "{func_file}" not in part:
        return part
    # Not by format(): the script's own braces are the shell's, the code's are Python's.
    script = part.replace("__DELIMITER__", _delimiter(shipped.code)).replace("{func_file}", file)
    return install + script.replace("{func_code}", shipped.code)


def _delimiter(code: str) -> str:
    lines = set(code.splitlines())
    delimiter = "EOM"
    while delimiter in lines:
        delimiter += "_"
    return delimiter


def _install(packages: Sequence[str], indexes: Sequence[str], *, log: str) -> str:
    options = [f"--index-url {shlex.quote(indexes[0])}"] if indexes else []
    options += [f"--extra-index-url {shlex.quote(url)}" for url in indexes[1:]]
    quoted = " ".join(shlex.quote(package) for package in packages)
    return _PIP.format(packages=quoted, options=" ".join(options), log=log)
