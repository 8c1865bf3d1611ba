// What `require("ioredis-sessions/middleware")` returns: the ES module itself.
module.exports = require("../dist/middleware/index.js");
