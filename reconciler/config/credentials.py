"""Secrets that a service manager passes as files (systemd's ``LoadCredential=``).

Their folder is ``$CREDENTIALS_DIRECTORY``: readable by this user alone, and gone when the service ends. The
units that come with this project pass a blank one where the user has none: blank is the same as missing.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from reconciler.common.regular_files import SMALL_FILE, read_regular_file
from reconciler.errors import ConfigError

#: A Docker ``config.json`` with ``auths``, as ``podman login --authfile`` writes it.
REGISTRY_AUTH: Final = "registry-auth"


def read_credential(name: str) -> bytes | None:
    """Returns the credential of this name; None where there is none.

    Raises:
        ConfigError: it cannot be read.
    """
    folder = os.environ.get("CREDENTIALS_DIRECTORY", "")
    if not folder.startswith("/"):
        return None
    path = Path(folder, name)
    try:
        data = read_regular_file(path, limit=SMALL_FILE)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"The credential {path} cannot be read: {error.strerror}.") from None
    return data if data.strip() else None
