"""Kustomizations and Helm charts are reported with a line and a remedy."""

from __future__ import annotations

import pytest

from reconciler.api import load
from reconciler.api.faults import NOT_RENDERED

HEAD = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"


def only_fault(text: str, file: str):
    loaded = load(text.encode(), file)
    (fault,) = [*loaded.faults, *(f for d in loaded.documents for f in d.faults)]
    return fault


@pytest.mark.parametrize(
    ("text", "file", "line"),
    [
        (HEAD + "namePrefix: dev-\n", "specs/kustomization.yaml", 3),
        (HEAD + "resources:\n- a.yaml\n- ../base\n", "kustomization.yml", 5),
        (HEAD + "resources:\n- https://example.com/x.yaml\n", "Kustomization", 4),
        (HEAD + "resources: [base]\n", "anything.yaml", 3),
        ("resources: [a.yaml]\nimages:\n- name: x\n", "kustomization.yaml", 2),
    ],
)
def test_a_kustomization_that_changes_things_is_an_error_with_a_remedy(text, file, line):
    fault = only_fault(text, file)

    assert (fault.file, fault.line, fault.severity, fault.reason) == (file, line, "error", NOT_RENDERED)
    assert "not rendered here" in fault.message
    assert "kubectl kustomize" in fault.message


def test_a_kustomization_that_only_lists_files_is_a_warning():
    fault = only_fault(HEAD + "resources:\n- job.yaml\n- ./team/rt.yml\n", "kustomization.yaml")

    assert (fault.line, fault.severity) == (1, "warning")
    assert "read as they are" in fault.message


def test_a_chart_is_an_error_with_a_remedy():
    fault = only_fault("apiVersion: v2\nname: demo\nversion: 1.0.0\n", "chart/Chart.yaml")

    assert (fault.line, fault.severity) == (1, "error")
    assert "helm template" in fault.message


def test_templates_that_flux_renders_are_warned_about():
    text = "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: apps}\n"

    assert "applied by Flux" in only_fault(text, "flux.yaml").message
