"""Admission: rules for documents that already fit their models. One module for each subject.

:mod:`~reconciler.api.validation.admission` runs all of them on the documents of a folder;
:mod:`~reconciler.api.validation.immutable_fields` compares two versions of an object;
:mod:`~reconciler.api.validation.unsupported_fields` warns of fields without effect. A ``check`` function
yields :data:`~reconciler.api.faults.Findings`, field paths and messages, because its caller knows the
document.

Import :func:`.admission.check` and :func:`.immutable_fields.check_update` from outside. Pure: never imports
what does I/O, nor how documents are loaded.
"""
