"""What each release says about itself."""

from __future__ import annotations

from ansible_collections.homelab.pve.plugins.module_utils.access.releases import Release

_KNOWN = {
    (7, 4): {"version": "7.4-20", "release": "7.4", "repoid": "2e7f8b04"},
    (8, 4): {"version": "8.4.14", "release": "8.4", "repoid": "b502d23c55afcba1"},
    (9, 2): {"version": "9.2.11", "release": "9.2", "repoid": "14a22df35955d97d"},
}


def version_of(release: Release) -> dict[str, str]:
    """Return what /version answers; a release without a known package version gets an invented one."""
    text = ".".join(str(part) for part in release)
    return _KNOWN.get(release, {"version": f"{text}.1", "release": text, "repoid": "0123456789abcdef"})
