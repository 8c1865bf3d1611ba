// The calls of redis-sessions' README (1.x and 2.x), unchanged and in sequence. Only the port is from the test.
RedisSessions = require("ioredis-sessions");
rs = new RedisSessions({ port: Number(process.env.REDIS_PORT) });

rsapp = "myapp";
results = {};

// Records the result of a call and returns it.
function keep(name, next) {
  return (err, resp) => {
    if (err) throw err;
    results[name] = resp;
    next(resp);
  };
}

function create(next) {
  rs.create(
    {
      app: rsapp,
      id: "user1001",
      ip: "192.168.22.58",
      ttl: 3600,
      d: {
        foo: "bar",
        unread_msgs: 34,
      },
    },
    keep("create", next),
  );
}

create(({ token }) => {
  rs.set(
    {
      app: rsapp,
      token,
      d: {
        unread_msgs: 12,
        last_action: "/read/news",
        birthday: "2013-08-13",
      },
    },
    keep("set", () => {
      rs.get(
        {
          app: rsapp,
          token,
        },
        keep("get", () => {
          rs.set(
            {
              app: rsapp,
              token,
              d: {
                unread_msgs: null,
                last_action: "/read/msg/2121",
              },
            },
            keep("remove", () => lists(token)),
          );
        }),
      );
    }),
  );
});

function lists(token) {
  rs.activity(
    {
      app: rsapp,
      dt: 600,
    },
    keep("activity", () => {
      rs.soapp(
        {
          app: rsapp,
          dt: 600,
        },
        keep("soapp", () => {
          rs.soid(
            {
              app: rsapp,
              id: "user1001",
            },
            keep("soid", () => kills(token)),
          );
        }),
      );
    }),
  );
}

function kills(token) {
  rs.kill(
    {
      app: rsapp,
      token,
    },
    keep("kill", () => {
      create(() => {
        rs.killsoid(
          { app: rsapp, id: "user1001" },
          keep("killsoid", () => {
            create(() => {
              rs.killall(
                { app: rsapp },
                keep("killall", () => {
                  console.log(JSON.stringify(results));
                  rs.quit();
                }),
              );
            });
          }),
        );
      });
    }),
  );
}
