// What `require("ioredis-sessions")` returns: the class RedisSessions, with the ES module's exports on it.
const index = require("../dist/index.js");

module.exports = Object.assign(index.RedisSessions, index);
