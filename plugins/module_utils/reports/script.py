"""What the page does: filters, and rights worked out where somebody looks at them.

Rights follow from the ACL as ``access/explain.py`` works them out; a test in a browser holds the two together.
"""

from __future__ import annotations

JS = r"""
"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const data = JSON.parse($("data").textContent);
  document.documentElement.classList.add("js");

  const make = (tag, attributes, ...children) => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) made.setAttribute(name, value);
    made.append(...children);
    return made;
  };
  // What turns the direction of writing or has no width would make a name look like another one.
  const clean = (text) => text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, "\uFFFD");
  const code = (text) => make("code", {}, clean(text));
  const plural = (number, word) => number + " " + word + (number === 1 ? "" : "s");

  // -- findings ----------------------------------------------------------------------------------------------------

  const rows = [...document.querySelectorAll("#findings tbody tr")];
  const told = rows.map((row) => row.textContent.toLowerCase());
  const boxes = [...document.querySelectorAll("#findings input[type=checkbox]")];
  function filterFindings() {
    const words = $("find").value.toLowerCase().split(/\s+/).filter(Boolean);
    const levels = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
    let shown = 0;
    rows.forEach((row, at) => {
      row.hidden = !levels.has(row.dataset.level) || !words.every((word) => told[at].includes(word));
      shown += row.hidden ? 0 : 1;
    });
    const all = Number($("found").dataset.all);
    $("found").textContent = (shown === all ? "" : shown + " of ") + plural(all, "finding");
  }
  if ($("find")) {
    $("find").addEventListener("input", filterFindings);
    boxes.forEach((box) => box.addEventListener("change", filterFindings));
    filterFindings();
  }

  // Why a rule matters stands in a part of the page that is folded.
  addEventListener("hashchange", () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const around = target && target.closest("details");
    if (around) { around.open = true; target.scrollIntoView({ block: "center" }); }
  });

  // -- rights ------------------------------------------------------------------------------------------------------

  const USER = 0, GROUP = 1, TOKEN = 2;
  const roleNumber = new Map(data.roles.map(([name], at) => [name, at]));
  const noAccess = roleNumber.get(data.no_access);
  const entries = new Map(); // who -> path -> entries by number
  data.acl.forEach(([path, kind, name], at) => {
    const who = kind + " " + name;
    if (!entries.has(who)) entries.set(who, new Map());
    const paths = entries.get(who);
    const text = data.paths[path];
    if (!paths.has(text)) paths.set(text, []);
    paths.get(text).push(at);
  });
  const poolsOf = new Map(data.pools.map(([path, pools]) => [data.paths[path], pools]));
  const isToken = (id) => id.slice(id.lastIndexOf("@") + 1).includes("!");
  const ownerOf = (id) => (isToken(id) ? id.slice(0, id.lastIndexOf("!")) : id);
  const subjects = new Map(data.subjects.map((row) => [row[0], row]));
  const NOTHING = new Map();

  function ancestors(path) {
    const found = ["/"];
    let at = "";
    for (const piece of path.split("/").filter(Boolean)) found.push((at += "/" + piece));
    return found;
  }

  // The entries of a user and his groups, or of a token, that count where the last of them stand above a path.
  function standing(kind, name, path) {
    if (kind === USER && name === data.root) {
      const role = roleNumber.get(data.administrator);
      return role === undefined ? [] : [{ root: true, role, path: "/", propagate: 1, pool: "" }];
    }
    const own = entries.get(kind + " " + name) || NOTHING;
    const groups = kind === USER && subjects.has(name)
      ? subjects.get(name)[1].map((group) => entries.get(GROUP + " " + data.groups[group])).filter(Boolean)
      : [];
    const counting = (map, node) => (map.get(node) || []).filter((at) => node === path || data.acl[at][4]);
    let found = [];
    for (const node of ancestors(path)) {
      let here = counting(own, node);
      if (!here.length) here = groups.flatMap((group) => counting(group, node));
      if (here.length) found = here;
    }
    const grants = found.map((at) => {
      const [at_path, whose, id, role, propagate] = data.acl[at];
      return { kind: whose, name: id, role, path: data.paths[at_path], propagate, pool: "" };
    });
    const denied = grants.filter((grant) => grant.role === noAccess);
    return denied.length ? denied : grants;
  }

  function half(kind, name, path) {
    const direct = standing(kind, name, path);
    const denies = (grants) => grants.some((grant) => grant.role === noAccess);
    if (denies(direct) || (kind === USER && name === data.root)) return direct;
    const found = [...direct];
    for (const pool of poolsOf.get(path) || []) {
      const by = standing(kind, name, "/pool/" + pool).map((grant) => ({ ...grant, propagate: 0, pool }));
      if (denies(by)) return by;
      found.push(...by);
    }
    return found;
  }

  function halves(id, path) {
    if (!isToken(id)) return [half(USER, id, path)];
    const row = subjects.get(id);
    if (!row) return [];
    const owner = half(USER, ownerOf(id), path);
    return row[1] ? [owner, half(TOKEN, id, path)] : [owner];
  }

  // Equal entries give equal rights: worked out once.
  const known = new Map();
  function byRoles(grants) {
    const key = grants.map((grant) => grant.role * 2 + grant.propagate).join();
    if (!known.has(key)) {
      const found = new Map();
      for (const grant of grants) {
        for (const priv of data.roles[grant.role][1]) found.set(priv, (found.get(priv) || 0) | grant.propagate);
      }
      known.set(key, [key, found]);
    }
    return known.get(key);
  }
  const both = new Map();
  function held(found) {
    if (!found.length) return NOTHING;
    const [first, second] = found.map(byRoles);
    if (!second) return first[1];
    const key = first[0] + "/" + second[0];
    if (!both.has(key)) {
      const common = [...second[1]].filter(([priv]) => first[1].has(priv));
      both.set(key, new Map(common.map(([priv, flag]) => [priv, flag & first[1].get(priv)])));
    }
    return both.get(key);
  }

  const isBelow = (path, other) => path !== other && path.startsWith(other === "/" ? "/" : other + "/");
  const gives = (rights, path) => data.giving.some(([priv, where, below]) => rights.has(priv) && (
    path === where || (below && isBelow(path, where)) || (rights.get(priv) && isBelow(where, path))));
  const reading = new Set(data.reading);
  const weighed = new Map();
  function weight(rights, path) {
    if (!weighed.has(rights)) {
      const names = [...rights.keys()];
      weighed.set(rights, !names.length ? 0 : names.every((name) => reading.has(name)) ? 1 : 2);
    }
    return gives(rights, path) ? 3 : weighed.get(rights);
  }
  const CLASSES = ["", "read", "change", "give"], SIGNS = ["·", "r", "w", "a"];
  const WORDS = ["nothing", "can read", "can change things", "can give rights"];

  // -- matrix ------------------------------------------------------------------------------------------------------

  const ROWS = 100, COLUMNS = 24;
  const state = { rows: ROWS, columns: COLUMNS, current: null, from: null };
  // First the tops of the tree, then paths with entries, then what is only in pools; numbers in their order.
  const withEntries = new Set(data.acl.map(([path]) => data.paths[path]));
  const rank = (path) => (ancestors(path).length <= 2 ? 0 : withEntries.has(path) ? 1 : 2);
  const inOrder = new Intl.Collator("en", { numeric: true }).compare;
  const order = [...data.paths].sort((one, other) => rank(one) - rank(other) || inOrder(one, other));
  const normal = (text) => "/" + text.split("/").filter(Boolean).join("/");

  function columns() {
    const text = $("path").value.trim();
    if (!text) return order;
    const found = order.filter((path) => path.toLowerCase().includes(text.toLowerCase()));
    const asked = normal(text);
    const another = /^\/[A-Za-z0-9._/-]*$/.test(text) && !found.includes(asked);
    return another ? [asked, ...found] : found;
  }

  function draw() {
    const priv = $("privilege").value === "" ? null : Number($("privilege").value);
    const words = $("id").value.toLowerCase().split(/\s+/).filter(Boolean);
    const all = columns(), shown = all.slice(0, state.columns);
    const asked = (rights) => priv === null ? rights.size > 0 : rights.has(priv);
    let ids = data.subjects.filter(([id]) => words.every((word) => id.toLowerCase().includes(word)));
    if ($("some").checked) ids = ids.filter(([id]) => shown.some((path) => asked(held(halves(id, path)))));
    const head = make("tr", {}, make("th", { scope: "col" }, "Id"));
    for (const path of shown) {
      head.append(make("th", { scope: "col", title: clean(path) }, make("span", {}, clean(path))));
    }
    const body = make("tbody", {});
    for (const [id, , off] of ids.slice(0, state.rows)) {
      const kind = (isToken(id) ? "token" : "user") + (off ? " out" : "");
      const name = make("th", { scope: "row", title: clean(id), class: kind }, code(id));
      if (off) name.append(" ", make("span", { class: "tag off" }, off));
      const row = make("tr", {}, name);
      for (const path of shown) row.append(cell(id, path, priv));
      body.append(row);
    }
    const table = make("table", { role: "grid", "aria-label": "Rights by id and path" }, make("thead", {}, head), body);
    const focused = $("grid").contains(document.activeElement);
    $("grid").replaceChildren(table);
    rove(focused);
    const rest = (number, limit, word) => (number > limit ? limit + " of " : "") + plural(number, word);
    $("shown").textContent = rest(ids.length, state.rows, "id") + " on " + rest(all.length, state.columns, "path");
    $("more-ids").hidden = ids.length <= state.rows;
    $("more-paths").hidden = all.length <= state.columns;
  }

  function cell(id, path, priv) {
    const rights = held(halves(id, path)), number = weight(rights, path);
    const made = make("td", { tabindex: "-1", "data-id": id, "data-path": path });
    let said = WORDS[number] + (number ? ", " + plural(rights.size, "privilege") : "");
    if (priv !== null) {
      const has = rights.has(priv);
      said = has ? "holds it" : "does not";
      made.textContent = has ? "✓" : "·";
      if (has) made.className = CLASSES[number];
    } else {
      made.textContent = number ? SIGNS[number] + rights.size : SIGNS[0];
      if (number) made.className = CLASSES[number];
    }
    const label = clean(id) + " on " + clean(path) + ": " + said;
    made.setAttribute("aria-label", label);
    made.title = label;
    const [of, on] = state.current || [];
    if (of === id && on === path) made.setAttribute("aria-selected", "true");
    return made;
  }

  function find(at) {
    if (!at) return null;
    return [...$("grid").querySelectorAll("td")].find((td) => td.dataset.id === at[0] && td.dataset.path === at[1]);
  }
  // One cell can be reached with the tabulator; arrows go on from there.
  function rove(focus) {
    const target = find(state.from) || $("grid").querySelector("td");
    if (target) {
      target.tabIndex = 0;
      if (focus) target.focus();
    }
  }
  function go(target) {
    if (!target) return;
    $("grid").querySelectorAll('td[tabindex="0"]').forEach((td) => (td.tabIndex = -1));
    target.tabIndex = 0;
    state.from = [target.dataset.id, target.dataset.path];
    target.focus();
    target.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  $("grid").addEventListener("click", (event) => {
    const target = event.target.closest("td");
    if (target) { go(target); open(target.dataset.id, target.dataset.path); }
  });
  $("grid").addEventListener("keydown", (event) => {
    const at = event.target.closest("td");
    if (!at) return;
    const row = at.parentElement, index = [...row.children].indexOf(at);
    const cells = [...row.querySelectorAll("td")];
    const to = {
      ArrowRight: () => at.nextElementSibling,
      ArrowLeft: () => (index > 1 ? at.previousElementSibling : null),
      ArrowDown: () => row.nextElementSibling && row.nextElementSibling.children[index],
      ArrowUp: () => row.previousElementSibling && row.previousElementSibling.children[index],
      Home: () => cells[0],
      End: () => cells[cells.length - 1],
    }[event.key];
    if (to) { event.preventDefault(); go(to()); }
    if (event.key === "Enter" || event.key === " ") { event.preventDefault(); open(at.dataset.id, at.dataset.path); }
  });

  // -- why ---------------------------------------------------------------------------------------------------------

  const KINDS = ["user", "group", "token"];
  function source(grant, id) {
    const item = make("li", {});
    if (grant.root) {
      item.append(code(data.root), " may do everything, without an entry");
      return item;
    }
    item.append(code(data.roles[grant.role][0]), " on ", code(grant.path), " for ");
    item.append(grant.name === id ? "the " + KINDS[grant.kind] + " itself" : KINDS[grant.kind] + " ");
    if (grant.name !== id) item.append(code(grant.name));
    if (grant.pool) item.append(", by the pool ", code(grant.pool));
    else item.append(grant.propagate ? ", goes on below" : ", not below");
    return item;
  }

  function explain(id, path) {
    const found = halves(id, path), rights = held(found), groups = new Map();
    for (const [priv, flag] of rights) {
      const by = found.flat().filter((grant) => data.roles[grant.role][1].includes(priv));
      const key = JSON.stringify([flag, by]);
      if (!groups.has(key)) groups.set(key, { flag, by, names: [] });
      groups.get(key).names.push(data.privileges[priv]);
    }
    return { found, rights, groups: [...groups.values()] };
  }

  function open(id, path) {
    const { found, rights, groups } = explain(id, path);
    const row = subjects.get(id), number = weight(rights, path);
    state.current = [id, path];
    state.from = [id, path];
    $("grid").querySelectorAll("[aria-selected]").forEach((td) => td.removeAttribute("aria-selected"));
    const at = find(state.current);
    if (at) at.setAttribute("aria-selected", "true");
    const title = make("h3", { tabindex: "-1" }, code(id), " on ", code(path));
    const close = make("button", { type: "button" }, "Close");
    close.addEventListener("click", shut);
    const said = WORDS[number] + (number ? ": " + plural(rights.size, "privilege") : "");
    const parts = [
      make("div", { class: "head" }, title, close),
      make("p", {}, make("span", { class: "tag " + (CLASSES[number] || "off") }, said)),
    ];
    const say = (text) => parts.push(make("p", { class: "soft" }, text));
    if (row && row[2]) say("It cannot log in: " + row[2] + ". This is what it would hold.");
    if (found.length > 1) say("A token with privilege separation holds what both its user and itself are given.");
    else if (isToken(id)) say("A token without privilege separation holds all that its user does.");
    const list = make("dl", {});
    for (const { flag, by, names } of groups) {
      list.append(make("dt", {}, names.sort().join(", ")));
      const where = flag ? "Here and below, by" : "Here, by";
      list.append(make("dd", {}, where, make("ul", {}, ...by.map((grant) => source(grant, id)))));
    }
    parts.push(list);
    if (!groups.length) {
      const grants = found.flat();
      say(grants.length ? "These entries count here, and give it nothing:" : "No entry counts here.");
      parts.push(make("ul", {}, ...grants.map((grant) => source(grant, id))));
    }
    $("panel").replaceChildren(...parts);
    $("panel").hidden = false;
    $("who-grid").classList.add("open");
    title.focus({ preventScroll: innerWidth > 1000 });
  }

  function shut() {
    const back = find(state.current);
    $("panel").hidden = true;
    $("who-grid").classList.remove("open");
    state.current = null;
    $("grid").querySelectorAll("[aria-selected]").forEach((td) => td.removeAttribute("aria-selected"));
    if (back) go(back);
  }
  $("panel").addEventListener("keydown", (event) => { if (event.key === "Escape") shut(); });

  let waiting = 0;
  const soon = () => { clearTimeout(waiting); waiting = setTimeout(draw, 80); };
  const anew = () => { state.rows = ROWS; state.columns = COLUMNS; soon(); };
  $("id").addEventListener("input", anew);
  $("path").addEventListener("input", anew);
  $("privilege").addEventListener("change", anew);
  $("some").addEventListener("change", anew);
  $("more-ids").addEventListener("click", () => { state.rows += ROWS; draw(); });
  $("more-paths").addEventListener("click", () => { state.columns += COLUMNS; draw(); });
  data.privileges.forEach((name, at) => $("privilege").append(make("option", { value: String(at) }, name)));
  draw();

  // For those who ask on the console: audit.held("joe@pve", "/vms/100").
  window.audit = {
    held: (id, path) => {
      const found = [...held(halves(id, path))];
      return Object.fromEntries(found.map(([priv, flag]) => [data.privileges[priv], flag]));
    },
    halves: (id, path) => halves(id, path).map((grants) => grants.map((grant) => [
      data.roles[grant.role][0], grant.path, grant.root ? data.root : grant.name, grant.propagate, grant.pool,
    ])),
  };
})();
"""
