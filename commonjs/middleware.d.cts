// TypeScript before 5.8 and module "node16" report an ES module that is required (TS1479). Every supported Node loads it.
// @ts-ignore
export * from "../dist/middleware/index.js";
