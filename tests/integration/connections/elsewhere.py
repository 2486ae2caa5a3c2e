"""A connection to another machine, as far as Ansible can tell: this one, with another home folder.

It shows what modules answer as the connection ``ssh`` does, and with TEST_KILL (``before:N`` or ``after:N``) it kills
its process before or after the Nth command that brings a module.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from ansible.plugins.connection.local import Connection as Local
from ansible.utils.display import Display

DOCUMENTATION = """
name: elsewhere
short_description: this machine as another one
description: For tests.
author: The homelab.pve maintainers (@homelab-pve)
extends_documentation_fragment:
  - connection_pipelining
options:
  become_success_timeout:
    description: As the connection local has it.
    type: int
    default: 10
  become_strip_preamble:
    description: As the connection local has it.
    type: bool
    default: true
"""


class Connection(Local):
    """Commands run with the home folder ``elsewhere`` beside the user's own."""

    transport = "elsewhere"
    _remote_is_local = False

    def exec_command(self, cmd: str, in_data: bytes | None = None, sudoable: bool = True) -> tuple[int, bytes, bytes]:
        brings_module = bool(in_data) or "AnsiballZ" in cmd
        if brings_module:
            self._nth = getattr(self, "_nth", 0) + 1
            self._maybe_kill("before")
        home = os.environ["HOME"]
        os.environ["HOME"] = str(Path(home).with_name("elsewhere"))
        try:
            done: Any = super().exec_command(cmd, in_data, sudoable)
        finally:
            os.environ["HOME"] = home
        Display().vvv(str(done))
        if brings_module:
            self._maybe_kill("after")
        return done

    def _maybe_kill(self, when: str) -> None:
        if os.environ.get("TEST_KILL") == f"{when}:{self._nth}":
            os.kill(os.getpid(), signal.SIGKILL)
