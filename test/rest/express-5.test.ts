import express from "express";
import { describe, expect, test } from "vitest";
import { describeErrors } from "./contract/errors.js";
import { describeFailures } from "./contract/failures.js";
import { describeGuard } from "./contract/guard.js";
import { describeHttp } from "./contract/http.js";
import { describeRoutes } from "./contract/routes.js";

test("runs on Express 5", () => {
  expect(express.application).not.toHaveProperty("lazyrouter");
});

describe("routes on Express 5", describeRoutes);
describe("HTTP on Express 5", describeHttp);
describe("errors on Express 5", describeErrors);
describe("failures on Express 5", describeFailures);
describe("the guard on Express 5", describeGuard);
