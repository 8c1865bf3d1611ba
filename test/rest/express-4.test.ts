import express from "express";
import { describe, expect, test, vi } from "vitest";
import { describeErrors } from "./contract/errors.js";
import { describeFailures } from "./contract/failures.js";
import { describeGuard } from "./contract/guard.js";
import { describeHttp } from "./contract/http.js";
import { describeRoutes } from "./contract/routes.js";

vi.mock("express", () => import("express4"));

test("runs on Express 4", () => {
  expect(express.application).toHaveProperty("lazyrouter");
});

describe("routes on Express 4", describeRoutes);
describe("HTTP on Express 4", describeHttp);
describe("errors on Express 4", describeErrors);
describe("failures on Express 4", describeFailures);
describe("the guard on Express 4", describeGuard);
