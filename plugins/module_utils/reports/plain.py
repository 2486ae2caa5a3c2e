"""The report for programs: JSON with all that an audit knows."""

from __future__ import annotations

import json

from .report import Report

FORMAT, VERSION = "homelab.pve audit", 1


def render(report: Report) -> str:
    """Return the audit as JSON."""
    shown = {
        "format": FORMAT,
        "version": VERSION,
        "cluster": report.cluster,
        "time": report.time,
        "status": report.status,
        "fail_on": report.fail_on,
        **report.audit.as_data(),
        "reach": [{"node": one.node, "ports": [port.as_data() for port in one.ports]} for one in report.reach],
    }
    return json.dumps(shown, indent=2) + "\n"
