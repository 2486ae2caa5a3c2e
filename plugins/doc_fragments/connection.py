"""The connection options, documented once (their table is in module_utils/client/options.py)."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
notes:
  - Every connection option can come from the environment of the machine where the task runs. Credentials that the task
    gives are never completed with those of somebody else in the environment.
  - Other settings of the environment do not count, neither C(.netrc) nor the variables for proxies and CA bundles.
    Redirects are not followed.
requirements:
  - requests (Python library), where the task runs; not with O(transport=pvesh)
options:
  transport:
    description:
      - How PVE is talked to.
      - V(pvesh) runs PVE's own command of that name, so the task has to run on a node of the cluster as root. It takes
        no credentials, and always acts as C(root@pam). Options that hold a secret are refused with it, because the
        arguments of a command can be seen in the list of processes.
      - If it is not set, E(PVE_TRANSPORT) is used, or else V(https).
    type: str
  host:
    description:
      - Name or address of a node of the cluster. V(https://HOST:PORT) is understood too.
      - Required with O(transport=https). If it is not set, E(PVE_HOST) is used.
    type: str
  port:
    description:
      - Port of the API.
      - If it is not set, E(PVE_PORT) is used, or else V(8006).
    type: int
  token_id:
    description:
      - The whole id of an API token, V(user@realm!name), without the secret.
      - Give it with O(token_secret) or O(token_file), or give O(user) and O(password) instead.
      - If it is not set, E(PVE_TOKEN_ID) is used.
    type: str
  token_secret:
    description:
      - The secret of the token, a UUID in lower case.
      - If it is not set, E(PVE_TOKEN_SECRET) is used.
    type: str
  token_file:
    description:
      - File that holds the bare secret of the token, in place of O(token_secret).
      - It has to belong to the user who runs the task (or to root), be closed to everybody else (mode V(0600)), and be
        no link.
      - If it is not set, E(PVE_TOKEN_FILE) is used.
    type: path
  user:
    description:
      - User to log in with a password, V(user@realm). An API token is the better choice.
      - If it is not set, E(PVE_USER) is used.
    type: str
  password:
    description:
      - Password of O(user).
      - If it is not set, E(PVE_PASSWORD) is used.
    type: str
  second_factor:
    description:
      - Second factor of O(user), either a TOTP code (put it in quotes), or V(KIND:CODE) with V(totp), V(recovery) or
        V(yubico).
      - A code works once, so it takes O(ticket_cache) too for more than one task.
      - If it is not set, E(PVE_SECOND_FACTOR) is used.
    type: str
  ticket_cache:
    description:
      - Folder that keeps the ticket of O(user), on the machine where the task runs. The first task logs in, and all
        others use its ticket, be they in other processes. It is renewed before its two hours are over.
      - The folder is made with mode V(0700) and the file in it with V(0600). M(homelab.pve.pve_logout) removes it.
      - While the ticket is good, O(password) is not needed.
      - If it is not set, E(PVE_TICKET_CACHE) is used.
    type: path
  ticket:
    description:
      - Ticket that M(homelab.pve.pve_login) returned, in place of O(user) and O(password). Give O(csrf_token) with it.
      - If it is not set, E(PVE_TICKET) is used.
    type: str
  csrf_token:
    description:
      - What M(homelab.pve.pve_login) returned with O(ticket).
      - If it is not set, E(PVE_CSRF_TOKEN) is used.
    type: str
  ca_path:
    description:
      - CA certificates to trust in place of the system's own. Either a file (for example a copy of
        C(/etc/pve/pve-root-ca.pem) of the cluster), or a folder of files under hashed names (C(openssl rehash)).
      - If it is not set, E(PVE_CA_PATH) is used.
    type: path
  fingerprint:
    description:
      - SHA-256 fingerprint of the host's certificate, as PVE shows it under Node > System > Certificates.
      - It takes the place of a CA, and holds even when O(validate_certs=false). It is compared on every connection
        before anything is sent.
      - If it is not set, E(PVE_FINGERPRINT) is used.
    type: str
  validate_certs:
    description:
      - Whether the host has to prove who it is. With V(false), whoever is in between can read the credentials; the
        task warns of it.
      - If it is not set, E(PVE_VALIDATE_CERTS) is used, or else V(true).
    type: bool
  timeout:
    description:
      - Seconds to wait for an answer. PVE takes up to 3 of them to refuse credentials, 10 to give up a lock, and 30 to
        find that a node is down.
      - If it is not set, E(PVE_TIMEOUT) is used, or else V(60).
    type: int
  proxy:
    description:
      - HTTP proxy to tunnel through, V(http://HOST:PORT) or V(http://USER:PASSWORD@HOST:PORT).
      - If it is not set, E(PVE_PROXY) is used. E(HTTPS_PROXY) is not looked at.
    type: str
"""
