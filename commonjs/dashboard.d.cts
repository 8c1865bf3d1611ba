// TypeScript before 5.8, and module "node16", report TS1479 for a required ES module. Every supported Node can load it.
// @ts-ignore
export * from "../dist/dashboard/index.js";
