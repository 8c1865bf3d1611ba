import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes, timingSafeEqual } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { isSecure } from "../util/origin.js";

/** What a sealed text is. A text that was sealed as one kind cannot be opened as another. */
type Kind = "user" | "session" | "cursor" | "notice";

const IV_BYTES = 12;
const TAG_BYTES = 16;

/**
 * The keys of one browser. They are derived from a random cookie, so that all processes of the server know them, and nobody
 * else does.
 *
 * Ids of users are sealed in URLs, because URLs are logged. The token of the forms shows that a page of ours has sent them: another
 * site cannot read the cookie, and cannot set one with the prefix `__Host-`.
 */
export class Keyring {
  /** The token of this browser's forms. */
  readonly formToken: string;
  readonly #encryption: Buffer;
  readonly #mac: Buffer;

  private constructor(secret: string) {
    const derive = (purpose: string) => Buffer.from(hkdfSync("sha256", secret, "", purpose, 32));
    this.#encryption = derive("encryption");
    this.#mac = derive("mac");
    this.formToken = derive("form").toString("base64url");
  }

  /** The keys of a request's browser. A browser without a cookie gets one. */
  static of(req: IncomingMessage, res: ServerResponse): Keyring {
    // Browsers accept the prefix only with Secure, so not over HTTP.
    const secure = isSecure(req);
    const name = secure ? "__Host-rs-dashboard" : "rs-dashboard";
    const known = new RegExp(`(?:^|;) *${name}=([\\w-]{43})(?:;|$)`).exec(req.headers.cookie ?? "")?.[1];
    const secret = known ?? randomBytes(32).toString("base64url");
    if (known === undefined) {
      // Lax, so that a link from another site finds the browser's keys and does not replace them.
      const attributes = `Path=/; HttpOnly; SameSite=Lax${secure ? "; Secure" : ""}`;
      res.appendHeader("Set-Cookie", `${name}=${secret}; ${attributes}`);
    }
    return new Keyring(secret);
  }

  /** Whether a form was made for this browser. */
  isFormToken(token: string): boolean {
    const [own, sent] = [this.formToken, token].map((text) => Buffer.from(text)) as [Buffer, Buffer];
    return own.length === sent.length && timingSafeEqual(own, sent);
  }

  /** Encrypts and signs a text for a URL. The same text always gives the same result, so links stay as they are. */
  seal(kind: Kind, text: string): string {
    const iv = createHmac("sha256", this.#mac).update(`${kind} ${text}`).digest().subarray(0, IV_BYTES);
    const cipher = createCipheriv("aes-256-gcm", this.#encryption, iv).setAAD(Buffer.from(kind));
    const sealed = Buffer.concat([iv, cipher.update(text, "utf8"), cipher.final(), cipher.getAuthTag()]);
    return sealed.toString("base64url");
  }

  /** Returns a sealed text. Returns undefined if this browser's keys have not sealed it. */
  open(kind: Kind, sealed: string): string | undefined {
    const bytes = Buffer.from(sealed, "base64url");
    if (bytes.length < IV_BYTES + TAG_BYTES) return undefined;
    const decipher = createDecipheriv("aes-256-gcm", this.#encryption, bytes.subarray(0, IV_BYTES))
      .setAAD(Buffer.from(kind))
      .setAuthTag(bytes.subarray(-TAG_BYTES));
    try {
      return decipher.update(bytes.subarray(IV_BYTES, -TAG_BYTES), undefined, "utf8") + decipher.final("utf8");
    } catch {
      return undefined;
    }
  }
}
