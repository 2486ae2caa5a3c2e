#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reconcile all of access in Proxmox VE with one document."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: pve_access
short_description: Reconcile all of access in Proxmox VE with one document
version_added: 0.1.0
description:
  - Takes a whole document about roles, groups, users, API tokens, ACL entries and pools, and makes the cluster agree
    with it in one task. The document may come from a policy file.
  - The order of the changes is safe. At no moment does anybody hold a privilege that neither the state before nor the
    state after gives, and nobody loses one that both give. Where no order does this, the task narrows first, and says
    so. What touches the caller comes last.
  - What the document does not mention stays, apart from what stands undeclared inside of O(exclusive). Within an
    object, what is left out stays as it is.
  - A token that could do nothing when all is done is refused. It takes an ACL entry for the token and one for its
    user; O(readers), or O(acls[].grant_user), give both.
  - All that speaks against a document is told at once, before anything is changed.
author:
  - The homelab.pve maintainers (@homelab-pve)
extends_documentation_fragment:
  - homelab.pve.connection
  - homelab.pve.attributes
  - homelab.pve.attributes.changes
  - homelab.pve.attributes.action_group
options:
  readers:
    description:
      - Shorthand for a token with privilege separation, its user, and an ACL entry for each of them.
    type: list
    elements: dict
    suboptions:
      token:
        description:
          - Whole id of the token, V(user@realm!name). It is made with privilege separation; its user is made, too.
        type: str
        required: true
      role:
        description:
          - Role that the token gets on O(readers[].path), and its user as well, where he does not hold its privileges
            already.
          - Give this and O(readers[].path), or O(readers[].application).
        type: str
      path:
        description: ACL path, such as V(/) or V(/vms/100).
        type: str
      application:
        description:
          - Well-known application that the token is for, such as V(labby). It gets the least rights with which all
            that the application asks for is answered in full, in roles of their own, whose names begin with V(app-).
          - C(docs/least_privilege.md) of the collection has the catalogue, and the rights of each.
          - It takes the place of O(readers[].role), O(readers[].path), O(readers[].propagate) and O(readers[].logs).
        type: str
      propagate:
        description: As O(acls[].propagate).
        type: bool
      logs:
        description: Whether it may read logs, too. This adds the role V(homelab-logs), which holds Sys.Syslog alone.
        type: bool
        default: false
      expire:
        description:
          - When the token expires. Epoch seconds, a date in UTC (V(2027-01-31) or V(2027-01-31T12:00:00)), a span
            (V(12h), V(90d), V(4w), V(6m), V(1y)), or V(never).
          - A span is reckoned when the token is made or renewed, up to the end of its last hour or day in UTC. Later
            runs leave the date alone, and warn once it has passed.
          - If it is left out, it stays as it is; a new token never expires.
        type: str
      comment:
        description:
          - Comment on the token. If it is left out, it stays as it is.
          - An empty text takes it away, which PVE can do from 9.1 on.
        type: str
      secret_file:
        description:
          - File that keeps the secret, on the machine that Ansible runs on, wherever the task itself runs. It holds
            the bare secret and a line end, mode V(0600).
          - O(token_file) and O(ca_path) are files on the machine where the task runs.
          - PVE shows a secret once, when the token is made. So the place is proved writable before, and a marker file
            beside it lets the next run finish, or take back, what an interrupted one began. The folder has to exist,
            and must not be writable by others.
          - When the token exists and the file does not, the task fails; see O(readers[].renew).
        type: path
      verify_secret:
        description:
          - With V(on_create), a new secret is proved to work.
          - With V(always), so is the one that stands in O(readers[].secret_file) already; that is one request more
            for each token.
        type: str
        choices: [on_create, always]
        default: on_create
      renew:
        description:
          - What to do when the token exists, but its secret is lost. It is, when O(readers[].secret_file) does not
            exist, or when PVE refuses what stands in it (which is looked at with O(readers[].verify_secret=always)).
          - V(never) fails, and says so.
          - V(when_lost) asks for a new secret, provided that user and token are seen to be enabled and not expired.
            The old secret stops working. Before PVE 9.2, the token is made anew, and gets its ACL entries back.
        type: str
        choices: [never, when_lost]
        default: never
      rotate:
        description:
          - When a secret that works is renewed. The old one then stops working.
          - V(never) leaves it alone, V(always) renews it in each run.
          - V(older_than=60d) renews a secret that is so old, V(expires_within=14d) that of a token that ends so soon.
            It is a mapping of one of them or both, or a text such as these.
          - How old a secret is stands in a note beside O(readers[].secret_file), which is made when the secret is.
            Where there is none, the secret is as old as its file.
          - With O(readers[].expire) as a span, a renewed token gets a new end. With V(expires_within), it has to.
          - What is renewed keeps its comment, its privilege separation and its ACL entries. Before PVE 9.2, the token
            is made anew, and gets them back.
          - The token that the task itself uses is not renewed; see M(homelab.pve.pve_rotation) for that, and for
            consumers that must not notice.
        type: raw
        default: never
      deliver_to:
        description: Where a playbook is to put the secret, V(host:path). This module only takes note of it.
        type: str
      deliver_owner:
        description: Who is to own the delivered secret. This module only takes note of it.
        type: str
  roles:
    description:
      - Roles, as with M(homelab.pve.pve_role).
    type: list
    elements: dict
    suboptions:
      roleid:
        description:
          - Id of the role.
          - Built-in roles are neither changed nor deleted. From PVE 8.0 on, names that begin with V(PVE) are
            reserved.
        type: str
        required: true
      privs:
        description:
          - Privileges of the role, such as V(VM.Audit).
          - This is the whole list unless O(roles[].append=true). If it is left out, the privileges stay as they are.
          - A privilege that this release of PVE does not know is refused, with the nearest name. V(VM.Monitor), for
            one, went away in PVE 9.0.
        type: list
        elements: str
      append:
        description:
          - Whether O(roles[].privs) is added to the privileges that the role has, in place of being all of them.
        type: bool
        default: false
      state:
        description: Whether the role is to be there. ACL entries with a role go away together with it.
        type: str
        choices: [present, absent]
        default: present
  groups:
    description:
      - Groups, as with M(homelab.pve.pve_group).
    type: list
    elements: dict
    suboptions:
      groupid:
        description:
          - Id of the group, without the C(@) that the web interface puts before it.
          - Letter case counts.
        type: str
        required: true
      comment:
        description: Comment on the group. If it is left out, it stays as it is; an empty text takes it away.
        type: str
      state:
        description: Whether the group is to be there. Its ACL entries go away together with it, its members stay.
        type: str
        choices: [present, absent]
        default: present
  users:
    description:
      - Users, as with M(homelab.pve.pve_user).
    type: list
    elements: dict
    suboptions:
      userid:
        description: Whole id of the user, V(name@realm). A realm that does not exist is refused, PVE would take it.
        type: str
        required: true
      enable:
        description: Whether the user may log in. If it is left out, it stays as it is; a new user may.
        type: bool
      expire:
        description:
          - When the user expires. Epoch seconds, a date in UTC (V(2027-01-31) or V(2027-01-31T12:00:00)), a span
            (V(12h), V(90d), V(4w), V(6m), V(1y)), or V(never).
          - A span is reckoned when the user is made, up to the end of its last hour or day in UTC. Later runs leave
            the date alone, and warn once it has passed.
          - If it is left out, it stays as it is; a new user never expires.
        type: str
      groups:
        description:
          - Groups of the user.
          - This is the whole list unless O(users[].append=true). If it is left out, the groups stay as they are.
        type: list
        elements: str
      append:
        description:
          - Whether O(users[].groups) is added to the groups that the user is in, in place of being all of them.
        type: bool
        default: false
      firstname:
        description: First name. If it is left out, it stays as it is; an empty text takes it away.
        type: str
      lastname:
        description: Last name. If it is left out, it stays as it is; an empty text takes it away.
        type: str
      email:
        description: E-mail address. If it is left out, it stays as it is; an empty text takes it away.
        type: str
      comment:
        description: Comment on the user. If it is left out, it stays as it is; an empty text takes it away.
        type: str
      user_password:
        description:
          - Password of the user, 8 to 64 characters. Only the realm V(pve) keeps passwords in PVE.
          - Not to be confused with O(password), which belongs to the connection.
        type: str
      update_password:
        description:
          - With V(on_create), O(users[].user_password) counts for a new user only.
          - With V(always), a log-in with O(users[].user_password) tells whether it has to be set. PVE changes
            passwords only for those who logged in with one, which is why this needs O(user) and O(password) for the
            connection. An API token will not do.
        type: str
        choices: [on_create, always]
        default: on_create
      state:
        description: Whether the user is to be there. His tokens and ACL entries go away together with him.
        type: str
        choices: [present, absent]
        default: present
  tokens:
    description:
      - API tokens, as with M(homelab.pve.pve_token).
    type: list
    elements: dict
    suboptions:
      tokenid:
        description: Whole id of the token, V(user@realm!name), without the secret.
        type: str
        required: true
      privsep:
        description:
          - Whether the token is separated from its user. Such a token has only those rights that B(both) have, the
            user and the token, each through ACL entries. It has none at all until both have an entry.
          - With V(false), it has the rights of its user, and its own ACL entries count for nothing.
          - If it is left out, it stays as it is; a new token is separated.
        type: bool
      expire:
        description:
          - When the token expires. Epoch seconds, a date in UTC (V(2027-01-31) or V(2027-01-31T12:00:00)), a span
            (V(12h), V(90d), V(4w), V(6m), V(1y)), or V(never).
          - A span is reckoned when the token is made or renewed, up to the end of its last hour or day in UTC. Later
            runs leave the date alone, and warn once it has passed.
          - If it is left out, it stays as it is; a new token never expires.
        type: str
      comment:
        description:
          - Comment on the token. If it is left out, it stays as it is.
          - An empty text takes it away, which PVE can do from 9.1 on.
        type: str
      secret_file:
        description:
          - File that keeps the secret, on the machine that Ansible runs on, wherever the task itself runs. It holds
            the bare secret and a line end, mode V(0600).
          - O(token_file) and O(ca_path) are files on the machine where the task runs.
          - PVE shows a secret once, when the token is made. So the place is proved writable before, and a marker file
            beside it lets the next run finish, or take back, what an interrupted one began. The folder has to exist,
            and must not be writable by others.
          - When the token exists and the file does not, the task fails; see O(tokens[].renew).
        type: path
      verify_secret:
        description:
          - With V(on_create), a new secret is proved to work.
          - With V(always), so is the one that stands in O(tokens[].secret_file) already; that is one request more for
            each token.
        type: str
        choices: [on_create, always]
        default: on_create
      renew:
        description:
          - What to do when the token exists, but its secret is lost. It is, when O(tokens[].secret_file) does not
            exist, or when PVE refuses what stands in it (which is looked at with O(tokens[].verify_secret=always)).
          - V(never) fails, and says so.
          - V(when_lost) asks for a new secret, provided that user and token are seen to be enabled and not expired.
            The old secret stops working. Before PVE 9.2, the token is made anew, and gets its ACL entries back.
        type: str
        choices: [never, when_lost]
        default: never
      rotate:
        description:
          - When a secret that works is renewed. The old one then stops working.
          - V(never) leaves it alone, V(always) renews it in each run.
          - V(older_than=60d) renews a secret that is so old, V(expires_within=14d) that of a token that ends so soon.
            It is a mapping of one of them or both, or a text such as these.
          - How old a secret is stands in a note beside O(tokens[].secret_file), which is made when the secret is.
            Where there is none, the secret is as old as its file.
          - With O(tokens[].expire) as a span, a renewed token gets a new end. With V(expires_within), it has to.
          - What is renewed keeps its comment, its privilege separation and its ACL entries. Before PVE 9.2, the token
            is made anew, and gets them back.
          - The token that the task itself uses is not renewed; see M(homelab.pve.pve_rotation) for that, and for
            consumers that must not notice.
        type: raw
        default: never
      state:
        description:
          - Whether the token is to be there. Its ACL entries go away together with it, O(tokens[].secret_file) stays.
        type: str
        choices: [present, absent]
        default: present
  acls:
    description:
      - ACL entries, as with M(homelab.pve.pve_acl). Each item needs at least one user, group or token.
    type: list
    elements: dict
    suboptions:
      paths:
        description:
          - ACL paths, such as V(/), V(/vms/100), V(/pool/lab), V(/storage/local), V(/nodes/pve1).
          - Paths of the API are none of them, and are refused. V(/nodes/pve1/qemu/100) is V(/vms/100), for example.
          - V(/vms/) and V(vms) are understood as V(/vms).
        type: list
        elements: str
        required: true
        aliases: [path]
      roles:
        description:
          - Roles to give, or to take away.
          - V(NoAccess) takes all rights away on a path, whatever else is given there.
        type: list
        elements: str
        required: true
        aliases: [role]
      users:
        description: User ids, V(user@realm). V(root@pam) has all rights anyway, and is refused.
        type: list
        elements: str
      groups:
        description: Group ids, without the C(@) that the web interface puts before them.
        type: list
        elements: str
      tokens:
        description:
          - Whole token ids, V(user@realm!name).
          - An entry for a token with privilege separation has no effect unless its user holds the same privileges;
            see O(acls[].grant_user).
        type: list
        elements: str
      propagate:
        description:
          - Whether the entries count for what is below their paths, too.
          - If it is left out, it stays as it is; a new entry does propagate.
        type: bool
      grant_user:
        description:
          - Whether to give the users of O(acls[].tokens) the same roles, where they do not hold their privileges
            already. A token with privilege separation needs both halves.
          - What is given to a user counts for him and all of his tokens, and stays when the entry of the token is
            taken away.
        type: bool
        default: false
      allow_narrowing:
        description:
          - Whether a new entry may hide rights. In PVE, an entry at a deeper path B(replaces) what comes from above.
            A user with V(PVEAdmin) on V(/) who is given V(PVEAuditor) on V(/vms/100) has less on it than before.
          - Such an entry is refused unless this is V(true), or its role is V(NoAccess).
        type: bool
        default: false
      allow_missing:
        description:
          - Whether access may be given to a guest before it is made. Otherwise a missing one is refused where the
            caller would see it.
        type: bool
        default: false
      state:
        description:
          - Whether the entries are to be there. With V(absent), O(acls[].propagate) and O(acls[].grant_user) do not
            count.
        type: str
        choices: [present, absent]
        default: present
  pools:
    description:
      - Pools, as with M(homelab.pve.pve_pool).
    type: list
    elements: dict
    suboptions:
      poolid:
        description:
          - Id of the pool. From PVE 8.1 on, V(parent/child) names a pool inside another one, in up to three levels.
        type: str
        required: true
      comment:
        description: Comment on the pool. If it is left out, it stays as it is; an empty text takes it away.
        type: str
      vms:
        description:
          - Guests in the pool, by vmid. They have to exist.
          - This is the whole list unless O(pools[].append=true). If it is left out, the guests in it stay. V([])
            takes all of them out.
        type: list
        elements: int
      storage:
        description:
          - Storages in the pool.
          - This is the whole list unless O(pools[].append=true). If it is left out, the storages in it stay. V([])
            takes all of them out.
        type: list
        elements: str
      append:
        description:
          - Whether O(pools[].vms) and O(pools[].storage) are added to the members of the pool, in place of being all
            of them.
        type: bool
        default: false
      allow_move:
        description:
          - Whether to take a guest out of another pool. A guest is in one pool at the most. Needs PVE 8.1 or later.
        type: bool
        default: false
      state:
        description:
          - Whether the pool is to be there. Only an empty one can be deleted. Its ACL entries go away together with
            it, unless it is nested.
        type: str
        choices: [present, absent]
        default: present
  exclusive:
    description:
      - What is to hold nothing but what this document declares. What else is found there is removed.
      - Each scope is named by shell patterns (V(*), V(?), V([abc])). What no scope covers is left alone.
      - The caller's own user, token, groups and entries, V(root@pam), built-in roles, pools with members, and what
        O(keep) names stay. They are reported as RV(kept).
    type: dict
    suboptions:
      tokens:
        description: The tokens that are covered.
        type: dict
        suboptions:
          users:
            description: Patterns of the users whose tokens are covered.
            type: list
            elements: str
      acls:
        description: The ACL entries that are covered. Where both options are given, both have to match.
        type: dict
        suboptions:
          paths:
            description: Patterns of paths, such as V(/vms/*).
            type: list
            elements: str
          principals:
            description: Patterns of user, group and token ids.
            type: list
            elements: str
      users:
        description: The users that are covered.
        type: dict
        suboptions:
          ids:
            description: Patterns of their ids.
            type: list
            elements: str
      groups:
        description: The groups that are covered.
        type: dict
        suboptions:
          ids:
            description: Patterns of their ids.
            type: list
            elements: str
      roles:
        description: The roles that are covered.
        type: dict
        suboptions:
          ids:
            description: Patterns of their ids.
            type: list
            elements: str
      pools:
        description: The pools that are covered.
        type: dict
        suboptions:
          ids:
            description: Patterns of their ids.
            type: list
            elements: str
  keep:
    description: Patterns of ids that stay, whatever O(exclusive) says; a user stays with each of his tokens.
    type: list
    elements: str
  allow_missing:
    description: As O(acls[].allow_missing), for all entries.
    type: bool
    default: false
  allow_narrowing:
    description: As O(acls[].allow_narrowing), for all entries.
    type: bool
    default: false
  allow_lockout:
    description:
      - Whether the task may take away what the caller needs to undo it. Otherwise it is refused, with the reason.
    type: bool
    default: false
  max_widening:
    description:
      - With V(none), the task fails before anything is changed when any user or token would gain a right, and says
        who would gain what where. See RV(rights) for what counts.
      - It also fails when that cannot be told, because the caller does not see all that decides about rights.
    type: str
    choices: [any, none]
    default: any
  purge_ghosts:
    description:
      - Whether to take away the ACL entries of users and groups that are gone, first of all. PVE keeps those that came
        with files which were edited or restored, gives them to the next one of that name, and deletes them only
        together with him. So a disabled user, or a group without members, is made for each and deleted again.
      - It takes the rights to make and delete users and groups, and a caller who sees all of them.
    type: bool
    default: false
seealso:
  - module: homelab.pve.pve_role
  - module: homelab.pve.pve_group
  - module: homelab.pve.pve_user
  - module: homelab.pve.pve_token
  - module: homelab.pve.pve_acl
  - module: homelab.pve.pve_pool
"""

EXAMPLES = r"""
---
- name: Two readers, for all of the cluster and for one guest
  homelab.pve.pve_access:
    readers:
      - token: claude-reader@pam!claude-token
        role: PVEAuditor
        path: /
        secret_file: ~/.proxmox-api-token
        logs: true
      - token: vm100-reader@pam!vm100-token
        role: PVEAuditor
        path: /vms/100
        secret_file: ~/.proxmox-vm100-token
        expire: 1y

- name: A reader with just what an application needs
  homelab.pve.pve_access:
    readers:
      - token: labby@pve!phone
        application: labby
        secret_file: ~/.proxmox-labby-token
        expire: 90d

- name: Operators with a role of their own on a pool, and nobody else on it
  homelab.pve.pve_access:
    roles:
      - roleid: guest-operator
        privs: [VM.Audit, VM.Console, VM.PowerMgmt]
    groups:
      - groupid: ops
        comment: On call
    users:
      - userid: joe@pve
        groups: [ops]
    pools:
      - poolid: lab
        vms: [100, 102]
    acls:
      - path: /pool/lab
        role: guest-operator
        groups: [ops]
    exclusive:
      acls:
        paths: [/pool/lab]
    keep: [admin@pve]

- name: Take rights away at the most, and tell which
  homelab.pve.pve_access:
    max_widening: none
    exclusive:
      acls:
        paths: [/pool/lab]
    keep: [admin@pve]
  check_mode: true
  register: planned

- name: A document from a file
  homelab.pve.pve_access:
    readers: "{{ policy.readers | default(omit) }}"
    users: "{{ policy.users | default(omit) }}"
  vars:
    policy: "{{ lookup('ansible.builtin.file', policy_file) | from_yaml if policy_file is defined else {} }}"
"""

RETURN = r"""
---
changes:
  description:
    - What was changed, or in check mode would be, in the order of the calls.
    - RV(changes[].before) and RV(changes[].after) hold the fields that differ; null stands for an object that is not
      there.
  returned: success
  type: list
  elements: dict
  contains:
    kind:
      description: What it is about, V(role), V(group), V(user), V(password), V(token), V(pool) or V(acl).
      type: str
      returned: always
    id:
      description: Its id; for ACL entries the path.
      type: str
      returned: always
    action:
      description: V(create), V(update), V(delete), V(renew) or V(finish).
      type: str
      returned: always
    before:
      description: The fields that differ, as they were.
      type: dict
      returned: always
    after:
      description: The fields that differ, as they are now.
      type: dict
      returned: always
    note:
      description: What the fields do not tell.
      type: str
      returned: when there is something to tell
  sample: [{kind: group, id: ops, action: create, before: null, after: {comment: On call}}]
assumed:
  description: What was taken for granted in check mode because an earlier task would have made it; else empty.
  returned: success
  type: list
  elements: str
  sample: []
kept:
  description: What stands undeclared inside of O(exclusive), and was left alone nonetheless.
  returned: success
  type: list
  elements: str
  sample: [/pool/lab admin@pve PVEPoolAdmin]
roles:
  description:
    - The declared roles as they are now, or in check mode would be, by id. Null for those that are not there.
  returned: success
  type: dict
  sample: {guest-operator: {privs: [VM.Audit, VM.Console, VM.PowerMgmt]}}
groups:
  description: The declared groups, likewise.
  returned: success
  type: dict
  sample: {ops: {comment: On call}}
users:
  description: The declared users, and those of O(readers), likewise.
  returned: success
  type: dict
  sample: {joe@pve: {enable: true, expire: 0, groups: [ops], firstname: '', lastname: '', email: '', comment: ''}}
tokens:
  description:
    - The declared tokens, and those of O(readers), likewise.
    - Of each, C(usable) and C(effective) are explained with RV(homelab.pve.pve_token#module:token).
  returned: success
  type: dict
  sample:
    vm100-reader@pam!vm100-token:
      privsep: true
      expire: 0
      comment: ''
      usable: true
      effective: {/vms/100: [VM.Audit, VM.GuestAgent.Audit]}
pools:
  description: The declared pools, likewise.
  returned: success
  type: dict
  sample: {lab: {comment: '', vms: [100, 102], storage: []}}
acl:
  description: The entries that the document asks for, those of tokens' users included.
  returned: success
  type: list
  elements: dict
  sample:
    - {path: /pool/lab, type: group, ugid: ops, roleid: guest-operator, propagate: true}
rights:
  description:
    - Who gains and who loses which privilege where by these changes, or in check mode would.
    - Rights count when they can be used. Whoever is disabled or expired has none, and gains all that stands for him
      when he can log in again; so does whoever is new.
    - Rows add up. For one user or token and one privilege, the nearest row or exception above a path tells; where
      there is none, nothing changes.
    - Null where the caller does not see all users, groups and ACL entries, or where it depends on members of pools
      that were not read.
  returned: success
  type: dict
  contains:
    gained:
      description: What is gained.
      type: list
      elements: dict
      returned: always
      contains: &row
        subject:
          description: User, or whole id of a token.
          type: str
          returned: always
        privileges:
          description: The privileges.
          type: list
          elements: str
          returned: always
        paths:
          description: The ACL paths.
          type: list
          elements: str
          returned: always
        where:
          description: V(here) for these paths themselves, V(below) for all that is below them, V(both).
          type: str
          returned: always
        except:
          description: Places deeper down that are not meant, with C(path) and C(where).
          type: list
          elements: dict
          returned: always
        why:
          description:
            - What makes the difference. V(created), V(deleted), V(enabled), V(disabled), V(expiry), V(acl),
              V(groups), V(roles), V(privsep) or V(pools).
          type: list
          elements: str
          returned: always
        text:
          description: All of it as a sentence.
          type: str
          returned: always
    lost:
      description: What is lost.
      type: list
      elements: dict
      returned: always
      contains: *row
  sample:
    gained:
      - subject: joe@pve
        privileges: [VM.Audit, VM.Console, VM.PowerMgmt]
        paths: [/vms/100, /vms/102]
        where: here
        except: []
        why: [acl, groups]
        text: joe@pve gains VM.Audit, VM.Console, VM.PowerMgmt on /vms/100, on /vms/102 (acl, groups)
    lost: []
"""

from ansible_collections.homelab.pve.plugins.module_utils.access import spec
from ansible_collections.homelab.pve.plugins.module_utils.access.document import parse_document
from ansible_collections.homelab.pve.plugins.module_utils.module import run_access


def main() -> None:
    """Run the module."""
    switches = ("allow_missing", "allow_narrowing", "purge_ghosts")
    allowances = {name: {"type": "bool", "default": False} for name in switches}
    widening = {"max_widening": {"type": "str", "choices": ["any", "none"], "default": "any"}}
    run_access(
        {**spec.DOCUMENT, **allowances, **spec.LOCKOUT, **widening},
        parse_document,
        lambda params, plan, task: plan.result,
    )


if __name__ == "__main__":
    main()
