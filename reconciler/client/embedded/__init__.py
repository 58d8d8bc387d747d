"""Runs the jobs of a folder inside the client's process, while no daemon runs on the folder.

* :mod:`~reconciler.client.embedded.client_settings`: from a client's arguments to the settings in force.
* :mod:`~reconciler.client.embedded.embedded_controller`: one controller thread per folder, its start and end.
* :mod:`~reconciler.client.embedded.controller_logging`: where that controller's log events go.
* :mod:`~reconciler.client.embedded.host_path_grants`: host paths that the client's calls name.

Only :mod:`reconciler.client.trainer_client` imports these modules. They import the controller, in functions
(it brings the engines' clients), and never :mod:`reconciler.client.jobs`, ``manifests`` or the command line.
"""
