import { describe, expect, test } from "vitest";
import { html } from "../../src/dashboard/html.js";
import { useEngine } from "../support/engine.js";
import { useDashboards } from "./support/dashboard.js";

const t = useEngine();
const start = useDashboards(t);

const ATTACKS = [
  `<script>alert(1)</script>`,
  `"><img src=x onerror=alert(1)>`,
  `' autofocus onfocus='alert(1)`,
  "{actor} {count} {app} {{id}}",
  `javascript:alert(1)//</title>`,
  `\u202eevil\u0000\u001b[31m`,
  "../../../../etc?x=1#y",
];

describe.each(ATTACKS)("the text %j", (attack) => {
  test("is shown as text wherever a user can put it", async () => {
    const device = attack.slice(0, 64);
    const { ref } = await t.create({ id: attack, device, ip: attack.slice(0, 39), d: { [attack]: attack } });
    await t.create({ id: attack, actor: attack });
    const visit = (await start({ data: true })).visitor();
    const user = await visit.find(attack);
    const pages = [
      user,
      await visit.get("webapp/"),
      await visit.get("webapp/sessions"),
      await visit.get(`webapp/session/${ref}`),
      await visit.get(`webapp/session/${ref}/end`),
      await visit.get(user.link("End all")),
    ];
    for (const page of pages) {
      expect(page.status).toBe(200);
      expect(page.html).not.toMatch(/<script>|<img src=x|' autofocus onfocus/);
      // The only scripts, images and attributes for events are ours.
      expect(page.html.match(/<script/g)).toHaveLength(1);
      expect(page.html.match(/<img/g)).toHaveLength(1);
      expect(page.html.match(/<\/title>/g)?.length).toBe(1 + (page.html.match(/<rect[^>]*><title>/g)?.length ?? 0));
    }
    expect(user.text).toContain(attack.replace(/\s+/g, " ").slice(0, 20));
  });
});

test("a damaged session does not hide the others", async () => {
  await t.create({ device: "Firefox on Windows" });
  const { ref } = await t.create({ device: "Broken" });
  const key = `rs:{webapp}:s:${ref}`;
  const text = (await t.db.get(key)) as string;
  const visit = (await start({ data: true })).visitor();
  for (const broken of ["garbage", text.replace(/^\d+/, "x"), text.replaceAll("\n1\n", "\n\n"), "\n".repeat(9)]) {
    await t.db.set(key, broken);
    for (const path of ["webapp/", "webapp/sessions"]) {
      const page = await visit.get(path);
      expect([page.status, page.text]).toEqual([200, expect.stringContaining("Firefox on Windows")]);
    }
    expect([200, 404, 500]).toContain((await visit.get(`webapp/session/${ref}`)).status);
  }
});

test("a hostile path, query or search is a 404, or shows nothing", async () => {
  const visit = (await start()).visitor();
  await visit.get();
  for (const path of [
    "webapp/user/x",
    "webapp/user/",
    "webapp/user",
    `webapp/user/${"A".repeat(5000)}`,
    "webapp/session/x",
    "webapp/session/~",
    "webapp/session/x/end",
    "webapp/user/x/end",
    "webapp/user/x/end/end",
    "webapp//",
    "webapp/sessions/",
    "webapp/sessions?after=x",
    "webapp/..%2f..%2f",
    "__proto__/",
    "constructor/",
    "-/",
    "-/../x",
    "-/constructor",
    "-/toString",
  ]) {
    expect([path, (await visit.get(path)).status]).toEqual([path, 404]);
  }
  for (const text of ["\u0000", "~", "~../x", "%", "__proto__", "\ud800x"])
    expect((await visit.find(text)).status).toBeLessThan(500);
});

test("html escapes values in texts and attributes, and drops half a surrogate pair", () => {
  expect(
    html`<a href="${`"'<>&`}">${["<", html`<b>${"&"}</b>`, 1, null, undefined, false]}</a>${"\ud800"}`.toString(),
  ).toBe('<a href="&#34;&#39;&#60;&#62;&#38;">&#60;<b>&#38;</b>1</a>\ufffd');
});
