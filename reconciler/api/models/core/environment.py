"""Environment variables of containers, and the sources of their values."""

from __future__ import annotations

from reconciler.api.models.base import Flag, Model, Quantity


class ConfigMapKeySelector(Model):
    """A key of a ConfigMap."""

    key: str
    name: str = ""
    optional: Flag | None = None


class ObjectFieldSelector(Model):
    """A field of the pod, as in ``metadata.name``."""

    field_path: str
    api_version: str | None = None


class FileKeySelector(Model):
    """A key of an env file in a volume of the pod."""

    key: str
    path: str
    volume_name: str
    optional: Flag = False


class ResourceFieldSelector(Model):
    """A resource of a container, as in ``limits.cpu``, divided by ``divisor``."""

    resource: str
    container_name: str | None = None
    divisor: Quantity | None = None


class SecretKeySelector(Model):
    """A key of a Secret."""

    key: str
    name: str = ""
    optional: Flag | None = None


class EnvVarSource(Model):
    """The source of a variable's value: one of the fields."""

    config_map_key_ref: ConfigMapKeySelector | None = None
    field_ref: ObjectFieldSelector | None = None
    file_key_ref: FileKeySelector | None = None
    resource_field_ref: ResourceFieldSelector | None = None
    secret_key_ref: SecretKeySelector | None = None


class EnvVar(Model):
    """An environment variable: a value, or the source of one."""

    name: str
    value: str | None = None
    value_from: EnvVarSource | None = None


class ConfigMapEnvSource(Model):
    """The ConfigMap of an ``envFrom``."""

    name: str = ""
    optional: Flag | None = None


class SecretEnvSource(Model):
    """The Secret of an ``envFrom``."""

    name: str = ""
    optional: Flag | None = None


class EnvFromSource(Model):
    """All keys of a ConfigMap or Secret as variables."""

    config_map_ref: ConfigMapEnvSource | None = None
    prefix: str | None = None
    secret_ref: SecretEnvSource | None = None
