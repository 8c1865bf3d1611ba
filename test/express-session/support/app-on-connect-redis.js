// An app as it runs on connect-redis 10 and node-redis 6, with passport and flash messages. from-connect-redis.test.ts
// runs this text, and then the same text with another import line.

import flash from "connect-flash";
import { RedisStore } from "connect-redis10";
import express from "express";
import session from "express-session";
import passport from "passport";
import { Strategy } from "passport-local";
import { createClient } from "redis";

const client = await createClient({ url: process.env.REDIS_URL }).connect();
client.on("error", () => {});

passport.use(new Strategy((username, _password, done) => done(null, { id: username })));
passport.serializeUser((user, done) => done(null, user.id));
passport.deserializeUser((id, done) => done(null, { id }));

const store = new RedisStore({ client, prefix: "myapp:", ttl: 3600, disableTouch: false, scanCount: 50 });
const app = express();
app.use(session({ store, secret: "keyboard cat", resave: false, saveUninitialized: false }));
app.use(passport.session());
app.use(flash());
app.get("/login", passport.authenticate("local"), (req, res) => {
  req.flash("info", "Welcome");
  req.session.cart = ["tea"];
  res.json(req.user);
});
app.get("/me", (req, res) => {
  res.json({ user: req.user?.id, cart: req.session.cart, flash: req.flash("info") });
});
app.get("/logout", (req, res, next) => {
  req.logout((error) => (error ? next(error) : res.json({})));
});
const port = Number(process.env.PORT);
app.listen(port, "127.0.0.1", () => console.log(`http://localhost:${port}`));
