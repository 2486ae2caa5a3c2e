#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Make connection cards for the readers of a policy of Proxmox VE."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: pve_card
short_description: Make connection cards for the readers of a policy of Proxmox VE
version_added: 0.1.0
description:
  - A card says what somebody needs to know to use a reader's token. The URL of the server, the token's whole id, where
    its secret is, the fingerprint of the certificate and what to do about that, what the token may ask for, and when it
    expires.
  - Cards come as text, and in the formats of the applications of the catalogue, ready to be put where they belong.
  - Results are without secrets. Formats that can read a secret from its file do so; the others name the file. With
    O(show_secret=true), card files hold the secrets.
author:
  - The homelab.pve maintainers (@homelab-pve)
extends_documentation_fragment:
  - homelab.pve.connection
  - homelab.pve.attributes
  - homelab.pve.attributes.writes_files
  - homelab.pve.attributes.action_group
notes:
  - The fingerprint is read off a connection that the options of the task trust. With O(validate_certs=false), the card
    says that nobody has checked it.
  - Expiry is known to those who see the users, with Sys.Audit on C(/access/groups).
options:
  pve_access:
    description: What a policy file has under C(pve_access). Its C(readers) get cards.
    type: dict
    required: true
  only:
    description: Tokens of the readers that get a card. If it is left out, all of them do.
    type: list
    elements: str
  formats:
    description:
      - Formats besides the text. If it is left out, V(curl), and that of the reader's application, or for a role
        V(environment) and V(variables) of this collection.
    type: list
    elements: str
    choices:
      - text
      - curl
      - environment
      - variables
      - labby
      - homepage
      - prometheus-pve-exporter
      - home-assistant
      - pulse
      - check-pve
      - zabbix
      - community-proxmox-inventory
  dest:
    description:
      - Folder for card files, one for the text and for each format, on the machine where the task runs. New files have
        mode V(0600).
    type: path
  show_secret:
    description:
      - Whether the files in O(dest) hold the secrets. The folder has to exist, with mode V(0700).
      - There is no way to have them in results. Each card names the file that has the secret.
    type: bool
    default: false
seealso:
  - module: homelab.pve.pve_access
  - module: homelab.pve.pve_verification
"""

EXAMPLES = r"""
---
- name: What does it take to connect Labby?
  homelab.pve.pve_card:
    host: 192.168.40.60
    ca_path: ~/pve-root-ca.pem
    token_id: claude-reader@pam!claude-token
    token_file: ~/.proxmox-api-token
    pve_access:
      readers:
        - token: labby@pve!phone
          application: labby
          secret_file: ~/.proxmox-labby-token
  register: made

- name: Write a card for a monitoring system, too
  homelab.pve.pve_card:
    host: 192.168.40.60
    ca_path: ~/pve-root-ca.pem
    token_id: claude-reader@pam!claude-token
    token_file: ~/.proxmox-api-token
    pve_access:
      readers:
        - token: watch@pve!all
          role: PVEAuditor
          path: /
          secret_file: ~/.proxmox-watch-token
    formats: [zabbix, prometheus-pve-exporter]
    dest: ~/cards
"""

RETURN = r"""
---
cards:
  description: The cards, without secrets.
  returned: success
  type: list
  elements: dict
  contains:
    tokenid:
      description: Whole id of the token.
      type: str
      sample: labby@pve!phone
    purpose:
      description: What it is for, an application or a role on a path.
      type: str
      sample: Labby
    application:
      description: The application of the catalogue; null for a role.
      type: str
      sample: labby
    server:
      description: URL of the server.
      type: str
      sample: https://192.168.40.60:8006
    trust:
      description: How this machine knows the server, V(system), V(ca), V(pin) or V(unchecked).
      type: str
      sample: ca
    fingerprint:
      description: SHA-256 fingerprint of the certificate; null where it could not be seen.
      type: str
      sample: AA:BB:CC
    secret_file:
      description: File with the secret; null where the policy names none.
      type: str
      sample: ~/.proxmox-labby-token
    expires:
      description: When the token or its user expires, in seconds since the epoch. V(0) for never, null where it is not
        known.
      type: int
      sample: 0
    endpoints:
      description: What it may ask for. Of an application all that this asks for, of a role the most useful.
      type: list
      elements: str
      sample: [GET /version, GET /nodes]
    more_endpoints:
      description: How many reads there are besides.
      type: int
      sample: 0
    text:
      description: The card as text.
      type: str
    formats:
      description: The card in the other formats, by their names.
      type: dict
written:
  description: The files that were written, or would be in check mode.
  returned: when O(dest) is given, and there are cards
  type: list
  elements: str
  sample: [~/cards/labby@pve+phone.txt]
"""

import time

from ansible_collections.homelab.pve.plugins.module_utils.access.document import parse_document
from ansible_collections.homelab.pve.plugins.module_utils.access.spec import DOCUMENT
from ansible_collections.homelab.pve.plugins.module_utils.cards.deck import Wanted, as_data, as_files, deal, warnings
from ansible_collections.homelab.pve.plugins.module_utils.cards.formats import FORMATS
from ansible_collections.homelab.pve.plugins.module_utils.documents import checked
from ansible_collections.homelab.pve.plugins.module_utils.module import Connect, Outcome, Params, TextFile, run_writer

OPTIONS = {
    "pve_access": {"type": "dict", "required": True},
    "only": {"type": "list", "elements": "str"},
    "formats": {"type": "list", "elements": "str", "choices": list(FORMATS)},
    "dest": {"type": "path"},
    "show_secret": {"type": "bool", "default": False, "no_log": False},
}


def work(params: Params, ask: Connect) -> Outcome:
    """Make the cards."""
    policy = checked(params["pve_access"], DOCUMENT, "pve_access")
    parse_document(policy)  # what is wrong with it is told as by those who apply it
    wanted = Wanted.of(params, policy["readers"] or [])
    dealt = deal(ask(), wanted, time.time())
    files = tuple(TextFile("card", path, text, 0o600) for path, text in as_files(dealt, wanted))
    result = {"cards": as_data(dealt, wanted), **({} if files or not wanted.dest else {"written": []})}
    return Outcome(result, files=files, warnings=tuple(warnings(wanted)))


def main() -> None:
    """Run the module."""
    run_writer(OPTIONS, work)


if __name__ == "__main__":
    main()
