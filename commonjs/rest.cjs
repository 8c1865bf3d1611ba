// What `require("ioredis-sessions/rest")` returns: the ES module itself.
module.exports = require("../dist/rest/index.js");
