"""Manifests as the client and the command line write them: new ones for ``train()``, edits of existing ones.

* :mod:`~reconciler.client.manifests.submission`: the whole manifest of ``train()``, checked before it is
  written. Its parts: :mod:`~reconciler.client.manifests.trainer_spec` (``spec.trainer``, resources),
  :mod:`~reconciler.client.manifests.function_source` and :mod:`~reconciler.client.manifests.function_command`
  (a function as a container's command), :mod:`~reconciler.client.manifests.torchtune_arguments`,
  :mod:`~reconciler.client.manifests.initializer_spec` (``spec.initializer`` and the runtime it may need).
* :mod:`~reconciler.client.manifests.manifest_editor`: what ``reconciler suspend``, ``resume``, ``rerun``,
  ``delete`` and ``delete_job()`` change, with :mod:`~reconciler.client.manifests.yaml_text_edits` for the
  text.

Import from the modules. Never imports :mod:`reconciler.client.embedded`, the controller or the command line.
"""
