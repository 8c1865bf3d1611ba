import { expect, test } from "vitest";
import type { Created } from "../../src/index.js";
import { useEngine } from "../support/engine.js";
import { readStored } from "../support/index-check.js";
import { endGrace, longAfter } from "./support/time-passes.js";

const BROWSERS = 100;
const ROTATIONS = 10_000;
const app = "webapp";
const t = useEngine();

/** Returns a generator of numbers from 0 to 1, the same for each seed (mulberry32). */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let x = Math.imul(state ^ (state >>> 15), 1 | state);
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** What happened in a simulation. */
interface Counts {
  rotations: number;
  lost: number;
  late: number;
  thefts: number;
}

/** A browser with one session, which the site rotates. Its answers may be lost, and its requests overlap. */
class Browser {
  readonly #random: () => number;
  readonly #id: string;
  readonly #confirm: boolean;
  readonly #counts: Counts;
  #jar!: Created;

  constructor(number: number, random: () => number, counts: Counts) {
    this.#random = random;
    this.#id = `user${number}`;
    this.#confirm = number % 2 === 0;
    this.#counts = counts;
  }

  async signIn(replaces?: Created): Promise<void> {
    this.#jar = await t.rs.create({
      app,
      id: this.#id,
      ip: "::1",
      ...(replaces !== undefined && { replaces: replaces.token }),
    });
  }

  /** One rotation, with requests before, during and after it. */
  async visit(): Promise<void> {
    const old = this.#jar;
    const requests = () =>
      Array.from({ length: Math.floor(this.#random() * 3) }, () =>
        this.#random() < 0.5 ? use(old) : t.rs.set({ app, token: old.token, d: { n: 1 } }),
      );
    const before = requests();
    const tabs = [this.#rotate(old), ...(this.#random() < 0.2 ? [this.#rotate(old)] : [])];
    for (const session of await Promise.all([...before, ...requests()])) expect(session?.id).toBe(this.#id);
    const answers = (await Promise.all(tabs)).filter((answer) => answer !== null);
    const [rotated] = answers as [Created];
    expect(answers).toEqual(this.#confirm ? tabs.map(() => rotated) : [rotated]);
    this.#counts.rotations++;

    const isLost = this.#random() < 0.1;
    if (isLost) this.#counts.lost++;
    else this.#jar = rotated;
    // The server's other work does not use the token.
    if (this.#random() < 0.1) await t.rs.set({ app, ref: rotated.ref, d: { job: true } });
    if (this.#random() < 0.8) expect((await use(this.#jar))?.id).toBe(this.#id);

    if (this.#random() < 0.2) {
      await endGrace(t.db, old.ref);
      await use(old);
      this.#counts.late++;
    }
    const isLockedOut = isLost && !this.#confirm;
    if (isLockedOut || this.#random() < 0.7) await longAfter(t.db, old.ref);
    expect((await use(this.#jar)) === null).toBe(isLockedOut);
    // A browser that is locked out must sign in again, but no session was ended.
    expect(await t.rs.get({ app, ref: rotated.ref, touch: false })).not.toBeNull();
    if (isLockedOut) await this.signIn(this.#jar);
  }

  /** A thief copies the token. Either the thief rotates it first, or the browser does. */
  async beRobbed(): Promise<void> {
    const stolen = this.#jar;
    const taken = (await this.#rotate(stolen)) as Created;
    await use(taken);
    await longAfter(t.db, stolen.ref);
    // The other of the two comes back.
    expect(await use(stolen)).toBeNull();
    expect(await use(taken)).toBeNull();
    expect(await t.db.get(`rs:{webapp}:s:${taken.ref}`)).toBe("> reused");
    expect((await t.rs.soid({ app, id: this.#id })).sessions).toEqual([]);
    this.#counts.thefts++;
    await this.signIn();
  }

  #rotate({ token }: Created): Promise<Created | null> {
    return t.rs.rotate({ app, token, ...(this.#confirm && { confirm: true }) });
  }
}

function use({ token }: Created) {
  return t.rs.get({ app, token });
}

test("in 10,000 rotations with lost answers and overlapping requests, ends the thieves' sessions and no other", async () => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  const random = randomOf(seed);
  const counts: Counts = { rotations: 0, lost: 0, late: 0, thefts: 0 };
  try {
    const browsers = Array.from({ length: BROWSERS }, (_, number) => new Browser(number, random, counts));
    await Promise.all(browsers.map((browser) => browser.signIn()));
    while (counts.rotations < ROTATIONS) {
      const victim = Math.floor(random() * BROWSERS);
      await Promise.all(browsers.map((browser, i) => (i === victim ? browser.beRobbed() : browser.visit())));
    }
    expect(counts.lost).toBeGreaterThan(500);
    expect(counts.late).toBeGreaterThan(1000);
    expect(counts.thefts).toBeGreaterThanOrEqual(100);
    const texts = await Promise.all((await t.db.keys("rs:{webapp}:s:*")).map((key) => t.db.get(key)));
    expect(texts.filter((text) => text === "> reused")).toHaveLength(counts.thefts);
    const { sessions, problems } = await readStored(t.db, app);
    expect(problems).toEqual([]);
    expect(sessions).toHaveLength(BROWSERS);
  } catch (error) {
    throw new Error(`with the seed ${seed}`, { cause: error });
  }
}, 60_000);
