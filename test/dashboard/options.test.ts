import { expect, test } from "vitest";
import { type DashboardOptions, dashboard } from "../../src/dashboard/index.js";
import { useEngine } from "../support/engine.js";
import { authorize } from "./support/dashboard.js";

const t = useEngine();

test.each<[string, object, string]>([
  ["no engine", { rs: undefined }, "dashboard needs rs, an engine: new RedisSessions(…)"],
  ["a client as the engine", { rs: {} }, "dashboard: rs must be an engine: new RedisSessions(…)"],
  ["no apps", { apps: undefined }, 'dashboard needs apps: ["webapp"]'],
  ["an empty list of apps", { apps: [] }, "dashboard: apps must be a list of apps, at least one"],
  ["an app in the place of the list", { apps: "webapp" }, "dashboard: apps must be a list of apps, at least one"],
  ["a malformed app", { apps: ["web app"] }, "Invalid app format"],
  ["no authorize", { authorize: undefined }, "dashboard needs authorize, a function of the request"],
  [
    "true as authorize",
    { authorize: true },
    "dashboard: authorize must be a function of the request that returns { role, actor } or null",
  ],
  ["a text as data", { data: "yes" }, "dashboard: data must be true or false"],
  ["a misspelt option", { onActions: () => {} }, 'dashboard has no option "onActions". Did you mean "onAction"?'],
  ["an option of the engine", { namespace: "x" }, "It belongs to the engine: rs: new RedisSessions({ namespace })"],
  ["a store", { store: {} }, "Pass rs, an engine with the store's client, and the store's app"],
  ["an unknown language", { texts: { lang: "e_n" } }, 'texts: lang must be a language tag, such as "en"'],
  ["a number as a text", { texts: { title: 5 } }, "texts: title must be a string"],
  ["a misspelt text", { texts: { tilte: "Sitzungen" } }, 'texts has no option "tilte". Did you mean "title"?'],
])("refuses %s", (_what, options, message) => {
  const all = { rs: t.rs, apps: ["webapp"], authorize, ...options } as DashboardOptions;
  expect(() => dashboard(all)).toThrow(message);
});
