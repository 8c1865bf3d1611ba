// What `require("ioredis-sessions")` returns: the class RedisSessions, with the ES module's exports on it. They are assigned
// one by one because runtimes read the names from this text when the file is imported.
const { RedisSessions, SessionError } = require("../dist/index.js");

module.exports = RedisSessions;
module.exports.RedisSessions = RedisSessions;
module.exports.SessionError = SessionError;
module.exports.default = RedisSessions;
