// The built package, imported by path. Its name cannot be imported here, because this folder has its own package.json (for
// the peers).

export { dashboard } from "../../dist/dashboard/index.js";
export { RedisStore } from "../../dist/express-session/index.js";
export { RedisSessions } from "../../dist/index.js";
export { sessions } from "../../dist/middleware/index.js";
export { rest } from "../../dist/rest/index.js";
