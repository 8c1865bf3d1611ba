/** Express 4 has no types. The parts that the tests use are the same as in Express 5. */
declare module "express4" {
  import express from "express";
  export = express;
}
