"""What the user configures: settings, where they come from, the policy, and the log's form.

What belongs here: :mod:`settings` (one frozen :class:`Settings`, a field per option, merged from flags,
variables and ``reconciler.yaml``), :mod:`options` (how an option is written, and its value parsed),
:mod:`settings_file` and :mod:`environment_file` (where values come from), :mod:`policy` and
:mod:`policy_file` (what manifests may ask for), :mod:`credentials`, :mod:`git_urls`, :mod:`logging_setup`.
Import the modules, not this package: ``--help`` must not pay for pydantic, YAML or structlog.

Never imports: anything above :mod:`reconciler.common`, ``names`` and ``errors``.
"""
