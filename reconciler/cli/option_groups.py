"""Groups of settings in the help of commands that take all of them: ``run`` and ``diff``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import click

#: The settings by what they are about; every one has its place.
GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "Folders": ("specs", "status_dir", "log_dir", "state_dir", "runtime_sources"),
    "Engine": ("engine", "container_host", "pull_policy", "address_pool"),
    "Jobs": (
        "auto_remove", "restart_scope", "update_policy", "max_jobs", "preempt", "allow_empty",
        "stop_jobs_on_exit",
    ),
    "Daemon": ("resync", "instance", "log_format", "log_level", "config_file", "environment_file"),
    "Git repository": (
        "git", "git_ref", "git_path", "git_interval", "git_verify", "git_allowed_signers", "git_gpg_keys",
        "git_ssh_key", "git_known_hosts", "git_token_file", "git_user", "git_webhook",
        "git_webhook_secret_file",
    ),
}  # fmt: skip


class GroupedCommand(click.Command):
    """A command whose help lists its options by group; those of its own come first."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes a section for each group."""
        title_of = {name: title for title, names in GROUPS.items() for name in names}
        sections: dict[str, list[tuple[str, str]]] = {title: [] for title in ("Options", *GROUPS)}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                sections[title_of.get(parameter.name or "", "Options")].append(record)
        for title, records in sections.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)
