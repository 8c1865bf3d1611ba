// What `require("ioredis-sessions/express-session")` returns: the ES module itself.
module.exports = require("../dist/express-session/index.js");
