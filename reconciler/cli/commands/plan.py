"""``reconciler plan``: the networks and containers that manifests ask for; touches nothing."""

from __future__ import annotations

import click

from reconciler.cli import shared_options
from reconciler.cli.output.console import print_data, print_note
from reconciler.cli.output.fault_list import fault_data
from reconciler.config.settings import Settings

EPILOG = """\b
Example:
  reconciler plan                  # the folder of --specs
  reconciler plan specs/
  reconciler plan specs/ -o json | jq '.jobs[].containers[] | {name, image, env}'"""


@click.command(epilog=EPILOG)
@click.argument("paths", nargs=-1, metavar="[PATH...]", type=click.Path())
@shared_options.output_option("yaml", "json", default="yaml")
@shared_options.settings_options("specs", "runtime_sources", "status_dir", accept_all=False)
def plan(paths: tuple[str, ...], *, form: str, settings: Settings) -> int:
    """Show the containers that manifests become; PATHs are files, folders or - and count as one folder.

    Without PATH: the folder of --specs.
    """
    paths = paths or (str(settings.specs),)
    from reconciler.cli import manifest_arguments  # noqa: PLC0415  (not for --help: imports the models)
    from reconciler.cli.manifest_plans import check_policy, merge_faults, plan_jobs, render_jobs  # noqa: PLC0415
    from reconciler.plan.policy.violations import POLICY_VIOLATION  # noqa: PLC0415

    manifests = manifest_arguments.read_manifests(paths, status_dir=settings.status_dir)
    runtimes = manifest_arguments.load_other_runtimes(settings.runtime_sources)
    faults = manifest_arguments.validate_manifests(manifests, runtimes)
    planned, unplanned = plan_jobs(manifests, runtimes, faults)
    jobs, unrendered = render_jobs(planned, manifests, faults)
    violations = check_policy(planned, settings, paths, severity="warning")
    faults = merge_faults(faults, unplanned, unrendered, violations)
    print_data({"jobs": jobs, **fault_data(faults)}, form)
    if form == "yaml":
        for fault in faults:
            if fault.severity == "error" or fault.reason == POLICY_VIOLATION:
                print_note(str(fault))
    return 1 if any(fault.severity == "error" for fault in faults) else 0
