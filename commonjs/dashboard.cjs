// What `require("ioredis-sessions/dashboard")` returns: the ES module itself.
module.exports = require("../dist/dashboard/index.js");
