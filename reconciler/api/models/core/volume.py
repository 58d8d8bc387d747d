"""Volumes of a pod, and the sources that have an effect on one host.

The sources of clouds and storage systems are in :mod:`reconciler.api.models.core.cloud_volumes`.
"""

from __future__ import annotations

from pydantic import Field

from reconciler.api.models.base import Flag, Int32, Int64, Model, Quantity, StringMap
from reconciler.api.models.core import cloud_volumes
from reconciler.api.models.core.environment import ObjectFieldSelector, ResourceFieldSelector
from reconciler.api.models.core.persistent_volume_claim import PersistentVolumeClaimTemplate
from reconciler.api.models.metadata import LabelSelector, LocalObjectReference


class KeyToPath(Model):
    """A key and the path of its file."""

    key: str
    path: str
    mode: Int32 | None = None


class ConfigMapVolumeSource(Model):
    """A ConfigMap's keys as files."""

    name: str = ""
    default_mode: Int32 | None = None
    items: tuple[KeyToPath, ...] = ()
    optional: Flag | None = None


class CSIVolumeSource(Model):
    """A volume of a CSI driver."""

    driver: str
    fs_type: str | None = None
    node_publish_secret_ref: LocalObjectReference | None = None
    read_only: Flag | None = None
    volume_attributes: StringMap = Field(default_factory=dict)


class DownwardAPIVolumeFile(Model):
    """One file of a downward API volume."""

    path: str
    field_ref: ObjectFieldSelector | None = None
    mode: Int32 | None = None
    resource_field_ref: ResourceFieldSelector | None = None


class DownwardAPIVolumeSource(Model):
    """Fields of the pod as files."""

    default_mode: Int32 | None = None
    items: tuple[DownwardAPIVolumeFile, ...] = ()


class EmptyDirVolumeSource(Model):
    """A folder that lives as long as the pod; ``medium: Memory`` for a tmpfs."""

    medium: str | None = None
    size_limit: Quantity | None = None


class EphemeralVolumeSource(Model):
    """A claim that lives as long as the pod."""

    volume_claim_template: PersistentVolumeClaimTemplate | None = None


class HostPathVolumeSource(Model):
    """A path of the host."""

    path: str
    type: str | None = None


class ImageVolumeSource(Model):
    """An image's files."""

    pull_policy: str | None = None
    reference: str | None = None


class NFSVolumeSource(Model):
    """An NFS export."""

    path: str
    server: str
    read_only: Flag | None = None


class PersistentVolumeClaimVolumeSource(Model):
    """A claim by name; here a named volume."""

    claim_name: str
    read_only: Flag | None = None


class ClusterTrustBundleProjection(Model):
    """Trust bundles of a cluster as a file."""

    path: str
    name: str | None = None
    label_selector: LabelSelector | None = None
    optional: Flag | None = None
    signer_name: str | None = None


class ConfigMapProjection(Model):
    """A ConfigMap's keys as files of a projected volume."""

    name: str = ""
    items: tuple[KeyToPath, ...] = ()
    optional: Flag | None = None


class DownwardAPIProjection(Model):
    """Fields of the pod as files of a projected volume."""

    items: tuple[DownwardAPIVolumeFile, ...] = ()


class PodCertificateProjection(Model):
    """A certificate issued by a cluster."""

    key_type: str
    signer_name: str
    certificate_chain_path: str | None = None
    credential_bundle_path: str | None = None
    key_path: str | None = None
    max_expiration_seconds: Int32 | None = None
    user_annotations: StringMap = Field(default_factory=dict)


class SecretProjection(Model):
    """A Secret's keys as files of a projected volume."""

    name: str = ""
    items: tuple[KeyToPath, ...] = ()
    optional: Flag | None = None


class ServiceAccountTokenProjection(Model):
    """A token issued by a cluster."""

    path: str
    audience: str | None = None
    expiration_seconds: Int64 | None = None


class VolumeProjection(Model):
    """One source of a projected volume."""

    cluster_trust_bundle: ClusterTrustBundleProjection | None = None
    config_map: ConfigMapProjection | None = None
    downward_api: DownwardAPIProjection | None = None
    pod_certificate: PodCertificateProjection | None = None
    secret: SecretProjection | None = None
    service_account_token: ServiceAccountTokenProjection | None = None


class ProjectedVolumeSource(Model):
    """Several sources in one folder."""

    default_mode: Int32 | None = None
    sources: tuple[VolumeProjection, ...] = ()


class SecretVolumeSource(Model):
    """A Secret's keys as files."""

    default_mode: Int32 | None = None
    items: tuple[KeyToPath, ...] = ()
    optional: Flag | None = None
    secret_name: str | None = None


class Volume(Model):
    """A volume of a pod: a name and exactly one source."""

    name: str
    aws_elastic_block_store: cloud_volumes.AWSElasticBlockStoreVolumeSource | None = None
    azure_disk: cloud_volumes.AzureDiskVolumeSource | None = None
    azure_file: cloud_volumes.AzureFileVolumeSource | None = None
    cephfs: cloud_volumes.CephFSVolumeSource | None = None
    cinder: cloud_volumes.CinderVolumeSource | None = None
    config_map: ConfigMapVolumeSource | None = None
    csi: CSIVolumeSource | None = None
    downward_api: DownwardAPIVolumeSource | None = None
    empty_dir: EmptyDirVolumeSource | None = None
    ephemeral: EphemeralVolumeSource | None = None
    fc: cloud_volumes.FCVolumeSource | None = None
    flex_volume: cloud_volumes.FlexVolumeSource | None = None
    flocker: cloud_volumes.FlockerVolumeSource | None = None
    gce_persistent_disk: cloud_volumes.GCEPersistentDiskVolumeSource | None = None
    git_repo: cloud_volumes.GitRepoVolumeSource | None = None
    glusterfs: cloud_volumes.GlusterfsVolumeSource | None = None
    host_path: HostPathVolumeSource | None = None
    image: ImageVolumeSource | None = None
    iscsi: cloud_volumes.ISCSIVolumeSource | None = None
    nfs: NFSVolumeSource | None = None
    persistent_volume_claim: PersistentVolumeClaimVolumeSource | None = None
    photon_persistent_disk: cloud_volumes.PhotonPersistentDiskVolumeSource | None = None
    portworx_volume: cloud_volumes.PortworxVolumeSource | None = None
    projected: ProjectedVolumeSource | None = None
    quobyte: cloud_volumes.QuobyteVolumeSource | None = None
    rbd: cloud_volumes.RBDVolumeSource | None = None
    scale_io: cloud_volumes.ScaleIOVolumeSource | None = None
    secret: SecretVolumeSource | None = None
    storageos: cloud_volumes.StorageOSVolumeSource | None = None
    vsphere_volume: cloud_volumes.VsphereVirtualDiskVolumeSource | None = None
