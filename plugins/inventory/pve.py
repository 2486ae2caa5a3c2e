# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The inventory plugin ``pve``: guests and nodes of Proxmox VE as hosts."""

from __future__ import annotations

DOCUMENTATION = r"""
name: pve
short_description: Guests and nodes of Proxmox VE as hosts
version_added: 0.1.0
description:
  - Makes hosts of the virtual machines, containers and nodes of a cluster, with typed variables, in groups.
  - Takes two requests for the guests of a whole cluster, however many there are, and a third one for the addresses of
    nodes. Only what O(gather) names takes a request for each guest.
  - A token with C(VM.Audit) on some guests is enough to list these. What it does not see, and what did not answer, is
    reported; everything else is there.
  - The source is a YAML file with a name that ends in C(.pve.yml) or C(.pve.yaml).
  - The guide C(docs/inventory.md) of the collection has a table of all variables.
author:
  - The homelab.pve maintainers (@homelab-pve)
extends_documentation_fragment:
  - homelab.pve.connection
  - ansible.builtin.constructed
  - ansible.builtin.inventory_cache
notes:
  - Values of the connection options may be templates, for example with a lookup.
  - No value that comes from PVE is ever taken for a template, whatever a guest is called or described as.
options:
  plugin:
    description: Name of this plugin.
    type: str
    required: true
    choices: [homelab.pve.pve]
  include:
    description: What becomes a host.
    type: list
    elements: str
    choices: [guests, nodes]
    default: [guests, nodes]
  gather:
    description:
      - What else to ask about guests. Filters come first; only guests that pass them are asked about.
      - V(guest_config) is one request for each guest, V(snapshots) one more.
      - V(guest_addresses) is the configuration and, for running guests, a request to the guest agent, or for the
        interfaces of the container.
      - V(guest_status) is one request for each node and type of guest.
    type: list
    elements: str
    choices: [guest_config, guest_addresses, snapshots, guest_status]
    default: []
  filters:
    description:
      - Which hosts are taken. Each filter is V(include) or V(exclude) with a condition on the variables of the host,
        written as in C(when). The first that fits decides. A host that none fits is taken.
      - End with C(exclude) V(true) to take only what was included before.
      - Where a condition speaks of variables that come with O(gather), the guest is asked first.
      - A condition that cannot be evaluated is an error with O(strict=true). Without, it does not fit, and a warning
        says so.
    type: list
    elements: dict
    default: []
  group_by:
    description:
      - What guests are grouped by. The names of the groups are O(group_prefix), what it is, and its value, such as
        C(pve_tag_web).
      - Groups of nested pools are children of the groups of the pools around them.
      - V(ostype) takes O(gather=guest_config).
    type: list
    elements: str
    choices: [node, pool, tag, status, type, hastate, ostype]
    default: [node, pool, tag, status, type, hastate]
  group_prefix:
    description:
      - How the names of all these groups begin. With the default, C(pve_guests) and C(pve_nodes) hold all guests and
        all nodes.
    type: str
    default: pve_
  prefer_networks:
    description:
      - Networks in the order in which addresses for C(ansible_host) are preferred. Where a guest has no address in any
        of them, its first address counts.
    type: list
    elements: str
    default: []
  ssh_keys:
    description: Whether C(pve_config) shows the public SSH keys of cloud-init.
    type: bool
    default: false
  descriptions:
    description: Whether C(pve_config) and C(pve_snapshots) show descriptions.
    type: bool
    default: false
  concurrency:
    description: How many requests may be under way at the same time, where there is more than a handful to ask.
    type: int
    default: 16
  warn_of:
    description:
      - Of which kinds of missing facts a warning tells. V(hidden) is what the caller has no rights on, V(offline) what
        is on a node that is down, V(timeout) and V(failed) are answers that did not come.
      - The variable C(pve_incomplete) tells of all of them.
    type: list
    elements: str
    choices: [hidden, offline, timeout, failed]
    default: [hidden, offline, timeout, failed]
  cache_stale:
    description:
      - Whether to use what is in the cache, with a warning, when it is older than O(cache_timeout) and PVE cannot be
        reached.
    type: bool
    default: false
"""

EXAMPLES = r"""
# The smallest file, for example homelab.pve.yml. Host and token come from PVE_HOST, PVE_TOKEN_ID and PVE_TOKEN_FILE.
---
plugin: homelab.pve.pve

# Running guests only, with their addresses, reached in the management network.
---
plugin: homelab.pve.pve
host: pve.example.org
token_id: inventory@pve!ansible
token_file: ~/.proxmox-inventory-token
include: [guests]
gather: [guest_addresses]
prefer_networks: [192.168.40.0/24]
filters:
  - exclude: pve_template
  - include: pve_status == 'running'
  - exclude: true

# A secret that a lookup gives, groups of one's own, and a variable that is made of others.
---
plugin: homelab.pve.pve
host: pve.example.org
token_id: inventory@pve!ansible
token_secret: "{{ lookup('ansible.builtin.env', 'MY_SECRET') }}"
groups:
  large: pve_maxmem is not none and pve_maxmem >= 8 * 1024 ** 3
keyed_groups:
  - key: pve_tags
    prefix: tag
compose:
  ansible_user: "'root' if pve_type == 'node' else 'ops'"

# Kept for ten minutes, and used for longer while PVE cannot be reached.
---
plugin: homelab.pve.pve
cache: true
cache_plugin: ansible.builtin.jsonfile
cache_connection: ~/.cache/pve-inventory
cache_timeout: 600
cache_stale: true
"""

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from ansible.errors import AnsibleError, AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin, Cacheable, Constructable

from ..module_utils.client.errors import NodeUnreachable, OptionError, PveError, TransportError
from ..module_utils.client.http import Client
from ..module_utils.client.options import OPTIONS, ConnectionOptions
from ..module_utils.facts.census import Census, Unlisted, take
from ..module_utils.facts.groups import Groups
from ..module_utils.facts.lacks import aggregated, in_words, sentence
from ..module_utils.wording import some_of
from ..plugin_utils.conditions import FAILURES, Filters, holds, one_line
from ..plugin_utils.expressions import Memory
from ..plugin_utils.fill import fill
from ..plugin_utils.hosts import Host, Hosts
from ..plugin_utils.settings import Settings, refuse_unknown
from ..plugin_utils.store import Kept, Store
from ..plugin_utils.unsafe import as_text

_CONNECTION = {option.name: option.env for option in OPTIONS}
_INCOMPLETE = "pve_incomplete"
_WHO = ("host", "port", "token_id", "user")


class InventoryModule(BaseInventoryPlugin, Constructable, Cacheable):
    """What Ansible looks for in this file."""

    NAME = "homelab.pve.pve"

    def verify_file(self, path: str) -> bool:
        """Tell whether a source may be one of this plugin's."""
        name = os.path.basename(path)
        ours = name in ("pve.yml", "pve.yaml") or name.endswith((".pve.yml", ".pve.yaml"))
        return ours and bool(super().verify_file(path))  # type: ignore[no-untyped-call]  # Ansible has no types

    def set_options(self, task_keys: Any = None, var_options: Any = None, direct: Any = None) -> None:
        """Take the options of the file. Those of the connection are read by the client, as in all modules."""
        given = dict(direct or {})
        self._given = {name: given.pop(name) for name in _CONNECTION if name in given}
        super().set_options(task_keys, var_options, given)  # type: ignore[no-untyped-call]  # Ansible has no types

    def parse(self, inventory: Any, loader: Any, path: str, cache: bool = True) -> None:
        """Fill the inventory."""
        super().parse(inventory, loader, path, cache)
        self._memory = Memory()
        self._extra: dict[str, Any] = {}
        try:
            config = self._read_config_data(path)  # type: ignore[no-untyped-call]  # Ansible has no types
            refuse_unknown(config, {*self.option_definitions, *_CONNECTION})
            if self._option("use_extra_vars"):
                self._extra = dict(self._vars or {})
            self._fill(Settings.read(self._option), inventory, path, cache)
        except PveError as error:
            # Without what it came from: Ansible would show lines of the file around it.
            raise AnsibleParserError(str(error)) from None

    def _option(self, name: str) -> Any:
        return self.get_option(name)  # type: ignore[no-untyped-call]  # Ansible has no types

    def _fill(self, settings: Settings, inventory: Any, path: str, cache: bool) -> None:
        max_age, store = self._store(settings, path)
        old, now = store.read(), time.time()
        filters = Filters(settings.rules, self.templar, settings.later, self._memory)
        hosts = Hosts(settings, filters, old, self._extra)
        census = old.census if cache and (not max_age or 0 <= now - old.taken <= max_age) else None
        if census is None:
            census = self._ask(settings, hosts, old if cache and self._option("cache_stale") else None)
            if census is not old.census:
                store.keep(census, old, now)
        hosts.choose(census)
        taken = list(hosts.finish(census))
        groups = fill(inventory, taken, settings, self._sanitize_group_name)
        self._construct(inventory, taken)
        self._report(filters, groups)
        self._report_missing(inventory, aggregated(census.missing), os.path.basename(path))

    def _store(self, settings: Settings, path: str) -> tuple[int, Store]:
        """Return for how many seconds what is kept is good, and where it is kept."""
        asked = {
            "who": [self._value(name) or os.environ.get(_CONNECTION[name]) for name in _WHO],
            "order": repr(settings.order),
            "filters": [[rule.label for rule in settings.rules], self._extra] if settings.order.gather else [],
        }
        max_age = int(self._option("cache_timeout") or 0)
        if not self._option("cache"):
            return max_age, Store(None, "", asked)
        # What is kept outlives its time, for the names in it: the cache itself must not let it expire.
        self.set_option("cache_timeout", 0)  # type: ignore[no-untyped-call]  # Ansible has no types
        self.load_cache_plugin()
        return max_age, Store(self._cache, self.get_cache_key(path), asked)

    def _ask(self, settings: Settings, hosts: Hosts, stale: Kept | None) -> Census:
        """Ask PVE. Where it cannot be reached, return what is ``stale``, if there is something."""
        try:
            values = {name: self._value(name) for name in self._given}
            with Client(ConnectionOptions.from_params(values, os.environ)) as client:
                for said in client.warnings:
                    self.display.warning(said)
                return take(client.read_only(), settings.order, hosts.choose)
        except (TransportError, NodeUnreachable, Unlisted) as error:
            if stale is None or stale.census is None:
                raise
            minutes = int((time.time() - stale.taken) // 60)
            self.display.warning(f"The inventory is {minutes} minutes old, from the cache: {error}")
            return stale.census

    def _value(self, name: str) -> Any:
        """Return a connection option as the file gives it; a template is worked out."""
        value = self._given.get(name)
        if value is None or isinstance(value, (bool, int, list, dict)):
            return value
        try:
            self.templar.available_variables = self._vars or {}
            # What is vaulted is no text before it is made one.
            return self.templar.template(value if isinstance(value, str) else str(value))
        except AnsibleError as error:
            raise OptionError(f"{name} cannot be worked out: {one_line(error)}") from None

    def _compose(self, template: Any, variables: Any, *rest: Any, **options: Any) -> Any:
        """Work out an expression as Ansible does, but once for all hosts that are alike in what it speaks of."""
        work_out = partial(super()._compose, template, variables, *rest, **options)
        return self._memory.recall("expression", template, {**variables, **self._extra}, work_out)

    def _construct(self, inventory: Any, hosts: Iterable[Host]) -> None:
        """Make what compose, groups and keyed_groups ask for."""
        compose, groups, keyed = (self._option(name) for name in ("compose", "groups", "keyed_groups"))
        strict = self._option("strict")
        for host in hosts if compose or groups or keyed else ():
            entry = inventory.get_host(host.name)
            variables = entry.get_vars()
            if compose:
                self._set_composite_vars(compose, variables, host.name, strict)  # type: ignore[no-untyped-call]  # Ansible has no types
                variables = entry.get_vars()
            for group, condition in (groups or {}).items():
                if self._fits(condition, host.name, group, {**variables, **self._extra}):
                    inventory.add_child(inventory.add_group(self._sanitize_group_name(group)), host.name)
            if keyed:
                self._add_host_to_keyed_groups(keyed, variables, host.name, strict, False)  # type: ignore[no-untyped-call]  # Ansible has no types

    def _fits(self, condition: Any, host: str, group: str, variables: Mapping[str, Any]) -> bool:
        """Tell whether a host belongs to a group of ``groups``."""
        try:
            return self._memory.recall(
                "condition", condition, variables, lambda: holds(self.templar, condition, variables)
            )
        except FAILURES as error:
            if self._option("strict"):
                said = f"Could not add host {host} to group {group}: {one_line(error)}"
                raise AnsibleParserError(said) from None
            return False

    def _report(self, filters: Filters, groups: Groups) -> None:
        """Tell which filters failed, and which groups stand for more than one thing."""
        for rule, hosts in filters.failed.items():
            said = f"{rule.label}: it cannot be evaluated for {some_of(hosts, 5)}: {next(iter(hosts.values()))}"
            if self._option("strict"):
                raise OptionError(said)
            self.display.warning(f"{said} It does not fit there.")
        for group, values in groups.shared.items():
            self.display.warning(f"The group {group} stands for {some_of(values, 5)}.")

    def _report_missing(self, inventory: Any, lacking: Sequence[dict[str, Any]], source: str) -> None:
        """Tell what is missing, as warnings and as a variable of all hosts."""
        wanted = self._option("warn_of")
        for row in lacking:
            if row["kind"] in wanted:
                self.display.warning(sentence(row))
        every = inventory.groups["all"]
        before = every.vars.get(_INCOMPLETE, [])
        # Few words, because each host has them.
        rows = [
            {"subset": row["subset"], "kind": row["kind"], "reason": in_words(row), "source": source} for row in lacking
        ]
        every.set_variable(_INCOMPLETE, [*before, *as_text(rows)])
