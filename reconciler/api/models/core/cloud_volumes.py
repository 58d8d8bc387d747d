"""Volume sources of clouds and storage systems: accepted as by upstream, with a warning."""

from __future__ import annotations

from pydantic import Field

from reconciler.api.models.base import Flag, Int32, Model, StringMap
from reconciler.api.models.metadata import LocalObjectReference


class AWSElasticBlockStoreVolumeSource(Model):
    """An AWS disk."""

    volume_id: str
    fs_type: str | None = None
    partition: Int32 | None = None
    read_only: Flag | None = None


class AzureDiskVolumeSource(Model):
    """An Azure disk."""

    disk_name: str
    disk_uri: str
    caching_mode: str | None = None
    fs_type: str = "ext4"
    kind: str | None = None
    read_only: Flag = False


class AzureFileVolumeSource(Model):
    """An Azure share."""

    secret_name: str
    share_name: str
    read_only: Flag | None = None


class CephFSVolumeSource(Model):
    """A CephFS mount."""

    monitors: tuple[str, ...]
    path: str | None = None
    read_only: Flag | None = None
    secret_file: str | None = None
    secret_ref: LocalObjectReference | None = None
    user: str | None = None


class CinderVolumeSource(Model):
    """An OpenStack volume."""

    volume_id: str
    fs_type: str | None = None
    read_only: Flag | None = None
    secret_ref: LocalObjectReference | None = None


class FCVolumeSource(Model):
    """A Fibre Channel volume."""

    fs_type: str | None = None
    lun: Int32 | None = None
    read_only: Flag | None = None
    target_wwns: tuple[str, ...] = ()
    wwids: tuple[str, ...] = ()


class FlexVolumeSource(Model):
    """A volume of a FlexVolume driver."""

    driver: str
    fs_type: str | None = None
    options: StringMap = Field(default_factory=dict)
    read_only: Flag | None = None
    secret_ref: LocalObjectReference | None = None


class FlockerVolumeSource(Model):
    """A Flocker dataset."""

    dataset_name: str | None = None
    dataset_uuid: str | None = None


class GCEPersistentDiskVolumeSource(Model):
    """A Google disk."""

    pd_name: str
    fs_type: str | None = None
    partition: Int32 | None = None
    read_only: Flag | None = None


class GitRepoVolumeSource(Model):
    """A clone of a git repository."""

    repository: str
    directory: str | None = None
    revision: str | None = None


class GlusterfsVolumeSource(Model):
    """A Glusterfs mount."""

    endpoints: str
    path: str
    read_only: Flag | None = None


class ISCSIVolumeSource(Model):
    """An iSCSI disk."""

    iqn: str
    lun: Int32
    target_portal: str
    chap_auth_discovery: Flag | None = None
    chap_auth_session: Flag | None = None
    fs_type: str | None = None
    initiator_name: str | None = None
    iscsi_interface: str = "default"
    portals: tuple[str, ...] = ()
    read_only: Flag | None = None
    secret_ref: LocalObjectReference | None = None


class PhotonPersistentDiskVolumeSource(Model):
    """A Photon disk."""

    pd_id: str
    fs_type: str | None = None


class PortworxVolumeSource(Model):
    """A Portworx volume."""

    volume_id: str
    fs_type: str | None = None
    read_only: Flag | None = None


class QuobyteVolumeSource(Model):
    """A Quobyte mount."""

    registry: str
    volume: str
    group: str | None = None
    read_only: Flag | None = None
    tenant: str | None = None
    user: str | None = None


class RBDVolumeSource(Model):
    """A Ceph block device."""

    image: str
    monitors: tuple[str, ...]
    fs_type: str | None = None
    keyring: str = "/etc/ceph/keyring"
    pool: str = "rbd"
    read_only: Flag | None = None
    secret_ref: LocalObjectReference | None = None
    user: str = "admin"


class ScaleIOVolumeSource(Model):
    """A ScaleIO volume."""

    gateway: str
    secret_ref: LocalObjectReference
    system: str
    fs_type: str = "xfs"
    protection_domain: str | None = None
    read_only: Flag | None = None
    ssl_enabled: Flag | None = None
    storage_mode: str = "ThinProvisioned"
    storage_pool: str | None = None
    volume_name: str | None = None


class StorageOSVolumeSource(Model):
    """A StorageOS volume."""

    fs_type: str | None = None
    read_only: Flag | None = None
    secret_ref: LocalObjectReference | None = None
    volume_name: str | None = None
    volume_namespace: str | None = None


class VsphereVirtualDiskVolumeSource(Model):
    """A vSphere disk."""

    volume_path: str
    fs_type: str | None = None
    storage_policy_id: str | None = None
    storage_policy_name: str | None = None
