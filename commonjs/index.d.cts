/**
 * The types of `require("ioredis-sessions")`, which returns the class RedisSessions.
 *
 * @example
 * import RedisSessions = require("ioredis-sessions");
 * import { type Session, SessionError } from "ioredis-sessions";
 *
 * @module
 */

import type {
  Activity,
  ActivityOptions,
  AnyRedisSessions,
  CacheStatus,
  Callback,
  CallTrace,
  ChangedEvent,
  Changes,
  Client,
  ConfirmOptions,
  Created,
  CreatedEvent,
  CreateOptions,
  DefaultData,
  EndedEvent,
  EndReason,
  EventMap,
  EventsOptions,
  GetOptions,
  ImportCounts,
  Imported,
  ImportOptions,
  ImportSessionsOptions,
  Incremented,
  IncrementOptions,
  IoredisLike,
  Json,
  KillallOptions,
  Killed,
  KillOptions,
  KillsoidOptions,
  Limits,
  MissedEvent,
  NodeRedisLike,
  Primitive,
  RedisSessionsOptions,
  RotatedEvent,
  RotateOptions,
  Session,
  SessionErrorCode,
  SessionErrorName,
  SessionEvent,
  SessionList,
  SessionsOfAppOptions,
  SetAllOptions,
  SetOptions,
  ShardCount,
  SoappOptions,
  SoidOptions,
  SubscribedEvent,
  TouchOptions,
  Which,
  Wiped,
  Written,
} from "../dist/index.js" with { "resolution-mode": "import" };

// TypeScript before 5.8, and module "node16", report TS1479 for a required ES module. Every supported Node can load it.
// @ts-ignore
import { RedisSessions as Engine, SessionError } from "../dist/index.js";

declare class RedisSessions<Data extends object = DefaultData> extends Engine<Data> {}

// `export =` excludes named exports, so list each name here. A test compares the list with the ES module's exports.
declare namespace RedisSessions {
  export type {
    Activity,
    ActivityOptions,
    AnyRedisSessions,
    CacheStatus,
    Callback,
    CallTrace,
    ChangedEvent,
    Changes,
    Client,
    ConfirmOptions,
    Created,
    CreatedEvent,
    CreateOptions,
    DefaultData,
    EndedEvent,
    EndReason,
    EventMap,
    EventsOptions,
    GetOptions,
    ImportCounts,
    Imported,
    ImportOptions,
    ImportSessionsOptions,
    Incremented,
    IncrementOptions,
    IoredisLike,
    Json,
    KillallOptions,
    Killed,
    KillOptions,
    KillsoidOptions,
    Limits,
    MissedEvent,
    NodeRedisLike,
    Primitive,
    RedisSessionsOptions,
    RotatedEvent,
    RotateOptions,
    Session,
    SessionErrorCode,
    SessionErrorName,
    SessionEvent,
    SessionList,
    SessionsOfAppOptions,
    SetAllOptions,
    SetOptions,
    ShardCount,
    SoappOptions,
    SoidOptions,
    SubscribedEvent,
    TouchOptions,
    Which,
    Wiped,
    Written,
  };
  export { RedisSessions, RedisSessions as default, SessionError };
}

export = RedisSessions;
