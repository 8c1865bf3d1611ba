// The built package. This folder has a package.json of its own (for the peers), so that the package's name, which the
// examples import, does not reach here.

export { RedisStore } from "../../dist/express-session/index.js";
export { RedisSessions } from "../../dist/index.js";
export { sessions } from "../../dist/middleware/index.js";
export { rest } from "../../dist/rest/index.js";
