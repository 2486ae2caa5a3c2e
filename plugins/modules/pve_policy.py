#!/usr/bin/python
# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Hold a Proxmox VE cluster, or a snapshot of one, against a policy."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: pve_policy
short_description: Hold a Proxmox VE cluster, or a snapshot of one, against a policy
version_added: 0.1.0
description:
  - Tells where a cluster is not what a policy says, in both directions, and where what people can really do is not what
    it asserts. Tells also what is unwise, whoever declared it.
  - Only reads, and does with a token that has the role PVEAuditor on C(/). It judges nothing that this token cannot
    see in full. What it could not judge makes the audit incomplete, never passed.
  - The options O(pve_access), O(pve_firewall), O(pve_assertions), O(pve_hygiene) and O(pve_exceptions) are the keys of
    a policy file. The playbook C(homelab.pve.audit) reads such a file, and C(docs/audit.md) of the collection is the
    guide.
author:
  - The homelab.pve maintainers (@homelab-pve)
extends_documentation_fragment:
  - homelab.pve.connection
  - homelab.pve.attributes
  - homelab.pve.attributes.writes_files
  - homelab.pve.attributes.action_group
options:
  pve_access:
    description:
      - What is to be there of users, groups, roles, tokens, ACL entries and pools. Its keys are the options of
        M(homelab.pve.pve_access). Without it, access is not compared with anything.
    type: dict
  pve_firewall:
    description:
      - What is to be there of the firewall. Its keys are the options of M(homelab.pve.pve_firewall).
    type: dict
  pve_assertions:
    description:
      - What users and tokens have to be able to do, or must not be, whatever gives it to them.
    type: list
    elements: dict
    suboptions:
      subject:
        description: A user, a full token id, or a shell pattern of them such as V(*-reader@pam!*).
        type: str
        required: true
      paths:
        description: ACL paths, or shell patterns of them such as V(/vms/*).
        type: list
        elements: str
        required: true
        aliases: [path]
      exactly:
        description: Neither more nor less than these privileges.
        type: list
        elements: str
      at_least:
        description: These privileges, and maybe more.
        type: list
        elements: str
      at_most:
        description: Nothing but these privileges.
        type: list
        elements: str
      never:
        description: None of these privileges.
        type: list
        elements: str
      nothing:
        description: No privilege at all.
        type: bool
        default: false
      read_only:
        description:
          - Only privileges with which nothing can be changed, those that end in C(.Audit). C(Sys.Syslog) and
            C(VM.GuestAgent.FileRead), which read logs and files, are let pass and reported apart.
        type: bool
        default: false
      below:
        description:
          - Whether it holds for everything below the paths too. By default it does for what limits, which are
            O(pve_assertions[].at_most), O(pve_assertions[].never), O(pve_assertions[].nothing) and
            O(pve_assertions[].read_only).
        type: bool
      level:
        description: How much it matters when it does not hold. By default as much as the rule C(assertion).
        type: str
        choices: [info, warn, error]
  pve_hygiene:
    description:
      - How much each rule matters, V(ignore), V(info), V(warn) or V(error), by the rule's id. C(docs/rules.md) of the
        collection has all rules with their defaults.
      - C(expiring_days) is within how many days of its end a token or user is about to expire, 14 by default, and
        C(unused_days) after how many days a token counts as unused, 90 by default.
    type: dict
  pve_exceptions:
    description:
      - Findings that are known and borne until some day. They are reported apart, and do not fail the task.
    type: list
    elements: dict
    suboptions:
      rule:
        description: Id of the rule, or a shell pattern.
        type: str
        required: true
      subject:
        description: Subject of the finding, or a shell pattern. All by default.
        type: str
      path:
        description: Path of the finding, or a shell pattern. All by default.
        type: str
      reason:
        description: Why it is borne.
        type: str
        required: true
      until:
        description: The last day on which it holds, as in V(2027-01-31), in UTC.
        type: str
        required: true
  snapshot:
    description:
      - A file that M(homelab.pve.pve_snapshot) has written. It is audited in place of a cluster, which then need not be
        reachable, and no credentials are needed.
      - It is judged as of the time when it was taken, so that nothing has expired that had not then. Only whether an
        exception is over is judged as of now.
    type: path
  snapshot_max_age:
    description:
      - How old a snapshot may be, as in V(7d), V(12h) or V(4w). With an older one the audit is incomplete. By default,
        its age does not matter.
    type: str
  guests:
    description:
      - Whether to look at the firewall of every guest, too, a few requests for each. Those that O(pve_firewall) speaks
        of are looked at anyway.
    type: bool
    default: false
  confirm:
    description:
      - Whether to have PVE itself confirm the rights of each subject that O(pve_assertions) names in full, one request
        for each.
    type: bool
    default: true
  access_logs:
    description:
      - Access logs of PVE's web server, C(/var/log/pveproxy/access.log) and its older ones, packed or not, of all
        nodes. PVE's API does not know when a token was used. Without them nothing is said about that.
    type: list
    elements: path
  fail_on:
    description: Fail when there are findings of this level and above.
    type: str
    choices: [info, warn, error, never]
    default: error
  fail_on_incomplete:
    description: Fail when something could not be judged.
    type: bool
    default: true
  reports:
    description: Files to write what was found to. Folders that are missing are made.
    type: dict
    suboptions:
      junit:
        description: As JUnit XML, which CI services show as tests.
        type: path
      sarif:
        description: As SARIF 2.1.0, which code scanning services take.
        type: path
      markdown:
        description: As Markdown, for a comment on a change.
        type: path
      json:
        description: As JSON.
        type: path
      html:
        description: As a page of its own, with who can do what and who gives it to him.
        type: path
  policy_file:
    description: Where the policy is kept, for reports that point into it. It is not read.
    type: str
  cluster:
    description: What reports call the cluster. By default its address.
    type: str
"""

EXAMPLES = r"""
- name: See that nobody but the administrators can change anything
  homelab.pve.pve_policy:
    pve_assertions:
      - subject: "*"
        path: /
        never: [Permissions.Modify]
    pve_exceptions:
      - rule: assertion
        subject: admin@pve
        reason: Administers the cluster
        until: "2099-12-31"
      - rule: assertion
        subject: "root@pam*"
        reason: Administers the cluster
        until: "2099-12-31"
    pve_hygiene:
      firewall_off: warn
      root_tokens: warn

- name: Compare with what was declared, and write a page about it
  homelab.pve.pve_policy:
    pve_access:
      roles:
        - roleid: Operator
          privs: [VM.Audit, VM.PowerMgmt]
    pve_hygiene:
      require_expiry: ignore
    fail_on: never
    reports:
      html: ~/pve-audit.html
  register: audit
"""

RETURN = r"""
status:
  description:
    - V(pass), V(fail) or V(incomplete). Findings of the level O(fail_on) and above make it fail, and what could not be
      judged makes it incomplete where it does not fail.
  type: str
  returned: when the audit was made
  sample: fail
taken:
  description: When the snapshot was taken that was audited, in UTC. None where a cluster was.
  type: str
  returned: when the audit was made
  sample: "2026-11-01T03:00:00Z"
findings:
  description: What is not as it should be, the gravest first.
  type: list
  elements: dict
  returned: when the audit was made
  sample:
    - rule: privsep
      level: error
      subject: token joe@pve!ci
      path: ""
      message: Token joe@pve!ci has no privilege separation. It can do all that joe@pve can.
      expected: true
      found: false
      fix: Say privsep true, and give the token entries of its own.
      fingerprint: 0f3c2b4d5e6f708192a3b4c5d6e7f809
excepted:
  description: The same of what an exception covers, each with C(excepted), the reason.
  type: list
  elements: dict
  returned: when the audit was made
  sample: []
incomplete:
  description: What could not be judged, why, and what would make it visible.
  type: list
  elements: dict
  returned: when the audit was made
  sample:
    - what: ACL entries
      reason: joe@pve!ci may not see all of them, and PVE does not say which are left out.
      fix: Give it Sys.Audit on /access.
assertions:
  description:
    - What became of each assertion. C(confirmed) tells whether PVE's own answer was the same, and is null where it was
      not asked.
  type: list
  elements: dict
  returned: when the audit was made
  sample:
    - assertion: "joe@pve!ci on /vms/102: nothing"
      subjects: [joe@pve!ci]
      holds: true
      confirmed: true
      notes: []
notes:
  description: What is worth knowing and no finding.
  type: list
  elements: str
  returned: when the audit was made
  sample: []
counts:
  description: How many findings there are of each level.
  type: dict
  returned: when the audit was made
  sample: {error: 1, warn: 0, info: 0}
would_change:
  description:
    - Who would gain and who would lose which privilege where, if O(pve_access) was applied. None where the caller does
      not see all of access, or O(pve_access) was not given.
  type: dict
  returned: when the audit was made
  sample: {gained: [], lost: []}
release:
  description: Release of PVE.
  type: str
  returned: when the audit was made
  sample: "9.2"
caller:
  description: Whose rights the audit was made with.
  type: str
  returned: when the audit was made
  sample: auditor@pve!ci
requests:
  description: How many requests it took, that for the release apart. None where a snapshot was audited.
  type: int
  returned: when the audit was made
  sample: 9
written:
  description: The reports that were written, or in check mode would be.
  type: list
  elements: str
  returned: when O(reports) are asked for
  sample: [~/pve-audit.html]
"""

import time

from ansible_collections.homelab.pve.plugins.module_utils import policy_file
from ansible_collections.homelab.pve.plugins.module_utils.module import Connect, Outcome, Params, TextFile, run_writer
from ansible_collections.homelab.pve.plugins.module_utils.policy.audit import FAIL, INCOMPLETE, audit
from ansible_collections.homelab.pve.plugins.module_utils.policy.findings import FAIL_ON
from ansible_collections.homelab.pve.plugins.module_utils.policy.sources import Recorder, Source
from ansible_collections.homelab.pve.plugins.module_utils.policy.spec import TYPED
from ansible_collections.homelab.pve.plugins.module_utils.reports import KINDS, render
from ansible_collections.homelab.pve.plugins.module_utils.wording import moment

OPTIONS = {
    "pve_access": {"type": "dict"},
    "pve_firewall": {"type": "dict"},
    "pve_hygiene": {"type": "dict"},
    **TYPED,
    "snapshot": {"type": "path"},
    "snapshot_max_age": {"type": "str"},
    "guests": {"type": "bool", "default": False},
    "confirm": {"type": "bool", "default": True},
    "access_logs": {"type": "list", "elements": "path"},
    "fail_on": {"type": "str", "choices": list(FAIL_ON), "default": "error"},
    "fail_on_incomplete": {"type": "bool", "default": True},
    "reports": {"type": "dict", "options": {kind: {"type": "path"} for kind in KINDS}},
    "policy_file": {"type": "str"},
    "cluster": {"type": "str"},
}


def work(params: Params, connect: Connect) -> Outcome:
    """Audit, and say what came of it."""
    policy = policy_file.whole_policy(params)
    now = today = time.time()
    logs = policy_file.handed_in(params["access_logs"], today)
    how = {"confirm": params["confirm"], "guests": params["guests"], "logs": logs, "today": today}
    how["max_age"] = policy_file.oldest_age(params["snapshot_max_age"])
    source: Source
    if params["snapshot"]:
        snapshot = policy_file.stored_cluster(params["snapshot"], now)
        source, cluster = snapshot, params["cluster"] or params["snapshot"]
        now = snapshot.taken  # nothing has expired since that had not then
    else:
        client = connect()
        source, cluster = Recorder(client.read_only()), params["cluster"] or client.options.host
    found = audit(source, policy, now, **how)
    status = found.status(params["fail_on"])
    shown = {"fail_on": params["fail_on"], "cluster": cluster, "policy_file": params["policy_file"]}
    asked = [(kind, path) for kind, path in (params["reports"] or {}).items() if path]
    reports = tuple(TextFile("report", path, render(found, kind, **shown)) for kind, path in asked)
    failed = status == FAIL or (status == INCOMPLETE and params["fail_on_incomplete"])
    result = {"status": status, "taken": moment(now) if params["snapshot"] else None, **found.as_data()}
    return Outcome(result, found.failure(status) if failed else "", reports)


def main() -> None:
    run_writer(OPTIONS, work)


if __name__ == "__main__":
    main()
