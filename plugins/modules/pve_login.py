#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Log in to Proxmox VE for the tasks that follow."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: pve_login
short_description: Log in to Proxmox VE for the tasks that follow
version_added: 0.1.0
description:
  - Logs in with a password, and a second factor where the account has one, once for all tasks that follow. API tokens
    are the better choice where they will do, and need no log-in.
  - With O(ticket_cache), the ticket is kept in a file. Whatever task names the same folder, host and user uses it, in
    other processes, too, and renews it in time. A ticket that is there and good is left alone.
  - Without O(ticket_cache), the ticket is returned, to be handed on as C(ticket) and C(csrf_token). The task then
    needs C(no_log=true).
author:
  - The homelab.pve maintainers (@homelab-pve)
extends_documentation_fragment:
  - homelab.pve.connection
  - homelab.pve.attributes
  - homelab.pve.attributes.action_group
attributes:
  check_mode:
    support: full
    details:
      - Does not log in in check mode, so that no code is used up. Put C(check_mode=false) on the task where later
        tasks take what it returns.
  diff_mode:
    support: full
  idempotent:
    support: partial
    details:
      - Only with O(ticket_cache).
notes:
  - A ticket lasts two hours. PVE has no call that ends one sooner; it ends when its user is disabled.
  - A TOTP code works once. If PVE refuses one, or its answer is lost on the way, the same code is not sent again.
seealso:
  - module: homelab.pve.pve_logout
"""

EXAMPLES = r"""
- name: Log in, once for the whole play
  homelab.pve.pve_login:
    host: 192.168.40.60
    ca_path: ~/pve-root-ca.pem
    user: joe@pve
    password: "{{ joe_password }}"
    second_factor: "{{ totp_code }}"
    ticket_cache: ~/.cache/pve-tickets

- name: Whatever names the same host, user and folder is logged in
  homelab.pve.pve_user:
    host: 192.168.40.60
    ca_path: ~/pve-root-ca.pem
    user: joe@pve
    ticket_cache: ~/.cache/pve-tickets
    userid: ann@pve

- name: Log in without keeping anything
  homelab.pve.pve_login:
    host: 192.168.40.60
    ca_path: ~/pve-root-ca.pem
    user: joe@pve
    password: "{{ joe_password }}"
    second_factor: "recovery:{{ recovery_key }}"
  register: login
  no_log: true

- name: The ticket stands for the user and the password
  homelab.pve.pve_user:
    host: 192.168.40.60
    ca_path: ~/pve-root-ca.pem
    ticket: "{{ login.ticket }}"
    csrf_token: "{{ login.csrf_token }}"
    userid: ann@pve
"""

RETURN = r"""
user:
  description: Who is logged in.
  returned: success
  type: str
  sample: joe@pve
ticket_file:
  description: The file that keeps the ticket; null without O(ticket_cache).
  returned: success
  type: str
  sample: /home/joe/.cache/pve-tickets/192.168.40.60-8006-joe@pve-0123456789ab.ticket
expires:
  description: When the ticket ends, in seconds since the epoch; null in check mode if there is none yet.
  returned: success
  type: int
  sample: 1801396800
ticket:
  description: The ticket. Secret.
  returned: without O(ticket_cache), except in check mode
  type: str
csrf_token:
  description: What writes take beside the ticket. Secret.
  returned: without O(ticket_cache), except in check mode
  type: str
"""

from ansible_collections.homelab.pve.plugins.module_utils.login import LoginTask
from ansible_collections.homelab.pve.plugins.module_utils.module import run_local


def main() -> None:
    run_local({}, LoginTask.of)


if __name__ == "__main__":
    main()
