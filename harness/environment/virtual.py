"""Whether this is a container or a virtual machine: both change what a figure means."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from harness.environment.files import ROOT, read

IN_CGROUP = {"kubepods": "kubernetes", "docker": "docker", "libpod": "podman", "lxc": "lxc", "containerd": "containerd"}
# What the firmware says of its maker or product, in lower case.
IN_FIRMWARE = {
    "firecracker": "firecracker",
    "amazon ec2": "amazon ec2",
    "google compute engine": "google compute engine",
    "vmware": "vmware",
    "virtualbox": "virtualbox",
    "innotek": "virtualbox",
    "parallels": "parallels",
    "bhyve": "bhyve",
    "openstack": "openstack",
    "xen": "xen",
    "kvm": "kvm",
    "qemu": "qemu",
}
UNKNOWN = "unknown hypervisor"


def find_container(root: Path = ROOT, variables: Mapping[str, str] = os.environ) -> str | None:
    """The kind of container, as far as it leaves traces; None for none."""
    if "KUBERNETES_SERVICE_HOST" in variables:
        return "kubernetes"
    for file, kind in ((".dockerenv", "docker"), ("run/.containerenv", "podman")):
        if (root / file).exists():
            return kind
    groups = read(root / "proc/1/cgroup") or ""
    traces = [kind for trace, kind in IN_CGROUP.items() if trace in groups]
    return next(iter(traces), None) or read(root / "run/systemd/container") or variables.get("container")


def find_virtual_machine(root: Path = ROOT) -> str | None:
    """The hypervisor or the cloud whose guest this is; None on bare metal, or where nothing tells."""
    if "microsoft" in (read(root / "proc/sys/kernel/osrelease") or "").lower():
        return "wsl"
    names = ("product_name", "sys_vendor", "board_vendor", "bios_vendor")
    firmware = " ".join(read(root / "sys/class/dmi/id" / name) or "" for name in names).lower()
    if "microsoft" in firmware and "virtual machine" in firmware:
        return "hyper-v"
    for trace, kind in IN_FIRMWARE.items():
        if trace in firmware:
            return kind
    return read(root / "sys/hypervisor/type") or (UNKNOWN if _has_hypervisor_flag(root) else None)


def _has_hypervisor_flag(root: Path) -> bool:
    lines = (read(root / "proc/cpuinfo") or "").splitlines()
    return any(line.startswith("flags") and " hypervisor" in line for line in lines)
