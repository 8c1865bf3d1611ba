// What `require("ioredis-sessions")` returns: the class RedisSessions, with the ES module's exports as properties. Assign
// them one by one: when an ES module imports this file, Node finds the names by reading the source text.
const { RedisSessions, SessionError } = require("../dist/index.js");

module.exports = RedisSessions;
module.exports.RedisSessions = RedisSessions;
module.exports.SessionError = SessionError;
module.exports.default = RedisSessions;
